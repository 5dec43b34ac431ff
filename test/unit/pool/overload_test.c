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

/* Pool 10, 20 ms, deadline 100 ms: the part of the capacity (500/s), and of the offered, that is answered in time. */
static void
goodput(double factor, bool exponential, double *of_capacity, double *of_offered)
{
	Sim sim;
	SimLoad load = {.per_second = 500 * factor, .mean_us = 20000, .budget_us = 100000, .fingerprint = 7,
					.exponential = exponential};
	PoolLimits limits = limits_of(10);
	char name[60];

	sim_init(&sim, &limits, SEED, &load, 1);
	sim.count_from = WARM_UP;
	sim_run(&sim, WARM_UP + SECONDS * USEC_PER_SEC);
	*of_capacity = (double) load.good / (500.0 * SECONDS);
	*of_offered = (double) load.good / (double) load.offered;
	snprintf(name, sizeof(name), "%.1fx %s: %.2f %% of capacity", factor, exponential ? "exponential" : "constant",
			 100 * *of_capacity);
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
	ok(of_offered >= 0.99, "at 0.9x at least 99 %% of the offered are answered in time (%.2f %%)", 100 * of_offered);
	for (int i = 0; i < 3; i++)
	{
		goodput(factors[i], false, &of_capacity, &of_offered);
		ok(of_capacity >= 0.95, "at %.1fx goodput is at least 95 %% of capacity (%.2f %%)", factors[i], 100 * of_capacity);
	}
	for (int i = 0; i < 3; i++)
	{
		goodput(factors[i], true, &of_capacity, &of_offered);
		ok(of_capacity >= 0.90, "at %.1fx and run times of all kinds at least 90 %% (%.2f %%)", factors[i],
		   100 * of_capacity);
	}
}

/* --- a few slow ones among many quick ones --- */

static void
slow_statements_do_not_starve_quick_ones(void)
{
	Sim sim;
	SimLoad loads[] = {
		{.per_second = 190, .mean_us = 2000, .budget_us = 100000, .fingerprint = 1},
		{.per_second = 10, .mean_us = 2000000, .fingerprint = 2},
	};
	PoolLimits limits = limits_of(10);
	double in_time;

	sim_init(&sim, &limits, SEED, loads, 2);
	sim_run(&sim, 60 * USEC_PER_SEC);
	show("2 ms", &loads[0]);
	show("2 s", &loads[1]);
	in_time = (double) loads[0].good / (double) loads[0].offered;
	ok(in_time >= 0.95, "at least 95 %% of the short ones are answered in time (%.2f %%)", 100 * in_time);
	ok(loads[1].good >= 60 * 2, "the long ones still get through: %" PRIu64 " in 60 s", loads[1].good);
	sim_free(&sim);
}

/* --- a server that stops for a while --- */

static void
recovers_after_stall(double factor)
{
	Sim sim;
	SimLoad load = {.per_second = 500 * factor, .mean_us = 20000, .budget_us = 100000, .fingerprint = 7};
	PoolLimits limits = limits_of(10);
	usec_t end = 8 * USEC_PER_SEC;
	uint64_t good[1200] = {0};
	double target = 0.95 * (factor < 1 ? factor : 1) * 500 / 10; /* per 100 ms */
	usec_t recovered = -1;

	sim_init(&sim, &limits, SEED, &load, 1);
	sim.stall_from = 5 * USEC_PER_SEC;
	sim.stall_until = end;
	sim.good_per_10ms = good;
	sim.good_span = 12 * USEC_PER_SEC;
	sim_run(&sim, 12 * USEC_PER_SEC);
	show("stall", &load);
	for (usec_t t = end; t < end + 3 * USEC_PER_SEC && recovered < 0; t += 10000)
	{
		uint64_t sum = 0;

		for (int i = 0; i < 10; i++)
			sum += good[t / 10000 + i];
		if ((double) sum >= target * 0.97)
			recovered = t - end;
	}
	diag("%.1fx: goodput back %.0f ms after a stall of 3 s", factor, (double) recovered / 1000);
	ok(recovered >= 0 && recovered <= USEC_PER_SEC, "at %.1fx goodput is back within 1 s of a stall of 3 s", factor);
	sim_free(&sim);
}

/* --- a server that does less the more it is asked at once --- */

/* Answers a second of a pool of 20 whose server slows down beyond five statements at once (500/s there). */
static double
crowded(bool adaptive, double per_second, int *active_limit)
{
	Sim sim;
	SimLoad load = {.per_second = per_second, .mean_us = 10000, .budget_us = 300000, .fingerprint = 7, .exponential = true};
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
	slow_statements_do_not_starve_quick_ones();
	recovers_after_stall(0.9);
	recovers_after_stall(1.5);
	recovers_after_stall(10);
	adaptive_pool_stays_where_the_server_is_quick();
	return done_testing();
}
