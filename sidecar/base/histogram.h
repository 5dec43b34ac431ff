/*
 * histogram.h: durations in log-spaced buckets, four to an octave.
 *
 * Bucket of v microseconds: v < 4 is its own bucket; else e = floor(log2 v) and the bucket is
 * 4*(e-1) + ((v >> (e-2)) & 3), capped at HISTOGRAM_BUCKETS - 1.  The extension uses the same definition, so
 * that histograms can be added up.  A percentile read back is the largest value of its bucket: at most 25 % too high.
 *
 * A Histogram is to be read; what is counted in by the thousand is a SparseHistogram, which has memory only for octaves that have been seen.
 */
#ifndef PGWEIR_BASE_HISTOGRAM_H
#define PGWEIR_BASE_HISTOGRAM_H

#include <stddef.h>

#include "base/clock.h"

#define HISTOGRAM_BUCKETS 128

typedef struct Histogram
{
	uint64_t count[HISTOGRAM_BUCKETS];
} Histogram;

static inline int
histogram_bucket(usec_t v)
{
	int e;
	int bucket;

	if (v < 4)
		return v < 0 ? 0 : (int) v;
	e = 63 - __builtin_clzll((unsigned long long) v);
	bucket = 4 * (e - 1) + (int) ((v >> (e - 2)) & 3);
	return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

static inline void
histogram_add(Histogram *h, usec_t v)
{
	h->count[histogram_bucket(v)]++;
}

/* Zeroed = empty.  Most have values of a few octaves, and zeros: a part is made with its first value. */
#define HISTOGRAM_PART 16
typedef struct SparseHistogram
{
	uint64_t _zeros; /* bucket 0 */
	uint64_t *_parts[HISTOGRAM_BUCKETS / HISTOGRAM_PART]; /* owned; NULL: nothing was counted there */
} SparseHistogram;

extern void sparse_histogram_free(SparseHistogram *h);
/* So many in one bucket.  Without memory for its part they are left out. */
extern void sparse_histogram_count(SparseHistogram *h, int bucket, uint64_t n);
extern void sparse_histogram_merge(SparseHistogram *to, const SparseHistogram *from);
extern void sparse_histogram_read(const SparseHistogram *h, Histogram *out);
static inline void
sparse_histogram_add(SparseHistogram *h, usec_t v)
{
	int bucket = histogram_bucket(v);
	uint64_t *part = h->_parts[bucket / HISTOGRAM_PART];

	if (bucket > 0 && part != NULL)
		part[bucket % HISTOGRAM_PART]++;
	else
		sparse_histogram_count(h, bucket, 1);
}

/* The largest value (microseconds) that falls into a bucket; the last bucket holds everything above as well. */
extern usec_t histogram_upper(int bucket);
/* The p-quantile (0..1); 0 when empty. */
extern usec_t histogram_quantile(const Histogram *h, double p);

#endif
