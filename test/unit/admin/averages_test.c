/*
 * averages_test.c: averages from two readings, the log line, and the snapshots over periods of a fake worker.
 */
#include "admin/averages.h"

#include <unistd.h>

#include "net/loop.h"
#include "tap.h"

static void
rates(void)
{
	StatSums then = {.v = {[STAT_XACTS] = 100, [STAT_QUERIES] = 200, [STAT_ASSIGNMENTS] = 50, [STAT_XACT_US] = 1000,
						   [STAT_QUERY_US] = 500, [STAT_WAIT_US] = 10, [STAT_RECEIVED] = 1000}};
	StatSums now = {.v = {[STAT_XACTS] = 160, [STAT_QUERIES] = 440, [STAT_ASSIGNMENTS] = 70, [STAT_XACT_US] = 61000,
						  [STAT_QUERY_US] = 24500, [STAT_WAIT_US] = 410, [STAT_RECEIVED] = 61000}};
	StatSums out;

	averages_compute(&now, &then, 60 * USEC_PER_SEC, &out);
	is_int(out.v[STAT_XACTS], 1, "transactions per second");
	is_int(out.v[STAT_QUERIES], 4, "queries per second");
	is_int(out.v[STAT_RECEIVED], 1000, "bytes per second");
	is_int(out.v[STAT_XACT_US], 1000, "time per transaction");
	is_int(out.v[STAT_QUERY_US], 100, "time per query");
	is_int(out.v[STAT_WAIT_US], 20, "wait per server assignment");
	is_int(out.v[STAT_BINDS], 0, "nothing stays nothing");
}

static void
nothing_happened(void)
{
	StatSums same = {.v = {[STAT_XACTS] = 5, [STAT_XACT_US] = 700}};
	StatSums smaller = {.v = {[STAT_XACTS] = 3}};
	StatSums out;

	averages_compute(&same, &same, USEC_PER_SEC, &out);
	is_int(out.v[STAT_XACT_US], 0, "no division by no transactions");
	averages_compute(&same, &(StatSums){0}, 0, &out);
	is_int(out.v[STAT_XACTS], 0, "no division by no time");
	averages_compute(&smaller, &same, USEC_PER_SEC, &out);
	is_int(out.v[STAT_XACTS], 0, "a counter that went back counts as unchanged");
}

static void
line(void)
{
	StatSums a;
	char buf[512];

	for (int i = 0; i < STAT_KINDS; i++)
		a.v[i] = (uint64_t) i + 1;
	is_str(averages_line(&a, buf, sizeof(buf)),
		   "stats: 2 xacts/s, 3 queries/s, 9 client parses/s, 10 server parses/s, 11 binds/s, 12 client logins/s, in 4 B/s, "
		   "out 5 B/s, xact 6 us, query 7 us, wait 8 us",
		   "the log line");
}

/* A worker with one pool and nothing else. */
typedef struct Fake
{
	Log log;
	Settings settings;
	Hall hall;
	Worker worker;
	PoolPart part, other; /* what two workers have counted */
	SessionPool pool;
} Fake;

/* The loop at that time, whatever the clock says. */
static void
turn_at(Fake *fake, usec_t at)
{
	fake->worker.loop->now = at;
	timer_run(net_timers(fake->worker.loop), at);
}

static void
snapshots(void)
{
	static Fake fake;
	NetLoopOptions options = {.log = &fake.log};
	StatSums now = {0};
	StatSums then = {0};
	Averages *averages;
	usec_t start;

	log_init(&fake.log);
	fake.log.to_stderr = false;
	fake.settings.stats_period_us = 100 * USEC_PER_MSEC;
	fake.worker.loop = net_loop_create(&options);
	fake.worker.log = &fake.log;
	fake.worker.settings = &fake.settings;
	fake.worker.hall = &fake.hall;
	fake.hall.worker_count = 1;
	fake.hall.workers[0] = &fake.worker;
	list_init(&fake.worker.leases);
	list_init(&fake.hall.pool_list);
	list_append(&fake.hall.pool_list, &fake.pool.list_node);
	fake.pool.hall = &fake.hall;
	fake.pool.parts[0] = &fake.part;
	(void) !net_loop_once(fake.worker.loop, 0);
	start = net_now(fake.worker.loop);
	averages = averages_create(&fake.worker);

	fake.part.stats.xacts = 7;
	averages_add_pool(averages, &fake.pool, &now, &then);
	is_int(now.v[STAT_XACTS], 7, "the total is there at once");
	is_int(then.v[STAT_XACTS], 0, "before the first period the average counts from the start");

	turn_at(&fake, start + 130 * USEC_PER_MSEC);
	fake.part.stats.xacts = 20;
	now = then = (StatSums){0};
	averages_add_pool(averages, &fake.pool, &now, &then);
	is_int(then.v[STAT_XACTS], 0, "after one period it still does");
	is_int(averages_span(averages), 130 * USEC_PER_MSEC, "the span covers it");

	turn_at(&fake, start + 250 * USEC_PER_MSEC);
	now = then = (StatSums){0};
	averages_add_pool(averages, &fake.pool, &now, &then);
	is_int(now.v[STAT_XACTS], 20, "the total stays");
	is_int(then.v[STAT_XACTS], 7, "after two periods it counts from the end of the first");
	is_int(averages_span(averages), 120 * USEC_PER_MSEC, "the span begins there too");

	fake.hall.worker_count = 2;
	fake.pool.parts[1] = &fake.other;
	fake.other.stats.xacts = 3;
	now = then = (StatSums){0};
	averages_add_pool(averages, &fake.pool, &now, &then);
	is_int(now.v[STAT_XACTS], 23, "what another worker has counted is added");
	fake.hall.worker_count = 1;

	averages_count_command(averages);
	now = then = (StatSums){0};
	averages_add_console(averages, &now, &then);
	is_int(now.v[STAT_QUERIES], 1, "console commands are counted");
	averages_free(averages);
	net_loop_free(fake.worker.loop);
}

int
main(void)
{
	rates();
	nothing_happened();
	line();
	snapshots();
	return done_testing();
}
