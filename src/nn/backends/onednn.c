/* The oneDNN back end: what its primitives share, and which node goes where. */
#include "nn/backends/onednn.h"
#include "base/cpu.h"
#include <omp.h>
#include <pthread.h>
#include <string.h>

static dnnl_engine_t engine;
static bool wide;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void start(void)
{
	struct hl_cpu cpu = hl_cpu_describe();

	/* Only where HILUM_CPU hides what there is. */
	if (!cpu.avx512)
		dnnl_set_max_cpu_isa(cpu.avx2 ? dnnl_cpu_isa_avx2 : dnnl_cpu_isa_sse41);
	if (dnnl_engine_create(&engine, dnnl_cpu, 0) != dnnl_success)
		engine = NULL;
	wide = ((unsigned)dnnl_get_effective_cpu_isa() & (unsigned)dnnl_cpu_isa_avx512_core) ==
	       (unsigned)dnnl_cpu_isa_avx512_core;
}

dnnl_engine_t hl_onednn_engine(void)
{
	pthread_once(&once, start);
	return engine;
}

bool hl_onednn_wide(void)
{
	pthread_once(&once, start);
	return wide;
}

enum hilum_status hl_onednn_fail(struct hilum_error *error, dnnl_status_t status, const char *what)
{
	switch (status) {
	case dnnl_out_of_memory:
		return hl_fail(error, HILUM_ERROR_MEMORY, "out of memory (oneDNN, %s)", what);
	case dnnl_unimplemented:
	case dnnl_invalid_arguments:
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "onednn: no %s of this kind", what);
	default:
		return hl_fail(error, HILUM_ERROR_INTERNAL, "onednn: %s: status %d", what, (int)status);
	}
}

dnnl_status_t hl_onednn_execute(dnnl_primitive_t primitive, dnnl_stream_t stream, int count,
                                const dnnl_exec_arg_t *arguments, int32_t threads)
{
	int before = omp_get_max_threads();
	dnnl_status_t status;

	omp_set_num_threads(threads);
	status = dnnl_primitive_execute(primitive, stream, count, arguments);
	omp_set_num_threads(before);
	return status;
}

dnnl_status_t hl_onednn_plain(dnnl_memory_desc_t *md, int rank, const dnnl_dims_t dims, dnnl_data_type_t type)
{
	static const dnnl_format_tag_t tags[] = {dnnl_a, dnnl_a, dnnl_ab, dnnl_abc, dnnl_abcd, dnnl_abcde, dnnl_abcdef};

	return dnnl_memory_desc_init_by_tag(md, rank, dims, type, tags[rank]);
}

dnnl_status_t hl_onednn_reorder_create(struct hl_onednn_reorder *reorder, const dnnl_memory_desc_t *from,
                                       const dnnl_memory_desc_t *to)
{
	dnnl_primitive_desc_t pd = NULL;
	dnnl_status_t status = dnnl_reorder_primitive_desc_create(&pd, from, engine, to, engine, NULL);

	if (!status)
		status = dnnl_primitive_create(&reorder->primitive, pd);
	if (!status)
		status = dnnl_memory_create(&reorder->from, from, engine, DNNL_MEMORY_NONE);
	if (!status)
		status = dnnl_memory_create(&reorder->to, to, engine, DNNL_MEMORY_NONE);
	dnnl_primitive_desc_destroy(pd);
	return status;
}

void hl_onednn_reorder_run(const struct hl_onednn_reorder *reorder, dnnl_stream_t stream, const void *from, void *to,
                           int32_t threads)
{
	dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, reorder->from}, {DNNL_ARG_TO, reorder->to}};

	dnnl_memory_set_data_handle(reorder->from, hl_onednn_unconst(from));
	dnnl_memory_set_data_handle(reorder->to, to);
	hl_onednn_execute(reorder->primitive, stream, 2, arguments, threads);
}

void hl_onednn_reorder_destroy(struct hl_onednn_reorder *reorder)
{
	dnnl_primitive_destroy(reorder->primitive);
	dnnl_memory_destroy(reorder->from);
	dnnl_memory_destroy(reorder->to);
}

bool hl_onednn_layout(const dnnl_memory_desc_t *md, struct hl_shape shape, struct hl_layout *out)
{
	const dnnl_blocking_desc_t *blocking = &md->format_desc.blocking;
	int spatial = md->ndims - 2;

	if (md->format_kind != dnnl_blocked || md->data_type != dnnl_f32 || md->offset0 != 0 || spatial < 2)
		return false;
	if (blocking->inner_nblks > 1 || (blocking->inner_nblks == 1 && blocking->inner_idxs[0] != 1))
		return false;
	*out = (struct hl_layout){
	    .shape = shape,
	    .stride_n = blocking->strides[0],
	    .stride_d = spatial == 3 ? blocking->strides[2] : 0,
	    .stride_h = blocking->strides[spatial],
	    .stride_w = blocking->strides[spatial + 1],
	    .stride_block = blocking->strides[1],
	};
	if (blocking->inner_nblks == 1)
		out->block = blocking->inner_blks[0];
	else
		out->block = blocking->strides[1] == 1 ? shape.c : 1;
	return true;
}

dnnl_status_t hl_onednn_attributes(dnnl_primitive_attr_t *out)
{
	dnnl_status_t status = dnnl_primitive_attr_create(out);

	if (!status)
		status = dnnl_primitive_attr_set_scratchpad_mode(*out, dnnl_scratchpad_mode_user);
	return status;
}

static enum hilum_status compile(const struct hl_compile *request, struct hl_primitive **out, struct hilum_error *error)
{
	enum hilum_status (*make)(const struct hl_compile *, struct hl_primitive **, struct hilum_error *) = NULL;
	int before = omp_get_max_threads();
	enum hilum_status status;

	if (!hl_onednn_engine())
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "onednn: no engine on this processor");
	if (strcmp(request->op->name, "conv") == 0)
		make = hl_onednn_conv;
	if (strcmp(request->op->name, "dense") == 0)
		make = hl_onednn_dense;
	if (!make || (request->links > 0 && make != hl_onednn_conv))
		return hl_fail(error, HILUM_ERROR_UNSUPPORTED, "onednn: no %s here%s", request->op->name,
		               request->links > 0 ? " with others" : "");
	/* Primitives are laid out for the threads there are when they are made. */
	omp_set_num_threads(request->threads > 0 ? request->threads : 1);
	status = make(request, out, error);
	omp_set_num_threads(before);
	return status;
}

const struct hl_backend hl_backend_onednn = {.name = "onednn", .compile = compile};
