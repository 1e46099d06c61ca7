#include "eval/distribution.h"

#include <math.h>

double hl_normal_cdf(double x)
{
	return 0.5 * erfc(-x * 0.70710678118654752440);
}

/* Continued fraction of the incomplete beta function (DLMF 8.17.22) by Lentz's method. */
static double fraction(double a, double b, double x)
{
	double c = 1, d = 1 / (1 - (a + b) * x / (a + 1)), value = d;
	for (int m = 1; m < 10000; m++) {
		double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
		double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
		d = 1 / (1 + even * d);
		c = 1 + even / c;
		value *= c * d;
		d = 1 / (1 + odd * d);
		c = 1 + odd / c;
		value *= c * d;
		if (fabs(c * d - 1) < 1e-15)
			break;
	}
	return value;
}

/* The regularised incomplete beta function I_x(a, b). */
static double incomplete_beta(double a, double b, double x)
{
	int sign;
	if (x <= 0 || x >= 1)
		return x > 0;
	double front =
	    exp(lgamma_r(a + b, &sign) - lgamma_r(a, &sign) - lgamma_r(b, &sign) + a * log(x) + b * log1p(-x));
	return x < (a + 1) / (a + b + 2) ? front * fraction(a, b, x) / a : 1 - front * fraction(b, a, 1 - x) / b;
}

double hl_student_cdf(double t, double df)
{
	double tail = 0.5 * incomplete_beta(df / 2, 0.5, df / (df + t * t));
	return t > 0 ? 1 - tail : tail;
}

double hl_student_quantile(double p, double df)
{
	double low = 0, high = 1e6;
	for (int i = 0; i < 100; i++) {
		double middle = (low + high) / 2;
		if (hl_student_cdf(middle, df) < p)
			low = middle;
		else
			high = middle;
	}
	return low;
}
