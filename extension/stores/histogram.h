/*
 * histogram.h: durations in log-spaced buckets, four to an octave.
 *
 * Bucket of v microseconds: v < 4 is its own bucket; else e = floor(log2 v) and the bucket is
 * 4*(e-1) + ((v >> (e-2)) & 3), capped at PGWEIR_BUCKETS - 1.  Reports of the sidecar use the same definition, so
 * that histograms can be added up.  A percentile read back is the bucket's upper edge: at most 25 % too high.
 */
#ifndef PGWEIR_STORES_HISTOGRAM_H
#define PGWEIR_STORES_HISTOGRAM_H

#include "port/pg_bitutils.h"

#define PGWEIR_BUCKETS 128

static inline int
pgweir_histogram_bucket(uint64 us)
{
	int			e;
	int			bucket;

	if (us < 4)
		return (int) us;
	e = pg_leftmost_one_pos64(us);
	bucket = 4 * (e - 1) + (int) ((us >> (e - 2)) & 3);
	return Min(bucket, PGWEIR_BUCKETS - 1);
}

/* The upper edge of a bucket, in microseconds. */
extern uint64 pgweir_histogram_upper(int bucket);

/* And the lower one. */
static inline uint64
pgweir_histogram_lower(int bucket)
{
	return bucket == 0 ? 0 : pgweir_histogram_upper(bucket - 1) + 1;
}

/* n quantiles p (0..1), rising, in microseconds; 0 when empty. */
extern void pgweir_histogram_quantiles(const uint64 *hist, const double *p, int n, uint64 *result);

/* One of them. */
extern uint64 pgweir_histogram_quantile(const uint64 *hist, double p);

#endif
