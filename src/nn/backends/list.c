#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "nn/backend.h"

static const struct hl_backend *const every[] = {
#if defined(__x86_64__)
    &hl_backend_avx512,
#endif
    &hl_backend_vector, &hl_backend_onednn, &hl_backend_reference, NULL};

#define COUNT (sizeof(every) / sizeof(every[0]))

static const struct hl_backend *chosen[COUNT];
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Whether a comma-separated list holds a name. */
static bool listed(const char *list, const char *name)
{
	size_t length = strlen(name);
	while (*list) {
		size_t item = strcspn(list, ",");
		if (item == length && strncmp(list, name, length) == 0)
			return true;
		list += item + (list[item] == ',');
	}
	return false;
}

/* A list that names no back end would leave nothing to compute with, and is put aside with a warning. */
static void choose(void)
{
	const char *list = getenv("HILUM_BACKENDS");
	size_t count = 0;
	for (size_t i = 0; list && *list && every[i]; i++)
		if (listed(list, every[i]->name))
			chosen[count++] = every[i];
	if (count > 0)
		return;
	if (list && *list)
		hl_log(HILUM_LOG_WARNING, "HILUM_BACKENDS=%s names no back end; all are used", list);
	memcpy(chosen, every, sizeof(every));
}

const struct hl_backend *const *hl_backends(void)
{
	pthread_once(&once, choose);
	return chosen;
}
