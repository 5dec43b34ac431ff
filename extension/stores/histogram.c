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

uint64
pgweir_histogram_quantile(const uint64 *hist, double p)
{
	uint64		total = 0;
	uint64		seen = 0;
	uint64		rank;

	for (int i = 0; i < PGWEIR_BUCKETS; i++)
		total += hist[i];
	if (total == 0)
		return 0;
	rank = (uint64) ceil(p * (double) total);
	rank = Min(Max(rank, 1), total);
	for (int i = 0; i < PGWEIR_BUCKETS; i++)
	{
		seen += hist[i];
		if (seen >= rank)
			return pgweir_histogram_upper(i);
	}
	return pgweir_histogram_upper(PGWEIR_BUCKETS - 1);
}
