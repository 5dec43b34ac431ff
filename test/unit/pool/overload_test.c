/*
 * overload_test.c: what a pool of ten answers in time when more is asked of it than it can do.
 *
 * Simulated (simulation.h): the numbers are those of the policy alone, without sockets, server or scheduler.
 */
#include "simulation.h"

#define SEED 20240817
#define SECONDS 20
#define WARM_UP (2 * USEC_PER_SEC)

static PoolLimits
limits_of(int size)
{
	return (PoolLimits){
		.size = size,
		.max_parallel_opening = 8,
		.check_delay_us = -1,
		.lifetime_us = -1,
		.wait_timeout_us = 120 * USEC_PER_SEC,
		.login_retry_us = 15 * USEC_PER_SEC,
		.admission = true,
		.slow_lane_percent = 50,
		.slow_lane_ratio = 10,
	};
}

static void
show(const char *name, const SimLoad *load)
{
	diag("%s: offered %" PRIu64 " good %" PRIu64 " (%.2f %% of offered) late %" PRIu64 " refused %" PRIu64
		 " (slowest refusal %.1f ms) expired %" PRIu64 " other %" PRIu64,
		 name, load->offered, load->good, 100.0 * (double) load->good / (double) load->offered, load->late,
		 load->refused, (double) load->longest_refusal_us / 1000, load->expired, load->other);
}

/* --- one kind of statement, more and more of it --- */

/* Pool 10, 20 ms, deadline 100 ms: the part of the capacity (500/s), and of the offered, that is answered in
 * time. */
static void
goodput(double factor, bool exponential, double *of_capacity, double *of_offered)
{
	Sim sim;
	SimLoad load = {.per_second = 500 * factor,
					.mean_us = 20000,
					.budget_us = 100000,
					.fingerprint = 7,
					.exponential = exponential};
	PoolLimits limits = limits_of(10);
	char name[60];

	sim_init(&sim, &limits, SEED, &load, 1);
	sim.count_from = WARM_UP;
	sim_run(&sim, WARM_UP + SECONDS * USEC_PER_SEC);
	*of_capacity = (double) load.good / (500.0 * SECONDS);
	*of_offered = (double) load.good / (double) load.offered;
	snprintf(name, sizeof(name), "%.1fx %s: %.2f %% of capacity", factor,
			 exponential ? "exponential" : "constant", 100 * *of_capacity);
	show(name, &load);
	is_int(load.good + load.late + load.refused + load.expired + load.other, load.offered,
		   "every request has exactly one outcome at %.1fx", factor);
	sim_free(&sim);
}

static void
overload_keeps_goodput(void)
{
	static const double factors[] = {1.5, 3, 10};
	double of_capacity, of_offered;

	goodput(0.9, false, &of_capacity, &of_offered);
	ok(of_offered >= 0.99, "at 0.9x at least 99 %% of the offered are answered in time (%.2f %%)",
	   100 * of_offered);
	for (int i = 0; i < 3; i++)
	{
		goodput(factors[i], false, &of_capacity, &of_offered);
		ok(of_capacity >= 0.95, "at %.1fx goodput is at least 95 %% of capacity (%.2f %%)", factors[i],
		   100 * of_capacity);
	}
	for (int i = 0; i < 3; i++)
	{
		goodput(factors[i], true, &of_capacity, &of_offered);
		ok(of_capacity >= 0.95, "at %.1fx and run times of all kinds at least 95 %% (%.2f %%)", factors[i],
		   100 * of_capacity);
	}
}

/* What this is all for: the same load without admission. */
static void
without_admission_goodput_collapses(void)
{
	Sim sim;
	SimLoad load = {.per_second = 1500, .mean_us = 20000, .budget_us = 100000, .fingerprint = 7};
	PoolLimits limits = limits_of(10);

	limits.admission = false;
	sim_init(&sim, &limits, SEED, &load, 1);
	sim.count_from = WARM_UP;
	sim_run(&sim, WARM_UP + SECONDS * USEC_PER_SEC);
	show("3.0x without admission", &load);
	ok((double) load.good < 0.5 * 500 * SECONDS,
	   "without admission less than half of capacity is left at 3x");
	sim_free(&sim);
}

