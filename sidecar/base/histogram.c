/*
 * histogram.c: sparse histograms, and reading histograms back.
 */
#include "base/histogram.h"

#include <stdlib.h>

#define PARTS (HISTOGRAM_BUCKETS / HISTOGRAM_PART)

/* --- sparse ones --- */

void
sparse_histogram_free(SparseHistogram *h)
{
	for (int i = 0; i < PARTS; i++)
		free(h->_parts[i]);
	*h = (SparseHistogram){._zeros = 0};
}

void
sparse_histogram_count(SparseHistogram *h, int bucket, uint64_t n)
{
	uint64_t **part = &h->_parts[bucket / HISTOGRAM_PART];

	if (bucket == 0)
		h->_zeros += n;
	else if (*part != NULL || (*part = calloc(HISTOGRAM_PART, sizeof(uint64_t))) != NULL)
		(*part)[bucket % HISTOGRAM_PART] += n;
}

void
sparse_histogram_merge(SparseHistogram *to, const SparseHistogram *from)
{
	to->_zeros += from->_zeros;
	for (int i = 0; i < PARTS; i++)
		for (int k = 0; from->_parts[i] != NULL && k < HISTOGRAM_PART; k++)
			if (from->_parts[i][k] > 0)
				sparse_histogram_count(to, i * HISTOGRAM_PART + k, from->_parts[i][k]);
}

void
sparse_histogram_read(const SparseHistogram *h, Histogram *out)
{
	*out = (Histogram){.count = {h->_zeros}};
	for (int i = 0; i < PARTS; i++)
		for (int k = 0; h->_parts[i] != NULL && k < HISTOGRAM_PART; k++)
			out->count[i * HISTOGRAM_PART + k] += h->_parts[i][k];
}

/* --- reading --- */

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
