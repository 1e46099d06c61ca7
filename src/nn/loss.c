#include "nn/loss.h"

#include <math.h>

/* log(1 + exp(z)) without overflow. */
static double softplus(double z)
{
	return fmax(z, 0) + log1p(exp(-fabs(z)));
}

static double logistic(double z)
{
	if (z >= 0)
		return 1 / (1 + exp(-z));
	double e = exp(z);
	return e / (1 + e);
}

static double log_sum_exp(const float *z, int32_t count)
{
	int32_t top = 0;
	double rest = 0;
	for (int32_t k = 1; k < count; k++)
		if (z[k] > z[top])
			top = k;
	for (int32_t k = 0; k < count; k++)
		if (k != top)
			rest += exp((double)z[k] - (double)z[top]);
	return (double)z[top] + log1p(rest);
}

/* One class's part of the loss, -(1-p)^gamma log p, and its derivative by p times p. p is given by its logarithm and
 * 1-p by its own value, because neither follows from the other near 1. Lin et al. 2017, equation 4 and appendix A. */
static double part(double gamma, double log_p, double rest, double *slope)
{
	if (gamma == 0) {
		*slope = -1;
		return -log_p;
	}
	double scale = pow(rest, gamma);
	/* (1-p)^(gamma-1) log p tends to -(1-p)^gamma as p tends to 1. */
	*slope = (rest > 0 ? gamma * exp(log_p) * log_p * scale / rest : 0) - scale;
	return rest > 0 ? -scale * log_p : 0;
}

static double one_logit(const struct hl_loss *loss, const float *logits, const float *target, int64_t n, float *dlogits)
{
	double gamma = loss->kind == HL_LOSS_FOCAL ? loss->gamma : 0, sum = 0;
	double w0 = loss->weight ? loss->weight[0] : 1, w1 = loss->weight ? loss->weight[1] : 1;
	for (int64_t i = 0; i < n; i++) {
		double z = logits[i], slope0, slope1;
		double y = (double)target[i] * (1 - loss->smoothing) + loss->smoothing / 2;
		double p = logistic(z), q = logistic(-z), a1 = w1 * y, a0 = w0 * (1 - y);
		double value = a1 * part(gamma, -softplus(-z), q, &slope1);
		value += a0 * part(gamma, -softplus(z), p, &slope0);
		sum += value;
		if (dlogits)
			dlogits[i] = (float)((a1 * slope1 * q - a0 * slope0 * p) / (double)n);
	}
	return sum / (double)n;
}

/* What the sum over the batch is divided by: PyTorch divides by the weights of the true classes. */
static double total_weight(const struct hl_loss *loss, const float *target, int64_t n)
{
	if (!loss->weight)
		return (double)n;
	double total = 0;
	for (int64_t i = 0; i < n; i++)
		for (int32_t k = 0; k < loss->outputs; k++)
			total += loss->weight[k] * (double)target[i * loss->outputs + k];
	return total;
}

static double many_logits(const struct hl_loss *loss, const float *logits, const float *target, int64_t n,
                          float *dlogits)
{
	double gamma = loss->kind == HL_LOSS_FOCAL ? loss->gamma : 0, sum = 0;
	double total = total_weight(loss, target, n), share = loss->smoothing / loss->outputs;
	int32_t outputs = loss->outputs;
	for (int64_t i = 0; i < n; i++) {
		const float *z = logits + i * outputs, *y = target + i * outputs;
		double whole = log_sum_exp(z, outputs), pull = 0, value = 0, slope;
		for (int32_t k = 0; k < outputs; k++) {
			double a =
			    (loss->weight ? loss->weight[k] : 1) * ((double)y[k] * (1 - loss->smoothing) + share);
			double log_p = (double)z[k] - whole;
			value += a * part(gamma, log_p, -expm1(log_p), &slope);
			pull += a * slope;
		}
		sum += value;
		for (int32_t k = 0; dlogits && k < outputs; k++) {
			double a =
			    (loss->weight ? loss->weight[k] : 1) * ((double)y[k] * (1 - loss->smoothing) + share);
			double log_p = (double)z[k] - whole;
			part(gamma, log_p, -expm1(log_p), &slope);
			dlogits[i * outputs + k] = (float)((a * slope - exp(log_p) * pull) / total);
		}
	}
	return sum / total;
}

double hl_loss_compute(const struct hl_loss *loss, const float *logits, const float *target, int64_t n, float *dlogits)
{
	return loss->outputs == 1 ? one_logit(loss, logits, target, n, dlogits)
	                          : many_logits(loss, logits, target, n, dlogits);
}

void hl_probabilities(const float *logits, int64_t n, int32_t outputs, double *out)
{
	for (int64_t i = 0; i < n; i++) {
		if (outputs == 1) {
			out[2 * i] = logistic(-(double)logits[i]);
			out[2 * i + 1] = logistic(logits[i]);
			continue;
		}
		const float *z = logits + i * outputs;
		double whole = log_sum_exp(z, outputs);
		for (int32_t k = 0; k < outputs; k++)
			out[i * outputs + k] = exp((double)z[k] - whole);
	}
}
