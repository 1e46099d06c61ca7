# make deps     installs what building needs (Debian packages), saying what
# make          builds build/hilum
# make demo     installs, builds, and trains, evaluates and predicts on synthetic chest phantoms
# make test     installs what tests need and runs them
# make check    formatting, layers, static analysis, tests, sanitizers
# make install  installs program, library, header, manual pages (PREFIX, DESTDIR)

PREFIX ?= /usr/local
BUILD := build

.PHONY: all deps demo test check install clean format
all: $(BUILD)/build.ninja
	@ninja -C $(BUILD)

deps:
	@tools/deps build

$(BUILD)/build.ninja:
	@tools/deps build
	@meson setup $(BUILD) --prefix $(PREFIX) >$(BUILD).log 2>&1 || { cat $(BUILD).log; exit 1; }
	@mv $(BUILD).log $(BUILD)/setup.log

demo: deps
	@$(MAKE) --no-print-directory $(BUILD)/build.ninja
	@ninja -C $(BUILD) hilum
	@tools/demo

test:
	@tools/deps test
	@tools/test

check:
	@tools/deps check
	@tools/check

install: all
	@meson install -C $(BUILD) --no-rebuild

format:
	@git ls-files '*.c' '*.h' | xargs clang-format -i

clean:
	@rm -rf $(BUILD) $(BUILD)-*
