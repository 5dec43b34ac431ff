/*
 * histogram_test.c: buckets, their edges and quantiles.
 */
#include "tap.h"
#include "base/histogram.h"

/* The definition again, as a search. */
static int
bucket_by_definition(usec_t v)
{
	int e = 0;
	int bucket;

	if (v < 4)
		return v < 0 ? 0 : (int) v;
	while (v >> (e + 1) > 0)
		e++;
	bucket = 4 * (e - 1) + (int) ((v >> (e - 2)) % 4);
	return bucket > 127 ? 127 : bucket;
}

static void
buckets_follow_the_definition(void)
{
	bool right = true;
	bool monotonic = true;
	bool contiguous = true;
	int before = 0;

	for (usec_t v = 0; v < 300000; v++)
	{
		int bucket = histogram_bucket(v);

		right &= bucket == bucket_by_definition(v);
		monotonic &= bucket >= before;
		contiguous &= bucket <= before + 1;
		before = bucket;
	}
	ok(right, "every value up to 300,000 is in the bucket of the definition");
	ok(monotonic && contiguous, "no bucket is skipped");
	is_int(histogram_bucket(-5), 0, "a negative duration counts as none");
	is_int(histogram_bucket(INT64_MAX), HISTOGRAM_BUCKETS - 1, "the longest is in the last bucket");
	is_int(histogram_bucket(4), 4, "4 us");
	is_int(histogram_bucket(7), 7, "7 us");
	is_int(histogram_bucket(8), 8, "8 us");
	is_int(histogram_bucket(9), 8, "9 us");
	is_int(histogram_bucket(1000000), 4 * 18 + 3, "a second");
}

static void
edges_belong_to_their_buckets(void)
{
	bool inside = true;
	bool tight = true;
	bool close = true;

	for (int b = 0; b < HISTOGRAM_BUCKETS - 1; b++)
	{
		usec_t upper = histogram_upper(b);
		usec_t lower = b == 0 ? 0 : histogram_upper(b - 1) + 1;

		inside &= histogram_bucket(upper) == b && histogram_bucket(lower) == b;
		tight &= histogram_bucket(upper + 1) == b + 1;
		close &= upper <= lower + lower / 4;
	}
	ok(inside, "the largest and the smallest value of a bucket are in it");
	ok(tight, "one more is in the next one");
	ok(close, "and the largest is at most a quarter above the smallest");
	is_int(histogram_upper(HISTOGRAM_BUCKETS - 1), histogram_upper(5000),
		   "beyond the last bucket is the last");
	is_int(histogram_upper(-1), 0, "before the first is nothing");
}

static void
quantiles(void)
{
	Histogram h = {{0}};
	usec_t median;

	is_int(histogram_quantile(&h, 0.5), 0, "an empty histogram has no quantile");
	histogram_add(&h, 3);
	is_int(histogram_quantile(&h, 0), 3, "one value is every quantile: 0");
	is_int(histogram_quantile(&h, 0.5), 3, "0.5");
	is_int(histogram_quantile(&h, 1), 3, "1");
	h = (Histogram){{0}};
	for (usec_t v = 1; v <= 1000; v++)
		histogram_add(&h, v);
	median = histogram_quantile(&h, 0.5);
	ok(median >= 500 && median <= 625, "the median of 1..1000 is at most a quarter too high");
	ok(histogram_quantile(&h, 0.99) >= 990 && histogram_quantile(&h, 0.99) <= 1237, "so is p99");
	ok(histogram_quantile(&h, 0.01) >= 10 && histogram_quantile(&h, 0.01) <= 12, "and p1");
	h = (Histogram){{0}};
	for (int i = 0; i < 99; i++)
		histogram_add(&h, 2);
	histogram_add(&h, 1000000);
	is_int(histogram_quantile(&h, 0.99), 2, "99 of 100 values are small: so is p99");
	ok(histogram_quantile(&h, 0.995) >= 1000000, "and p99.5 is the outlier");
}

static void
sparse_ones_hold_the_same(void)
{
	SparseHistogram sparse = {._zeros = 0};
	SparseHistogram other = {._zeros = 0};
	Histogram expected = {{0}};
	Histogram got;
	int parts = 0;

	for (usec_t v = 0; v < 1000; v += 3)
	{
		histogram_add(&expected, v);
		sparse_histogram_add(&sparse, v);
	}
	sparse_histogram_read(&sparse, &got);
	ok(memcmp(&got, &expected, sizeof(got)) == 0, "a sparse histogram reads like another");
	for (int i = 0; i < HISTOGRAM_BUCKETS / HISTOGRAM_PART; i++)
		parts += sparse._parts[i] != NULL;
	is_int(parts, 3, "values below 1000 have taken three parts of eight");
	for (usec_t v = 0; v < (usec_t) 1 << 40; v = v * 2 + 1)
	{
		histogram_add(&expected, v);
		sparse_histogram_add(&other, v);
	}
	sparse_histogram_count(&other, 0, 1000);
	expected.count[0] += 1000;
	sparse_histogram_merge(&sparse, &other);
	sparse_histogram_read(&sparse, &got);
	ok(memcmp(&got, &expected, sizeof(got)) == 0, "two add up");
	sparse_histogram_free(&other);
	sparse_histogram_merge(&sparse, &other);
	sparse_histogram_read(&sparse, &got);
	ok(memcmp(&got, &expected, sizeof(got)) == 0, "one that was freed is empty");
	sparse_histogram_free(&sparse);
	for (int i = 0; i < 100; i++)
		sparse_histogram_add(&sparse, 0);
	ok(sparse._parts[0] == NULL, "zeros take nothing");
	sparse_histogram_free(&sparse);
}

int
main(void)
{
	buckets_follow_the_definition();
	edges_belong_to_their_buckets();
	quantiles();
	sparse_ones_hold_the_same();
	return done_testing();
}
