#include "eval/json.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>

json_t *hl_json_number(double value)
{
	return isfinite(value) ? json_real(value) : json_null();
}

json_t *hl_json_interval(struct hl_interval interval)
{
	return isnan(interval.low) ? json_null() : json_pack("[f,f]", interval.low, interval.high);
}

json_t *hl_json_resampling(int64_t resamples, size_t groups)
{
	if (resamples == 0)
		return json_null();
	return json_pack("{s:f,s:s,s:I,s:b}", "level", 0.95, "method", "cluster bootstrap", "resamples",
	                 (json_int_t)resamples, "independent_cases", groups == 0);
}

char *hl_json_dump(json_t *root)
{
	char *dumped = json_dumps(root, JSON_REAL_PRECISION(17));
	char *copy = dumped ? hl_strdup(dumped) : NULL;
	free(dumped);
	json_decref(root);
	return copy;
}
