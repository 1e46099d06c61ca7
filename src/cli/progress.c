/* Progress of a training: a moving line on a terminal, plain lines otherwise. */
#include "cli.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static bool line_shown;

bool cli_is_terminal(void)
{
	const char *no_color = getenv("NO_COLOR"), *terminal = getenv("TERM");
	return isatty(STDERR_FILENO) && !(no_color && *no_color) && !(terminal && strcmp(terminal, "dumb") == 0);
}

void cli_clear_line(void)
{
	if (line_shown)
		fputs("\r\033[K", stderr);
	line_shown = false;
}

void cli_moving_line(const char *format, ...)
{
	va_list arguments;
	fputs("\r\033[K", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fflush(stderr);
	line_shown = true;
}

void cli_count(void *context, const char *what, int64_t done, int64_t total)
{
	static time_t last;
	time_t second = time(NULL);
	if (second == last && done < total)
		return;
	if (cli_is_terminal())
		cli_moving_line("%s %lld of %lld %s", what, (long long)done, (long long)total, (const char *)context);
	else if (second - last >= 10 || done == total)
		fprintf(stderr, "%s %lld of %lld %s\n", what, (long long)done, (long long)total, (const char *)context);
	else
		return;
	last = second;
}

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void print_duration(double seconds)
{
	int total = seconds < 0 || seconds > 1e8 ? 0 : (int)(seconds + 0.5);
	if (total >= 3600)
		fprintf(stderr, "%d h %02d min", total / 3600, total / 60 % 60);
	else if (total >= 60)
		fprintf(stderr, "%d min %02d s", total / 60, total % 60);
	else
		fprintf(stderr, "%d s", total);
}

static void print_epoch(const struct hilum_progress *progress)
{
	fprintf(stderr, "epoch %3lld/%lld  loss %.4f", (long long)progress->epoch, (long long)progress->epochs,
	        progress->loss);
	if (!isnan(progress->validation_loss))
		fprintf(stderr, "  val loss %.4f", progress->validation_loss);
	if (!isnan(progress->validation_auc))
		fprintf(stderr, "  AUC %.3f", progress->validation_auc);
	if (!isnan(progress->validation_accuracy))
		fprintf(stderr, "  accuracy %.3f", progress->validation_accuracy);
	fprintf(stderr, "  %.1f images/s  ", progress->images_per_second);
	print_duration(progress->seconds_left);
	fprintf(stderr, " left%s\n", progress->best ? "  best so far" : "");
}

static void print_moving(const struct hilum_progress *progress)
{
	enum { BAR = 20 };
	int filled = (int)(BAR * progress->step / (progress->steps > 0 ? progress->steps : 1));
	fprintf(stderr, "\r\033[Kepoch %3lld/%lld [", (long long)progress->epoch, (long long)progress->epochs);
	for (int i = 0; i < BAR; i++)
		fputc(i < filled ? '#' : '.', stderr);
	fprintf(stderr, "] loss %.4f  %.1f images/s  ", progress->loss, progress->images_per_second);
	print_duration(progress->seconds_left);
	fputs(" left", stderr);
	fflush(stderr);
	line_shown = true;
}

void cli_progress(void *context, const struct hilum_progress *progress)
{
	static double last;
	(void)context;
	if (progress->epoch_done) {
		cli_clear_line();
		print_epoch(progress);
	} else if (cli_is_terminal() && now() - last > 0.2) {
		last = now();
		print_moving(progress);
	}
}
