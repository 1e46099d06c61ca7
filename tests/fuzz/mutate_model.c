/* Mutated and truncated model files and architecture texts: each must be refused with a typed error or load as a sound
 * model; no crash, no hang, no memory beyond the limit.   mutate_model [COUNT [SEED]] */
#include "base/buffer.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "model/model.h"
#include "model/quantization.h"
#include "nn/arch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static const char *const bombs[] = {
    "input 1x65536x65536x3\nconv filters=8 size=3\nflatten\ndense units=1\n",
    "input 1x64x64x1\nconv filters=1000000000 size=3\nglobalpool\ndense units=1\n",
    "input 1x64x64x1\nconv filters=8 size=1000000\nglobalpool\ndense units=1\n",
    "input 1x64x64x1\npad pad=1000000\nglobalpool\ndense units=1\n",
    "input 1x64x64x1\nflatten\ndense units=2000000000\ndense units=1\n",
    "input 9223372036854775807x9223372036854775807x9223372036854775807x1\nglobalpool\ndense units=1\n",
    "input 1x1x1x1\nconv filters=8 size=0\n",
    "input 1x1x1x-1\n",
    "input\n",
    "",
    "conv",
    "input 1x8x8x1\na: relu from=a\n",
    "input 1x8x8x1\nadd from=input,input,input,input,input,input,input,input,input,input\n",
};

/* A model file of the given texts with no tensors: what a hostile author would write. */
static void write_bomb(const char *path, const char *arch)
{
	struct hl_text text[] = {{(char *)(uintptr_t) "format", (char *)(uintptr_t) "hilum 1"},
	                         {(char *)(uintptr_t) "architecture", (char *)(uintptr_t)arch},
	                         {(char *)(uintptr_t) "classes", (char *)(uintptr_t) "[\"a\",\"b\"]"}};
	struct hilum_error error;
	if (hl_safetensors_write(path, NULL, 0, text, 3, &error)) {
		fprintf(stderr, "%s\n", error.message);
		exit(EXIT_FAILURE);
	}
}

static int failures, refused, loaded;
static double slowest;

static void try_load(const char *path, const char *what)
{
	struct hilum_error error = {HILUM_OK, ""};
	struct hilum_model *model = NULL;
	double started = now();
	enum hilum_status status = hl_model_load(path, &model, &error);
	double seconds = now() - started;
	slowest = fmax(slowest, seconds);
	bool typed =
	    status > HILUM_OK && status < HILUM_STATUS_COUNT && status != HILUM_ERROR_INTERNAL && error.message[0];
	if (status && (!typed || model)) {
		failures++;
		printf("%s: status %d, message \"%s\"\n", what, status, error.message);
	}
	if (seconds > 5) {
		failures++;
		printf("%s: took %.1f s\n", what, seconds);
	}
	if (status) {
		refused++;
	} else {
		loaded++;
		hilum_model_close(model);
	}
}

static void mutate(struct hl_random *random, char *bytes, size_t *length)
{
	/* Half of the changes go to the header, where the structure is. */
	size_t header = 8 + (size_t)(uint8_t)bytes[0] + ((size_t)(uint8_t)bytes[1] << 8);
	uint32_t changes = 1 + hl_random_below(random, 8);
	for (uint32_t i = 0; i < changes; i++) {
		size_t range = hl_random_below(random, 2) && header < *length ? header : *length;
		size_t at = hl_random_below(random, (uint32_t)range);
		switch (hl_random_below(random, 5)) {
		case 0:
			bytes[at] ^= (char)(1 << hl_random_below(random, 8));
			break;
		case 1:
			bytes[at] = (char)hl_random_u32(random);
			break;
		case 2: /* digits are where the sizes are */
			for (size_t k = at; k < range; k++)
				if (bytes[k] >= '0' && bytes[k] <= '9') {
					bytes[k] = (char)('0' + hl_random_below(random, 10));
					break;
				}
			break;
		case 3:
			memset(bytes + at, (int)hl_random_below(random, 256), range - at < 16 ? range - at : 16);
			break;
		default:
			if (i == 0)
				*length = at;
			break;
		}
		if (*length == 0)
			return;
	}
}