/* Many short statements, four times too many. */
static void
short_statements_in_masses(void)
{
	Sim sim;
	SimLoad load = {
		.per_second = 200000, .mean_us = 200, .budget_us = 50000, .fingerprint = 7, .exponential = true};
	PoolLimits limits = limits_of(10);
	double goodput;

	sim_init(&sim, &limits, SEED, &load, 1);
	sim.count_from = USEC_PER_SEC / 2;
	sim_run(&sim, USEC_PER_SEC + USEC_PER_SEC / 2);
	show("200 us at 4x", &load);
	goodput = (double) load.good / 50000;
	ok(goodput >= 0.95,
	   "of 200,000 requests/s of 200 us at least 95 %% of capacity are answered within 50 ms (%.2f %%)",
	   100 * goodput);
	sim_free(&sim);
}

/* Requests with and without a deadline, each alone as much as the pool can do. */
static void
neither_kind_starves_the_other(void)
{
	Sim sim;
	SimLoad loads[] = {
		{.per_second = 500, .mean_us = 20000, .budget_us = 100000, .fingerprint = 7},
		{.per_second = 500, .mean_us = 20000, .fingerprint = 8},
	};
	PoolLimits limits = limits_of(10);

	sim_init(&sim, &limits, SEED, loads, 2);
	sim_run(&sim, SECONDS * USEC_PER_SEC);
	show("with a deadline", &loads[0]);
	show("without", &loads[1]);
	ok(loads[0].good_while_offered >= 0.45 * 500 * SECONDS,
	   "requests with a deadline get their half (%.1f %% of capacity)",
	   (double) loads[0].good_while_offered / (5 * SECONDS));
	ok(loads[1].good_while_offered >= 0.45 * 500 * SECONDS, "... and those without theirs (%.1f %%)",
	   (double) loads[1].good_while_offered / (5 * SECONDS));
	sim_free(&sim);
}

/* --- a few slow ones among many quick ones --- */

/* The part of the short ones answered in time, and how many long ones got through in a minute. */
static double
mixed(int lane_percent, uint64_t *slow)
{
	Sim sim;
	SimLoad loads[] = {
		{.per_second = 190, .mean_us = 2000, .budget_us = 100000, .fingerprint = 1},
		{.per_second = 10, .mean_us = 2000000, .fingerprint = 2},
	};
	PoolLimits limits = limits_of(10);

	limits.slow_lane_percent = lane_percent;
	sim_init(&sim, &limits, SEED, loads, 2);
	sim_run(&sim, 60 * USEC_PER_SEC);
	diag("mix, slow lane %d %%: %" PRIu64 " long ones ended in 60 s", lane_percent,
		 loads[1].good_while_offered);
	show("2 ms", &loads[0]);
	*slow = loads[1].good_while_offered;
	sim_free(&sim);
	return (double) loads[0].good / (double) loads[0].offered;
}

static void
slow_statements_do_not_starve_quick_ones(void)
{
	uint64_t slow;
	double in_time = mixed(50, &slow);

	ok(in_time >= 0.95, "at least 95 %% of the short ones are answered in time (%.2f %%)", 100 * in_time);
	ok(slow >= 0.9 * 60 * 2.5, "the long ones still get their half of the pool (%.0f %% of it)",
	   (double) slow / 1.5);
	in_time = mixed(100, &slow);
	ok(in_time < 0.5, "without the slow lane not even half of the short ones are (%.2f %%)", 100 * in_time);
}

/* --- a server that stops, or is slow, for a while --- */

/* Milliseconds after `end` until goodput over 100 ms is 95 % of what it should be; -1 = not within 3 s. */
static int
recovery_ms(const uint64_t *good, usec_t end, double per_second)
{
	for (int at = (int) (end / 10000); at < (int) (end / 10000) + 300; at++)
	{
		uint64_t sum = 0;

		for (int i = 0; i < 10; i++)
			sum += good[at + i];
		/* what Poisson arrivals vary by in 100 ms is allowed for */
		if ((double) sum >= 0.95 * per_second / 10 - sqrt(per_second / 10))
			return (at - (int) (end / 10000)) * 10;
	}
	return -1;
}

