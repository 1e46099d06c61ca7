#include "base/parallel.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#include "base/cpu.h"

enum { THREADS_MAX = 256 };

struct work {
	atomic_int next;
	int32_t count;
	void (*run)(void *context, int32_t index);
	void *context;
};

static void *take(void *context)
{
	struct work *work = context;
	int32_t index;

	while ((index = atomic_fetch_add(&work->next, 1)) < work->count)
		work->run(work->context, index);
	return NULL;
}

void hl_parallel(int32_t count, int32_t threads, void (*run)(void *context, int32_t index), void *context)
{
	struct work work = {.count = count, .run = run, .context = context};
	pthread_t helper[THREADS_MAX];
	int32_t helpers = 0;

	if (threads <= 0)
		threads = hl_cpu_count();
	if (threads > count)
		threads = count;
	if (threads > THREADS_MAX)
		threads = THREADS_MAX;
	while (helpers < threads - 1 && pthread_create(&helper[helpers], NULL, take, &work) == 0)
		helpers++;
	take(&work);
	while (helpers > 0)
		pthread_join(helper[--helpers], NULL);
}
