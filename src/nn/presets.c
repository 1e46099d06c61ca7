#include "nn/presets.h"

#include <stddef.h>
#include <string.h>

/* ---- seed: blocks of convolution, batch norm, ReLU and pooling, then two dense layers ---- */

struct seed {
	struct hilum_sizes filters;
	int64_t size, pool, flat, dense;
	double dropout;
	int head;
	bool batchnorm;
};

enum { HEAD_FLATTEN, HEAD_AVERAGE, HEAD_MAX };
static const char *const heads[] = {"flatten", "average", "max", NULL};

#define INT(field, low, high, value_, help_)                                                                           \
	{                                                                                                              \
		.name = #field, .kind = HILUM_OPTION_INT, .offset = offsetof(struct SETTINGS, field),                  \
		.minimum = (low), .maximum = (high), .initial = (value_), .value = "N", .help = (help_)                \
	}

#define SETTINGS seed
/* The settings of seed and seed3d, which differ in what they are where nothing is said. */
#define SEED_BLOCKS(filters_)                                                                                          \
	{.name = "filters",                                                                                            \
	 .kind = HILUM_OPTION_SIZES,                                                                                   \
	 .offset = offsetof(struct seed, filters),                                                                     \
	 .minimum = 1,                                                                                                 \
	 .maximum = 65536,                                                                                             \
	 .initial = (filters_),                                                                                        \
	 .value = "N,N,...",                                                                                           \
	 .help = "filters of each block; as many blocks"},                                                             \
	    INT(size, 1, 31, "3", "size of the convolutions, padded by its half"),                                     \
	    INT(pool, 1, 31, "2", "size and stride of the pooling after each block; 1: none")
#define SEED_END(dense_, head_)                                                                                        \
	INT(dense, 0, 1048576, (dense_), "units of the hidden dense layer; 0: none"),                                  \
	    {.name = "dropout",                                                                                        \
	     .kind = HILUM_OPTION_REAL,                                                                                \
	     .offset = offsetof(struct seed, dropout),                                                                 \
	     .minimum = 0,                                                                                             \
	     .maximum = 0.99,                                                                                          \
	     .initial = "0.5",                                                                                         \
	     .value = "X",                                                                                             \
	     .help = "share of the hidden values dropped in training; 0: no such layer"},                              \
	    {.name = "head",                                                                                           \
	     .kind = HILUM_OPTION_CHOICE,                                                                              \
	     .offset = offsetof(struct seed, head),                                                                    \
	     .initial = (head_),                                                                                       \
	     .choices = heads,                                                                                         \
	     .help = "what the dense layers see: flatten, every place; average or max, one number a filter over all "  \
	             "places, the last block then without pooling. max finds a small thing wherever it is, from few "  \
	             "pictures"},                                                                                      \
	{                                                                                                              \
		.name = "batchnorm", .kind = HILUM_OPTION_FLAG, .offset = offsetof(struct seed, batchnorm),            \
		.initial = "true", .help = "batch norm after each convolution"                                         \
	}

static const struct hilum_option seed_options[] = {SEED_BLOCKS("32,64,128,128"), SEED_END("128", "flatten"), {0}};
static const struct hilum_option seed3d_options[] = {
    SEED_BLOCKS("16,32,64,128"),
    INT(flat, 0, 16, "1", "first blocks whose pooling leaves the depth: slices lie farther apart than pixels"),
    SEED_END("64", "average"),
    {0}};

static enum hilum_status seed_block(const struct seed *seed, int32_t filters, bool pooled, bool flat,
                                    struct hl_buffer *out, struct hilum_error *error)
{
	enum hilum_status status = hl_buffer_print(out, error, "conv filters=%d size=%d pad=%d\n", filters,
	                                           (int)seed->size, (int)seed->size / 2);
	if (!status && seed->batchnorm)
		status = hl_buffer_print(out, error, "batchnorm\n");
	if (!status)
		status = hl_buffer_print(out, error, "relu\n");
	if (!status && seed->pool > 1 && pooled)
		status = flat ? hl_buffer_print(out, error, "maxpool size=1x%dx%d\n", (int)seed->pool, (int)seed->pool)
		              : hl_buffer_print(out, error, "maxpool size=%d\n", (int)seed->pool);
	return status;
}

static enum hilum_status seed_write(const void *options, struct hl_buffer *out, struct hilum_error *error)
{
	static const char *const ends[] = {
	    [HEAD_FLATTEN] = "flatten", [HEAD_AVERAGE] = "globalpool mode=avg", [HEAD_MAX] = "globalpool mode=max"};
	const struct seed *seed = options;
	enum hilum_status status = HILUM_OK;
	for (int32_t i = 0; i < seed->filters.count && !status; i++)
		status =
		    seed_block(seed, seed->filters.size[i], seed->head == HEAD_FLATTEN || i + 1 < seed->filters.count,
		               i < seed->flat, out, error);
	if (!status)
		status = hl_buffer_print(out, error, "%s\n", ends[seed->head]);
	if (!status && seed->dense > 0)
		status = hl_buffer_print(out, error, "dense units=%d\nrelu\n", (int)seed->dense);
	if (!status && seed->dropout > 0) {
		char rate[64]; /* as a table prints it: with a point in every locale */
		if (!hilum_option_get(hilum_option_find(seed_options, "dropout"), seed, rate, sizeof(rate)))
			return hl_fail(error, HILUM_ERROR_INTERNAL, "a rate that cannot be printed");
		status = hl_buffer_print(out, error, "dropout rate=%s\n", rate);
	}
	return status ? status : hl_buffer_print(out, error, "dense units=$outputs\n");
}
#undef SETTINGS