static const char calibration[] = "{\"map\":{\"kind\":\"isotonic\",\"from\":[0.1,0.5,0.9],\"to\":[0.2,0.4,0.7]},"
                                  "\"conformal\":{\"alpha\":0.1,\"low_below\":0.2,\"high_above\":0.8}}";

static const char domain[] = "{\"chest\":{\"looked\":40,\"chests\":39,\"rule\":true},\"traits\":{\"mean\":[0.5,0.25],"
                             "\"factor\":[1.0,0.5,0.75],\"threshold\":1.5,\"rate\":0.01,\"cases\":120,"
                             "\"part\":\"val\"}}";

static char *quantization(const struct hl_graph *graph)
{
	struct hl_quant quant[64];
	for (int i = 0; i < 64; i++)
		quant[i] = (struct hl_quant){.scale = 0.125F, .zero = 17, .offset = 0.01F};
	return graph->nodes <= 64 ? hl_quantization_print(graph, quant, "{}") : NULL;
}

int main(int argc, char **argv)
{
	int count = argc > 1 ? atoi(argv[1]) : 400;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	char folder[] = "/tmp/hilum-mutate-XXXXXX", path[64];
	char *classes[] = {(char *)(uintptr_t) "normal", (char *)(uintptr_t) "nodule"};
	struct hilum_error error;
	struct hilum_model *model = NULL;
	struct hl_buffer text, whole = {0};
	hl_buffer_init(&text, 1 << 20);
	if (!mkdtemp(folder))
		return EXIT_FAILURE;
	snprintf(path, sizeof(path), "%s/m.hilum", folder);
	struct hl_shape input = {.n = 1, .d = 1, .h = 32, .w = 32, .c = 1};
	if (hl_arch_text("seed filters=4,8 dense=8", &text, &error) ||
	    hl_model_create(text.data, input, classes, 2, 1, &model, &error) ||
	    !(model->calibration = hl_strdup(calibration)) || !(model->domain = hl_strdup(domain)) ||
	    !(model->quantization = quantization(model->graph)) || hl_model_save(model, path, &error) ||
	    hl_file_read(path, 1 << 24, &whole, &error)) {
		fprintf(stderr, "%s\n", error.message);
		return EXIT_FAILURE;
	}
	char *bytes = hl_alloc(whole.length, 1);
	for (int i = 0; bytes && i < count; i++) {
		struct hl_random random = hl_random_stream(seed, 0, (uint32_t)i, HL_RANDOM_TEST);
		size_t length = whole.length;
		char what[64];
		memcpy(bytes, whole.data, length);
		mutate(&random, bytes, &length);
		FILE *file = fopen(path, "wb");
		if (!file || fwrite(bytes, 1, length, file) != length || fclose(file) != 0)
			return EXIT_FAILURE;
		snprintf(what, sizeof(what), "mutation %d of seed %llu", i, (unsigned long long)seed);
		try_load(path, what);
	}
	for (size_t i = 0; i < sizeof(bombs) / sizeof(bombs[0]); i++) {
		int before = loaded;
		write_bomb(path, bombs[i]);
		try_load(path, bombs[i]);
		if (loaded != before) {
			failures++;
			printf("loaded: %s\n", bombs[i]);
		}
	}
	unlink(path);
	rmdir(folder);
	hl_free(bytes);
	hl_buffer_free(&whole);
	hl_buffer_free(&text);
	hilum_model_close(model);
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	printf("%d refused, %d sound, slowest %.3f s, peak memory %ld MiB, %d failures\n", refused, loaded, slowest,
	       usage.ru_maxrss / 1024, failures);
	/* Sanitizers keep freed memory; the limit is meant for the plain program. */
#ifndef __SANITIZE_ADDRESS__
	if (usage.ru_maxrss > 1024 * 1024)
		failures++;
#endif
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
