/* mutate [FORMAT [COUNT [SEED]]]: damages sound files in many ways and feeds them, and decompression bombs, to the
 * readers. FORMAT: jpeg, png, tiff, csv, nifti, metaimage, dicom, archive, bombs or all (the default; COUNT mutants
 * over all of them, 2000). Every file must end within 5 seconds in a typed error or a sound result, and the program
 * must stay under 1 GiB. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/csv.h"
#include "base/memory.h"
#include "base/random.h"
#include "samples.h"
#include "scan/format.h"
#include "scan/formats/archive.h"

#define SECONDS_MAX 5.0
#define MEMORY_MAX_KB (1 << 20)
#define HANG_SECONDS 60

static const char *const kind_names[] = {"jpeg", "png", "tiff", "csv", "nifti", "metaimage", "dicom", "archive"};

/* What is being read, for the message when it hangs or crashes. */
static char now_reading[128];

static void on_signal(int number)
{
	static const char text[] = "\nfailed (crash or hang) while reading: ";
	ssize_t written = write(STDERR_FILENO, text, sizeof(text) - 1);

	written += write(STDERR_FILENO, now_reading, strlen(now_reading));
	written += write(STDERR_FILENO, "\n", 1);
	(void)written;
	_exit(128 + number);
}

/* Of the processor, which do not depend on what else the machine does; the alarm counts those of the clock. */
static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Whether a volume keeps its promises, its last voxel included. */
static bool is_sound(const struct hl_volume *volume)
{
	int64_t voxels = (int64_t)volume->width * volume->height * volume->depth * volume->channels;

	if (!volume->voxels || volume->width < 1 || volume->height < 1 || volume->depth < 1 ||
	    (volume->channels != 1 && volume->channels != 3) || volume->width > HL_VOLUME_SIDE_MAX ||
	    volume->height > HL_VOLUME_SIDE_MAX || volume->depth > HL_VOLUME_SIDE_MAX ||
	    (int64_t)volume->width * volume->height > HL_VOLUME_PIXELS_MAX ||
	    voxels * (int64_t)hl_voxel_size(volume->type) > HL_VOLUME_BYTES_MAX)
		return false;
	(void)*(volatile uint8_t *)((uint8_t *)volume->voxels + voxels * (int64_t)hl_voxel_size(volume->type) - 1);
	return volume->format[0] != '\0';
}

enum verdict { REFUSED, READ, BROKEN };

static enum verdict feed_table(const uint8_t *bytes, size_t length, struct hilum_error *error)
{
	struct hl_csv csv;
	size_t sum = 0;

	if (hl_csv_parse("table", (const char *)bytes, length, &csv, error))
		return REFUSED;
	for (size_t i = 0; i < (csv.rows + 1) * csv.columns; i++)
		sum += strlen(csv.field[i]);
	hl_csv_free(&csv);
	return sum <= length ? READ : BROKEN;
}

static enum verdict feed_scan(const uint8_t *bytes, size_t length, struct hilum_error *error)
{
	struct hl_volume volume;
	bool sound;

	if (hl_scan_decode(bytes, length, &volume, error))
		return REFUSED;
	sound = is_sound(&volume);
	hl_volume_free(&volume);
	return sound ? READ : BROKEN;
}

static enum verdict feed_archive(const uint8_t *bytes, size_t length, struct hilum_error *error)
{
	const struct hl_sandbox_input input = {-1, bytes, length};
	struct hl_archive archive;
	size_t sum = 0;

	if (hl_archive_open(&input, &archive, error))
		return REFUSED;
	for (size_t i = 0; i < archive.count; i++)
		sum += strlen(archive.file[i].name) + archive.file[i].bytes[archive.file[i].length] + 1;
	hl_archive_close(&archive);
	return archive.count == 0 || sum > 0 ? READ : BROKEN;
}

