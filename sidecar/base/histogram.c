/*
 * histogram.c: reading histograms back.
 */
#include "base/histogram.h"

usec_t
histogram_upper(int bucket)
{
	int shift;

	if (bucket < 4)
		return bucket < 0 ? 0 : bucket;
	if (bucket >= HISTOGRAM_BUCKETS)
		bucket = HISTOGRAM_BUCKETS - 1;
	/* e = bucket / 4 + 1; the bucket covers (4 + sub) << (e - 2) up to the next one's first value */
	shift = bucket / 4 - 1;
	return ((usec_t) (5 + bucket % 4) << shift) - 1;
}

usec_t
histogram_quantile(const Histogram *h, double p)
{
	uint64_t total = 0;
	uint64_t seen = 0;
	double rank;

	for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
		total += h->count[i];
	if (total == 0)
		return 0;
	rank = p <= 0 ? 0 : (p >= 1 ? 1 : p) * (double) total;
	for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
	{
		seen += h->count[i];
		if (h->count[i] > 0 && (double) seen >= rank)
			return histogram_upper(i);
	}
	return histogram_upper(HISTOGRAM_BUCKETS - 1);
}
