/*
 * histogram.c: reading log-spaced histograms.
 */
#include "postgres.h"

#include <math.h>

#include "stores/histogram.h"

uint64
pgweir_histogram_upper(int bucket)
{
	int			e;

	if (bucket < 4)
		return (uint64) bucket;
	e = bucket / 4 + 1;
	return (UINT64CONST(1) << e) + ((uint64) (bucket % 4 + 1) << (e - 2)) - 1;
}

void
pgweir_histogram_quantiles(const uint64 *hist, const double *p, int n, uint64 *result)
{
	uint64		total = 0;
	uint64		seen = 0;
	int			bucket = -1;

	for (int i = 0; i < PGWEIR_BUCKETS; i++)
		total += hist[i];
	for (int i = 0; i < n; i++)
	{
		uint64		rank = Min(Max((uint64) ceil(p[i] * (double) total), 1), total);

		while (seen < rank && bucket < PGWEIR_BUCKETS - 1)
			seen += hist[++bucket];
		result[i] = bucket < 0 ? 0 : pgweir_histogram_upper(bucket);
	}
}

uint64
pgweir_histogram_quantile(const uint64 *hist, double p)
{
	uint64		result;

	pgweir_histogram_quantiles(hist, &p, 1, &result);
	return result;
}