/* Reads one file and judges how that went; false after saying what is wrong. */
static bool feed(enum sample_kind kind, const uint8_t *bytes, size_t length, enum verdict *verdict)
{
	struct hilum_error error = {0};
	double start = seconds(), took;

	alarm(HANG_SECONDS);
	*verdict = kind == SAMPLE_CSV       ? feed_table(bytes, length, &error)
	           : kind == SAMPLE_ARCHIVE ? feed_archive(bytes, length, &error)
	                                    : feed_scan(bytes, length, &error);
	alarm(0);
	took = seconds() - start;
	if (took > SECONDS_MAX)
		fprintf(stderr, "%s: %.1f seconds\n", now_reading, took);
	if (*verdict == BROKEN)
		fprintf(stderr, "%s: an unsound result\n", now_reading);
	if (*verdict == REFUSED && (error.code <= HILUM_OK || error.code >= HILUM_STATUS_COUNT ||
	                            error.code == HILUM_ERROR_INTERNAL || !error.message[0])) {
		fprintf(stderr, "%s: error %d '%s'\n", now_reading, (int)error.code, error.message);
		return false;
	}
	return took <= SECONDS_MAX && *verdict != BROKEN;
}

static void flip_bits(struct hl_random *random, uint8_t *bytes, size_t length)
{
	uint32_t count = 1 + hl_random_below(random, 8);

	while (count--)
		bytes[hl_random_below(random, (uint32_t)length)] ^= (uint8_t)(1u << hl_random_below(random, 8));
}

static void swap_blocks(struct hl_random *random, uint8_t *bytes, size_t length)
{
	size_t size = 1 + hl_random_below(random, (uint32_t)(length / 2 < 64 ? length / 2 + 1 : 64));
	size_t a, b;

	if (2 * size > length)
		return;
	a = hl_random_below(random, (uint32_t)(length - size + 1));
	b = hl_random_below(random, (uint32_t)(length - size + 1));
	for (size_t i = 0; i < size; i++) {
		uint8_t byte = bytes[a + i];
		bytes[a + i] = bytes[b + i];
		bytes[b + i] = byte;
	}
}

/* A value that breaks arithmetic, of 1, 2 or 4 bytes, either end first, mostly near the head where sizes stand. */
static void set_number(struct hl_random *random, uint8_t *bytes, size_t length)
{
	static const uint32_t values[] = {0,      1,      0x7f,       0x80,       0xff,       0x7fff,     0x8000,
	                                  0xffff, 0x4000, 0x7fffffff, 0x80000000, 0xffffffff, 0x10000000, 16384};
	size_t size = (size_t)1 << hl_random_below(random, 3);
	size_t head = hl_random_below(random, 3) && length > 128 ? 128 : length;
	uint32_t value = values[hl_random_below(random, sizeof(values) / sizeof(*values))];
	bool big = hl_random_below(random, 2);
	size_t at;

	if (length < size)
		return;
	at = hl_random_below(random, (uint32_t)(head > size ? head - size + 1 : 1));
	for (size_t i = 0; i < size; i++)
		bytes[at + i] = (uint8_t)(value >> 8 * (big ? size - 1 - i : i));
}

static size_t cut_out(struct hl_random *random, uint8_t *bytes, size_t length)
{
	size_t size = 1 + hl_random_below(random, (uint32_t)(length < 32 ? length : 32));
	size_t at;

	if (size >= length)
		return length;
	at = hl_random_below(random, (uint32_t)(length - size));
	memmove(bytes + at, bytes + at + size, length - at - size);
	return length - size;
}

/* Damages the bytes in one to three ways; the new length, never greater. */
static size_t damage(struct hl_random *random, uint8_t *bytes, size_t length)
{
	uint32_t ways = 1 + hl_random_below(random, 3);

	while (ways-- && length > 1) {
		switch (hl_random_below(random, 5)) {
		case 0:
			flip_bits(random, bytes, length);
			break;
		case 1:
			swap_blocks(random, bytes, length);
			break;
		case 2:
			set_number(random, bytes, length);
			break;
		case 3:
			length = hl_random_below(random, (uint32_t)length);
			break;
		default:
			length = cut_out(random, bytes, length);
			break;
		}
	}
	return length;
}