/* ---- resnet18: He et al., "Deep residual learning for image recognition", CVPR 2016, table 1 ---- *
 * Names are those of torchvision's state dictionary, so that its weights can be told apart by name. */

struct resnet {
	int64_t width, stem;
};

#define SETTINGS resnet
static const struct hilum_option resnet_options[] = {
    INT(width, 1, 4096, "64", "filters of the first stage; each further stage has twice as many"),
    INT(stem, 1, 31, "7", "size of the first convolution, padded by its half"),
    {.name = NULL}};
#undef SETTINGS

/* Two 3x3 convolutions beside a shortcut, which is a 1x1 projection where the shape changes (option B there). */
static enum hilum_status resnet_block(int stage, int block, int64_t filters, const char *before, struct hl_buffer *out,
                                      struct hilum_error *error)
{
	char name[32], shortcut[64];
	int stride = stage > 1 && block == 0 ? 2 : 1;
	enum hilum_status status;
	snprintf(name, sizeof(name), "layer%d.%d", stage, block);
	snprintf(shortcut, sizeof(shortcut), "%s", before);
	status = hl_buffer_print(out, error,
	                         "%s.conv1: conv filters=%lld size=3 stride=%d pad=1 bias=false from=%s\n"
	                         "%s.bn1: batchnorm\n"
	                         "%s.relu1: relu\n"
	                         "%s.conv2: conv filters=%lld size=3 pad=1 bias=false\n"
	                         "%s.bn2: batchnorm\n",
	                         name, (long long)filters, stride, before, name, name, name, (long long)filters, name);
	if (!status && stride > 1) {
		snprintf(shortcut, sizeof(shortcut), "%s.downsample.1", name);
		status = hl_buffer_print(out, error,
		                         "%s.downsample.0: conv filters=%lld size=1 stride=%d bias=false from=%s\n"
		                         "%s.downsample.1: batchnorm\n",
		                         name, (long long)filters, stride, before, name);
	}
	if (!status)
		status = hl_buffer_print(out, error,
		                         "%s.add: add from=%s.bn2,%s\n"
		                         "%s.relu2: relu\n",
		                         name, name, shortcut, name);
	return status;
}

/* The stages behind the stem, whose last layer is before. */
static enum hilum_status resnet_stages(const struct resnet *resnet, const char *stem, struct hl_buffer *out,
                                       struct hilum_error *error)
{
	char before[64];
	enum hilum_status status = HILUM_OK;
	snprintf(before, sizeof(before), "%s", stem);
	for (int stage = 1; stage <= 4; stage++)
		for (int block = 0; block < 2 && !status; block++) {
			status = resnet_block(stage, block, resnet->width << (stage - 1), before, out, error);
			snprintf(before, sizeof(before), "layer%d.%d.relu2", stage, block);
		}
	if (!status)
		status = hl_buffer_print(out, error, "avgpool: globalpool\nfc: dense units=$outputs\n");
	return status;
}

static enum hilum_status resnet_write(const void *options, struct hl_buffer *out, struct hilum_error *error)
{
	const struct resnet *resnet = options;
	enum hilum_status status =
	    hl_buffer_print(out, error,
	                    "conv1: conv filters=%lld size=%lld stride=2 pad=%lld bias=false\n"
	                    "bn1: batchnorm\n"
	                    "relu: relu\n"
	                    "maxpool: maxpool size=3 stride=2 pad=1\n",
	                    (long long)resnet->width, (long long)resnet->stem, (long long)resnet->stem / 2);
	return status ? status : resnet_stages(resnet, "maxpool", out, error);
}

/* As torchvision's r3d_18 (Tran et al., "A closer look at spatiotemporal convolutions for action recognition", CVPR
 * 2018): filters over three slices, the first step in plane only, and no pooling before the stages. */
static enum hilum_status resnet3d_write(const void *options, struct hl_buffer *out, struct hilum_error *error)
{
	const struct resnet *resnet = options;
	long long stem = resnet->stem, half = resnet->stem / 2;
	enum hilum_status status =
	    hl_buffer_print(out, error,
	                    "conv1: conv filters=%lld size=3x%lldx%lld stride=1x2x2 pad=1x%lldx%lld bias=false\n"
	                    "bn1: batchnorm\n"
	                    "relu: relu\n",
	                    (long long)resnet->width, stem, stem, half, half);
	return status ? status : resnet_stages(resnet, "relu", out, error);
}

/* ---- the list ---- */

const struct hl_preset hl_presets[] = {
    {"seed", "blocks of convolution, batch norm, ReLU and pooling, then two dense layers", seed_options,
     sizeof(struct seed), seed_write},
    {"resnet18", "residual network of 18 layers", resnet_options, sizeof(struct resnet), resnet_write},
    {"seed3d", "seed for volumes and stacks", seed3d_options, sizeof(struct seed), seed_write},
    {"resnet18-3d", "residual network of 18 layers for volumes and stacks", resnet_options, sizeof(struct resnet),
     resnet3d_write},
    {.name = NULL}};

const struct hl_preset *hl_preset_find(const char *text, size_t length)
{
	for (const struct hl_preset *preset = hl_presets; preset->name; preset++)
		if (strlen(preset->name) == length && strncmp(preset->name, text, length) == 0)
			return preset;
	return NULL;
}
