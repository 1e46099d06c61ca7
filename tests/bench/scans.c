/* Times reading scans, from a cold program with warm files to a volume, for docs/formats.md:
 *   scans ROUNDS PATH...
 * For each path, in turn and ROUNDS times: with the sandbox and without, on one thread and on two, read alone and with
 * resampling to 1 mm. Every measurement is a program of its own: memory and workers are new, as for a user. Processor
 * time is that of the program and all its children; wall time is the least of the rounds, the rest their median. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "hilum/hilum.h"
#include "scan/load.h"
#include "scan/resample.h"

enum { ROUNDS_MAX = 99, WAYS = 6 };

static const struct way {
	bool sandbox, resample;
	int32_t threads, reads;
} ways[WAYS] = {
    {true, true, 2, 1},   {true, false, 2, 1}, {true, false, 1, 1},
    {false, false, 1, 1}, {true, false, 1, 3}, {false, false, 1, 3},
};

struct cost {
	double wall, cpu;
	double busiest; /* the greatest share of cpu that one process had */
	double memory;  /* bytes, of all processes, what they share counted each time */
	double volume;  /* bytes of what was read and made */
};

static double bytes_of(const struct hl_volume *volume)
{
	return (double)volume->width * volume->height * volume->depth * volume->channels *
	       (double)hl_voxel_size(volume->type);
}

/* In a process of its own: reads, and tells how large what it made is. */
static int work(const char *path, const struct way *way, int pipe)
{
	const double spacing[3] = {1, 1, 1};
	const struct hl_load_options options = {.force = true, .threads = way->threads};
	struct hilum_error error = {0};
	double bytes = 0;

	hilum_sandbox(way->sandbox);
	for (int32_t i = 0; i < way->reads; i++) {
		struct hl_volume volume = {0}, made = {0};
		enum hilum_status status = hl_load(path, &options, &volume, NULL, &error);
		bytes = bytes_of(&volume);
		if (!status && way->resample) {
			status = hl_volume_resample(&volume, spacing, volume.type, way->threads, &made, &error);
			bytes += bytes_of(&made);
		}
		hl_volume_free(&volume);
		hl_volume_free(&made);
		if (status) {
			fprintf(stderr, "%s\n", error.message);
			return 1;
		}
	}
	return write(pipe, &bytes, sizeof(bytes)) == (ssize_t)sizeof(bytes) ? 0 : 1;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static double seconds(const struct timeval *time)
{
	return (double)time->tv_sec + (double)time->tv_usec * 1e-6;
}

/* Helper and workers of the sandbox come to this process when theirs ends, and are waited for with it. */
static bool measure(const char *path, const struct way *way, struct cost *cost)
{
	struct rusage usage;
	double start = now();
	bool good = true;
	int ends[2], state;
	pid_t pid, one;

	*cost = (struct cost){0};
	if (pipe(ends))
		return false;
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		close(ends[0]);
		exit(work(path, way, ends[1]));
	}
	close(ends[1]);
	while ((one = wait4(-1, &state, 0, &usage)) > 0) {
		double cpu = seconds(&usage.ru_utime) + seconds(&usage.ru_stime);
		if (one == pid) {
			cost->wall = now() - start;
			good = WIFEXITED(state) && WEXITSTATUS(state) == 0;
		}
		cost->cpu += cpu;
		cost->busiest = cpu > cost->busiest ? cpu : cost->busiest;
		cost->memory += (double)usage.ru_maxrss * 1024;
	}
	cost->busiest /= cost->cpu > 0 ? cost->cpu : 1;
	good = good && read(ends[0], &cost->volume, sizeof(cost->volume)) == (ssize_t)sizeof(cost->volume);
	close(ends[0]);
	return good;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Of one field of a way's rounds: the least and the median. */
static double of_rounds(const struct cost *cost, int rounds, size_t field, bool least)
{
	double value[ROUNDS_MAX];

	for (int i = 0; i < rounds; i++)
		memcpy(&value[i], (const char *)&cost[i] + field, sizeof(double));
	qsort(value, (size_t)rounds, sizeof(double), by_value);
	return value[least ? 0 : rounds / 2];
}
#define MEDIAN(way, field) of_rounds(cost[way], rounds, offsetof(struct cost, field), false)
#define LEAST(way, field) of_rounds(cost[way], rounds, offsetof(struct cost, field), true)

static bool time_scan(const char *path, int rounds)
{
	static struct cost cost[WAYS][ROUNDS_MAX];
	const char *name = strrchr(path, '/');

	for (int i = 0; i < rounds; i++)
		for (int k = 0; k < WAYS; k++)
			if (!measure(path, &ways[k], &cost[k][i]))
				return false;
	/* Of a read after the first one, when workers are there. */
	double with = (MEDIAN(4, cpu) - MEDIAN(2, cpu)) / 2, without = (MEDIAN(5, cpu) - MEDIAN(3, cpu)) / 2;
	printf("| %s | %.0f ms (%.0f) | %.0f ms (%.0f) | %.0f ms (%.0f) | %.2f | %.0f %% | %.0f ms, %.0f ms | "
	       "%.0f + %.0f MiB |\n",
	       name && name[1] ? name + 1 : path, LEAST(0, wall) * 1e3, MEDIAN(0, cpu) * 1e3, LEAST(1, wall) * 1e3,
	       MEDIAN(1, cpu) * 1e3, LEAST(2, wall) * 1e3, MEDIAN(2, cpu) * 1e3, LEAST(2, wall) / LEAST(1, wall),
	       MEDIAN(1, busiest) * 100, with * 1e3, without * 1e3, MEDIAN(0, volume) / (1 << 20),
	       (MEDIAN(0, memory) - MEDIAN(0, volume)) / (1 << 20));
	fflush(stdout);
	return true;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 0;
	bool good = true;

	if (argc < 3 || rounds < 1 || rounds > ROUNDS_MAX) {
		fprintf(stderr, "scans ROUNDS PATH...\n");
		return 2;
	}
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
		return 1;
	printf(
	    "| scan | read and resampled, 2 threads | read, 2 threads | read, 1 thread | 1 / 2 threads, wall | busiest "
	    "process | read again, in the sandbox and without | volumes + memory beside them |\n"
	    "|---|---|---|---|---|---|---|---|\n");
	for (int i = 2; i < argc; i++)
		good = time_scan(argv[i], rounds) && good;
	return good ? 0 : 1;
}