static bool mutate_kind(const struct sample *samples, size_t count, enum sample_kind kind, long files, uint64_t seed)
{
	size_t own[SAMPLES_MAX] = {0}, own_count = 0;
	long read = 0, failed = 0;

	for (size_t i = 0; i < count; i++)
		if (samples[i].kind == kind)
			own[own_count++] = i;
	for (long i = 0; i < files && own_count > 0; i++) {
		const struct sample *sample = &samples[own[(size_t)i % own_count]];
		struct hl_random random = hl_random_stream(seed, (uint32_t)kind, (uint32_t)i, HL_RANDOM_TEST);
		uint8_t *work = malloc(sample->length), *bytes;
		enum verdict verdict;
		size_t length;
		if (!work)
			return false;
		memcpy(work, sample->bytes, sample->length);
		length = damage(&random, work, sample->length);
		/* Half of the PNGs, so that both the checksums and what lies behind them are tried. */
		if (kind == SAMPLE_PNG && hl_random_below(&random, 2))
			sample_repair_png(work, length);
		/* Exactly as long as it claims, so that a sanitizer sees a read beyond it. */
		bytes = malloc(length ? length : 1);
		if (bytes)
			memcpy(bytes, work, length);
		free(work);
		if (!bytes)
			return false;
		snprintf(now_reading, sizeof(now_reading), "mutant %ld of %s %s, seed %llu", i, kind_names[kind],
		         sample->name, (unsigned long long)seed);
		failed += !feed(kind, bytes, length, &verdict);
		read += verdict == READ;
		free(bytes);
	}
	printf("%-9s %6ld mutants: %ld refused, %ld read, %ld failed\n", kind_names[kind], files, files - read, read,
	       failed);
	return failed == 0;
}

static bool feed_bombs(const struct bomb *list, size_t count)
{
	bool all = true;

	for (size_t i = 0; i < count; i++) {
		struct hl_buffer bytes;
		enum verdict verdict = BROKEN;
		double start;
		bool good;
		hl_buffer_init(&bytes, (size_t)256 << 20);
		snprintf(now_reading, sizeof(now_reading), "%s", list[i].name);
		if (!list[i].make(&bytes)) {
			fprintf(stderr, "%s: could not be made\n", list[i].name);
			hl_buffer_free(&bytes);
			all = false;
			continue;
		}
		start = seconds();
		good = feed(list[i].kind, (const uint8_t *)bytes.data, bytes.length, &verdict);
		if (verdict != (list[i].refused ? REFUSED : READ)) {
			fprintf(stderr, "%s: should have been %s\n", list[i].name,
			        list[i].refused ? "refused" : "read");
			good = false;
		}
		printf("%-40s %9zu bytes  %-7s %6.2f s\n", list[i].name, bytes.length,
		       verdict == REFUSED ? "refused" : "read", seconds() - start);
		all = all && good;
		hl_buffer_free(&bytes);
	}
	return all;
}

static bool check_memory(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	printf("most memory held: %ld MiB\n", usage.ru_maxrss >> 10);
#if defined(__SANITIZE_ADDRESS__)
	return true; /* freed memory is kept in quarantine */
#else
	return usage.ru_maxrss < MEMORY_MAX_KB;
#endif
}

int main(int argc, char **argv)
{
	static struct sample samples[SAMPLES_MAX];
	const char *which = argc > 1 ? argv[1] : "all";
	long files = argc > 2 ? strtol(argv[2], NULL, 10) : 2000;
	uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
	bool all = strcmp(which, "all") == 0, known = all, good = true;
	size_t count = samples_make(samples);

	if (count == 0 || files < 0)
		return 1;
	/* Here, where a crash is one. */
	hilum_sandbox(false);
	signal(SIGALRM, on_signal);
	signal(SIGABRT, on_signal);
#if !defined(__SANITIZE_ADDRESS__)
	signal(SIGSEGV, on_signal);
	signal(SIGBUS, on_signal);
	signal(SIGFPE, on_signal);
#endif
	for (int kind = 0; kind < SAMPLE_KIND_COUNT; kind++) {
		if (!all && strcmp(which, kind_names[kind]) != 0)
			continue;
		known = true;
		good = mutate_kind(samples, count, (enum sample_kind)kind, all ? files / SAMPLE_KIND_COUNT : files,
		                   seed) &&
		       good;
	}
	if (all || strcmp(which, "bombs") == 0) {
		known = true;
		good = feed_bombs(bombs, bomb_count) && good;
		good = feed_bombs(volume_bombs, volume_bomb_count) && good;
		good = feed_bombs(dicom_bombs, dicom_bomb_count) && good;
	}
	samples_free(samples, count);
	if (!known) {
		fprintf(stderr, "mutate [jpeg|png|tiff|csv|nifti|metaimage|dicom|archive|bombs|all] [COUNT] [SEED]\n");
		return 2;
	}
	return check_memory() && good ? 0 : 1;
}