static void
recovers_after(const char *what, double factor, bool stalled)
{
	Sim sim;
	SimLoad load = {.per_second = 500 * factor, .mean_us = 20000, .budget_us = 100000, .fingerprint = 7};
	PoolLimits limits = limits_of(10);
	uint64_t good[1200] = {0};
	usec_t from = 5 * USEC_PER_SEC;
	usec_t end = 8 * USEC_PER_SEC;
	int ms;

	sim_init(&sim, &limits, SEED, &load, 1);
	if (stalled)
		sim.stall_from = from, sim.stall_until = end;
	else
		sim.slow_from = from, sim.slow_until = end, sim.slow_factor = 100;
	sim.good_per_10ms = good;
	sim.good_span = 12 * USEC_PER_SEC;
	sim_run(&sim, sim.good_span);
	show(what, &load);
	ms = recovery_ms(good, end, factor < 1 ? load.per_second : 500);
	ok(ms >= 0 && ms <= 1000, "at %.1fx goodput is back within 1 s of 3 s of %s (%d ms)", factor, what, ms);
	ok(load.good < load.offered * 4 / 5, "... which was felt");
	sim_free(&sim);
}

/* One class of two becomes slow for 3 s, while the other keeps the pool more than busy: nobody ever finds it
 * idle. */
static void
class_is_admitted_again(void)
{
	Sim sim;
	SimLoad loads[] = {
		{.per_second = 700, .mean_us = 20000, .budget_us = 100000, .fingerprint = 1},
		{.per_second = 50, .mean_us = 5000, .budget_us = 100000, .fingerprint = 2},
	};
	PoolLimits limits = limits_of(10);
	uint64_t good[1200] = {0};
	uint64_t before = 0;
	uint64_t after = 0;

	sim_init(&sim, &limits, SEED, loads, 2);
	sim.slow_from = 5 * USEC_PER_SEC;
	sim.slow_until = 8 * USEC_PER_SEC;
	sim.slow_factor = 100;
	sim.slow_load = sim.counted_load = 1;
	sim.good_per_10ms = good;
	sim.good_span = 12 * USEC_PER_SEC;
	sim_run(&sim, sim.good_span);
	show("the other class", &loads[0]);
	show("slow for 3 s", &loads[1]);
	for (int i = 0; i < 200; i++)
	{
		before += good[300 + i];
		after += good[900 + i];
	}
	diag("good in 2 s: %" PRIu64 " before, %" PRIu64 " from a second after the slow phase on", before, after);
	ok(before >= 50 && after * 100 >= before * 80,
	   "a class that was slow for 3 s is admitted again within a second");
	sim_free(&sim);
}

/* --- a server that does less the more it is asked at once --- */

/* Answers a second of a pool of 20 whose server slows down beyond five statements at once (500/s there). */
static double
crowded(bool adaptive, double per_second, int *active_limit)
{
	Sim sim;
	SimLoad load = {.per_second = per_second,
					.mean_us = 10000,
					.budget_us = 300000,
					.fingerprint = 7,
					.exponential = true};
	PoolLimits limits = limits_of(20);
	PoolAdmission admission;

	limits.adaptive = adaptive;
	sim_init(&sim, &limits, SEED, &load, 1);
	sim.knee = 5;
	sim.count_from = 5 * USEC_PER_SEC;
	sim_run(&sim, (5 + SECONDS) * USEC_PER_SEC);
	pool_admission(&sim.pool, &admission);
	*active_limit = admission.active_limit;
	show(adaptive ? "adaptive" : "fixed size", &load);
	sim_free(&sim);
	return (double) load.good / SECONDS;
}

static void
adaptive_pool_stays_where_the_server_is_quick(void)
{
	int limit;
	double fixed = crowded(false, 750, &limit);
	double adaptive;

	is_int(limit, 0, "without adaptive_pool there is no limit of its own");
	adaptive = crowded(true, 750, &limit);
	diag("%.0f/s with all 20 busy, %.0f/s with the limit at %d", fixed, adaptive, limit);
	ok(adaptive > 1.5 * fixed, "the adaptive pool answers more than one and a half times as many");
	ok(limit >= 2 && limit <= 12, "its limit is near the knee of five (%d)", limit);
	adaptive = crowded(true, 100, &limit);
	ok(adaptive > 97, "below capacity it answers all that is asked (%.0f/s of 100)", adaptive);
}

int
main(void)
{
	diag("seed %d", SEED);
	overload_keeps_goodput();
	without_admission_goodput_collapses();
	short_statements_in_masses();
	neither_kind_starves_the_other();
	slow_statements_do_not_starve_quick_ones();
	recovers_after("stall", 0.9, true);
	recovers_after("stall", 1.5, true);
	recovers_after("stall", 10, true);
	recovers_after("slowness", 0.9, false);
	recovers_after("slowness", 1.5, false);
	recovers_after("slowness", 10, false);
	class_is_admitted_again();
	adaptive_pool_stays_where_the_server_is_quick();
	return done_testing();
}
