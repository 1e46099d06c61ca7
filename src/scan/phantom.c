#include "scan/phantom_canvas.h"

#include <math.h>

/* What the scanner does to the picture: blur, an edge-enhancing filter, streaks, noise. */
void hl_phantom_scanner(struct hl_canvas *canvas, uint32_t variant)
{
	struct hl_random random = hl_canvas_stream(canvas, HL_PART_SCANNER);
	struct hl_random white = hl_canvas_stream(canvas, HL_PART_SCANNER + HL_PART_TEXTURE + variant);
	int32_t size = canvas->size;
	size_t count = (size_t)size * (size_t)size;
	double psf = hl_random_range(&random, 0.45, 0.85) / canvas->pixel, sharpen = hl_random_range(&random, 0, 0.45);
	double dose = 12 * hl_phantom_exp(hl_random_range(&random, 0, 1.5)), streak = hl_random_range(&random, 0, 9);
	bool round = hl_random_uniform(&random) < 0.3;

	hl_canvas_blur(canvas, canvas->hu, canvas->hu, psf);
	hl_canvas_blur(canvas, canvas->hu, canvas->spare, 1.6 * psf + 0.2);
	for (size_t i = 0; i < count; i++)
		canvas->hu[i] += (float)sharpen * (canvas->hu[i] - canvas->spare[i]);

	/* Filtered back projection leaves little noise at low frequencies: a narrow blur less part of a wide one
	 * (Riederer, Pelc and Chesler 1978). Both scale with the reconstruction kernel, in millimetres. */
	float narrow[HL_KERNEL_MAX], wide[HL_KERNEL_MAX];
	double s0 = fmax(0.55 / canvas->pixel, 0.35), s1 = 2.2 * s0, part = 0.7, a = 0, b = 0, ab = 0;
	int n0 = hl_kernel(s0, narrow), n1 = hl_kernel(s1, wide);
	for (int k = 0; k < n1; k++) {
		double x = k < n0 ? (double)narrow[k] : 0, y = (double)wide[k], twice = k ? 2 : 1;
		a += twice * x * x;
		b += twice * y * y;
		ab += twice * x * y;
	}
	double spread = sqrt(a * a - 2 * part * ab * ab + part * part * b * b);
	double amplitude = dose * fmin(1, sqrt(0.75 / canvas->pixel)) / spread;
	/* The lung's share is not needed any more: its plane holds the noise. */
	float *noise = canvas->lung, *slow = canvas->spare;
	hl_canvas_white(white, noise, count);
	hl_canvas_blur(canvas, noise, slow, s1);
	hl_canvas_blur(canvas, noise, noise, s0);

	float *bands = canvas->cover;
	hl_canvas_white(white, bands, (size_t)size);
	for (int32_t y = 0; y < size; y++) {
		for (int32_t x = 0; x < size; x++) {
			size_t i = (size_t)y * size + x;
			double u = (2.0 * x / size - 1) * size * canvas->pixel / 330,
			       v = (2.0 * y / size - 1) * size * canvas->pixel / 260;
			double inside = 1 / (1 + u * u * u * u + v * v * v * v);
			double value = (double)canvas->hu[i] +
			               amplitude * (0.35 + 0.65 * inside) * (double)(noise[i] - (float)part * slow[i]);
			value += streak * inside * (double)bands[y] / (1 + 40 * (1 - inside));
			double px = x + 0.5 - size / 2.0, py = y + 0.5 - size / 2.0;
			if (round && px * px + py * py > 0.25 * size * size)
				value = -1024;
			canvas->hu[i] = (float)value;
		}
	}
}

void hl_phantom_anatomy(struct hl_canvas *canvas, struct hl_patient *patient)
{
	size_t count = (size_t)canvas->size * (size_t)canvas->size;
	for (size_t i = 0; i < count; i++)
		canvas->hu[i] = -1000;
	hl_phantom_couch(canvas, patient);
	hl_phantom_body(canvas, patient);
	hl_phantom_bones(canvas, patient);
	struct hl_box box = hl_canvas_polygon(canvas, patient->wall, sizeof patient->wall / sizeof *patient->wall);
	hl_canvas_paint(canvas, box, patient->lung);
	for (int32_t y = box.y0; y < box.y1; y++)
		for (int32_t x = box.x0; x < box.x1; x++)
			canvas->lung[(size_t)y * canvas->size + x] = canvas->cover[(size_t)y * canvas->stride + x];
	hl_phantom_mediastinum(canvas, patient);
	hl_phantom_spine(canvas, patient);
	hl_phantom_lungs(canvas, patient);
}

static void draw(struct hl_canvas *canvas, bool neighbour, bool with_lesion, struct hl_lesion *lesion)
{
	struct hl_patient patient;
	hl_phantom_patient(canvas, neighbour, &patient);
	hl_phantom_anatomy(canvas, &patient);
	hl_phantom_distractors(canvas, &patient);
	if (with_lesion)
		hl_phantom_lesion(canvas, neighbour, lesion);
	hl_phantom_scanner(canvas, neighbour ? HL_PART_NEIGHBOUR : 0);
}

enum hilum_status hl_phantom_draw(uint64_t seed, uint32_t index, int32_t size, bool with_lesion, struct hl_phantom *out,
                                  struct hilum_error *error)
{
	struct hl_phantom phantom = {.has_lesion = with_lesion};
	struct hl_canvas canvas;
	if (size < HL_PHANTOM_SIZE_MIN || size > HL_PHANTOM_SIZE_MAX)
		return hl_fail(error, HILUM_ERROR_ARGUMENT, "a phantom of %d pixels a side: not between %d and %d",
		               (int)size, HL_PHANTOM_SIZE_MIN, HL_PHANTOM_SIZE_MAX);
	enum hilum_status status = hl_canvas_init(&canvas, size, error);
	if (status)
		return status;
	status = hl_volume_init(&phantom.volume, size, size, 1, 1, HL_VOXEL_I16, error);
	if (status)
		goto out;
	canvas.seed = seed;
	canvas.index = index & ~HL_PHANTOM_NEIGHBOUR;
	draw(&canvas, index & HL_PHANTOM_NEIGHBOUR, with_lesion, &phantom.lesion);
	phantom.volume.unit = HL_UNIT_HOUNSFIELD;
	phantom.volume.spacing[0] = phantom.volume.spacing[1] = canvas.pixel;
	int16_t *voxels = phantom.volume.voxels;
	for (size_t i = 0; i < (size_t)size * (size_t)size; i++) {
		double value = floor((double)canvas.hu[i] + 0.5);
		voxels[i] = (int16_t)fmin(fmax(value, -1024), 3071);
	}
	*out = phantom;
out:
	hl_canvas_free(&canvas);
	return status;
}
