/*
 * jobs_test.c: work on threads: where results arrive, what becomes of jobs that nobody waits for, lanes, the end.
 */
#include "net_test.h"

#include <pthread.h>
#include <stdatomic.h>

#include "net/jobs.h"

typedef struct Work
{
	NetJob job;
	int number;
	pthread_t ran_on;
	atomic_bool *gate; /* run waits until it is set */
	atomic_int *begun;
} Work;

static int done_count, done_sum;
static int order[3], ordered;
static atomic_int discarded;
static pthread_t done_on;

static void
run(NetJob *job)
{
	Work *work = CONTAINER_OF(job, Work, job);

	if (work->begun != NULL)
		atomic_fetch_add(work->begun, 1);
	while (work->gate != NULL && !atomic_load(work->gate))
		usleep(1000);
	work->ran_on = pthread_self();
	work->number *= 2;
}

static void
done(NetJob *job)
{
	Work *work = CONTAINER_OF(job, Work, job);

	done_count++;
	done_sum += work->number;
	done_on = pthread_self();
	if (pthread_equal(work->ran_on, done_on))
		done_sum = -1000000;
	free(work);
}

static void
discard(NetJob *job)
{
	atomic_fetch_add(&discarded, 1);
	free(CONTAINER_OF(job, Work, job));
}

static Work *
start(NetJobPort *port, NetJobLane lane, int number, atomic_bool *gate, atomic_int *begun)
{
	Work *work = calloc(1, sizeof(*work));

	work->job = (NetJob){.run = run, .done = done, .discard = discard};
	work->number = number;
	work->gate = gate;
	work->begun = begun;
	net_job_start(port, lane, &work->job);
	return work;
}

static void
turn_until_done(NetLoop *loop, int count)
{
	for (int i = 0; i < 5000 && done_count < count; i++)
		(void) !net_loop_once(loop, 10 * USEC_PER_MSEC);
}

static void
reset(void)
{
	done_count = done_sum = ordered = 0;
	atomic_store(&discarded, 0);
}

static void
results_come_back_on_the_loop(NetJobs *jobs, NetLoop *loop)
{
	NetJobPort *port = net_job_port_create(jobs, loop);

	reset();
	for (int i = 1; i <= 100; i++)
		start(port, i % 2 ? NET_JOB_COMPUTES : NET_JOB_WAITS, i, NULL, NULL);
	is_int(done_count, 0, "nothing is done inside net_job_start");
	turn_until_done(loop, 100);
	is_int(done_count, 100, "every job is done once");
	is_int(done_sum, 2 * 5050, "with its result, made on another thread");
	ok(pthread_equal(done_on, pthread_self()), "on the loop's thread");
	is_int(net_jobs_pending(jobs, NET_JOB_COMPUTES) + net_jobs_pending(jobs, NET_JOB_WAITS), 0, "nothing is left");
	net_job_port_free(port);
}

static void
a_lane_that_waits_holds_nobody_up(NetJobs *jobs, NetLoop *loop)
{
	NetJobPort *port = net_job_port_create(jobs, loop);
	atomic_bool gate = false;

	reset();
	for (int i = 0; i < 200; i++)
		start(port, NET_JOB_WAITS, 1, &gate, NULL);
	start(port, NET_JOB_COMPUTES, 10, NULL, NULL);
	turn_until_done(loop, 1);
	is_int(done_sum, 20, "a job that computes overtakes two hundred that wait");
	is_int(net_jobs_pending(jobs, NET_JOB_WAITS), 200, "... which are all still there");
	atomic_store(&gate, true);
	turn_until_done(loop, 201);
	is_int(done_count, 201, "and are done in the end");
	net_job_port_free(port);
}

static void
note_order(NetJob *job)
{
	order[ordered++] = CONTAINER_OF(job, Work, job)->number;
	done_count++;
	free(CONTAINER_OF(job, Work, job));
}

static void
urgent_jobs_go_first(NetJobs *jobs, NetLoop *loop)
{
	NetJobPort *port = net_job_port_create(jobs, loop);
	static Work *queued[3];
	atomic_bool gate = false;
	atomic_int begun = 0;
	int holders = 0;

	reset();
	/* as many as there are threads, and then some */
	while (holders < 4)
	{
		start(port, NET_JOB_COMPUTES, 0, &gate, &begun);
		holders++;
	}
	while (atomic_load(&begun) < 1)
		usleep(1000);
	for (int i = 0; i < 3; i++)
	{
		queued[i] = calloc(1, sizeof(Work));
		queued[i]->job = (NetJob){.run = run, .done = note_order, .discard = discard, .urgent = i == 2};
		queued[i]->number = i + 1;
		net_job_start(port, NET_JOB_COMPUTES, &queued[i]->job);
	}
	atomic_store(&gate, true);
	turn_until_done(loop, holders + 3);
	is_int(done_count, holders + 3, "all are done");
	ok(order[0] == 6 || sysconf(_SC_NPROCESSORS_ONLN) > 2, "the urgent one first, though it came last");
	net_job_port_free(port);
}

static void
nobody_waits_any_more(NetJobs *jobs, NetLoop *loop)
{
	NetJobPort *port = net_job_port_create(jobs, loop);
	atomic_bool gate = false;
	atomic_int begun = 0;
	Work *running[64];
	Work *last;

	reset();
	for (int i = 0; i < 64; i++)
		running[i] = start(port, NET_JOB_WAITS, 1, &gate, &begun);
	while (atomic_load(&begun) < 32)
		usleep(1000);
	net_job_abandon(&running[63]->job);
	is_int(atomic_load(&discarded), 1, "a queued job is gone at once");
	net_job_abandon(&running[0]->job);
	is_int(atomic_load(&discarded), 1, "a running one goes on");
	atomic_store(&gate, true);
	turn_until_done(loop, 62);
	is_int(done_count, 62, "the others are done");
	for (int i = 0; i < 60000 && atomic_load(&discarded) < 2; i++)
		usleep(1000);
	is_int(atomic_load(&discarded), 2, "and the abandoned one is discarded");

	reset();
	last = start(port, NET_JOB_COMPUTES, 1, NULL, NULL);
	while (net_jobs_pending(jobs, NET_JOB_COMPUTES) > 0)
		usleep(1000);
	net_job_abandon(&last->job);
	(void) !net_loop_once(loop, 0);
	is_int(atomic_load(&discarded), 1, "also one that has finished and waits to be handed over");
	is_int(done_count, 0, "... and done is not called");
	net_job_port_free(port);
	net_job_abandon(NULL);
}

static void
ports_keep_apart(NetJobs *jobs, NetLoop *loop)
{
	NetLoop *second = test_loop(NULL);
	NetJobPort *ours = net_job_port_create(jobs, loop);
	NetJobPort *theirs = net_job_port_create(jobs, second);
	atomic_bool gate = false;
	atomic_int begun = 0;

	reset();
	start(ours, NET_JOB_COMPUTES, 1, NULL, NULL);
	start(theirs, NET_JOB_COMPUTES, 100, NULL, NULL);
	while (net_jobs_pending(jobs, NET_JOB_COMPUTES) > 0)
		usleep(1000);
	turn_until_done(loop, 1);
	is_int(done_sum, 2, "each loop gets its own results");
	turn_until_done(second, 2);
	is_int(done_sum, 202, "... and the other gets the other's");

	reset();
	for (int i = 0; i < 40; i++)
		start(theirs, NET_JOB_WAITS, 1, &gate, &begun);
	start(theirs, NET_JOB_COMPUTES, 1, NULL, NULL);
	start(ours, NET_JOB_WAITS, 7, &gate, NULL);
	while (atomic_load(&begun) < 31 || net_jobs_pending(jobs, NET_JOB_COMPUTES) > 0)
		usleep(1000);
	net_job_port_free(theirs);
	net_loop_free(second);
	ok(atomic_load(&discarded) >= 9, "a port that goes discards what is queued or finished");
	atomic_store(&gate, true);
	turn_until_done(loop, 1);
	is_int(done_sum, 14, "who stays is served");
	for (int i = 0; i < 60000 && atomic_load(&discarded) < 41; i++)
		usleep(1000);
	is_int(atomic_load(&discarded), 41, "what ran is discarded when it has ended");
	net_job_port_free(ours);
}

static void
with_backend(void)
{
	NetLoop *loop = test_loop(NULL);
	NetJobs *jobs = net_jobs_create();

	net_jobs_free(net_jobs_create());
	net_job_port_free(NULL);
	net_jobs_free(NULL);
	results_come_back_on_the_loop(jobs, loop);
	a_lane_that_waits_holds_nobody_up(jobs, loop);
	urgent_jobs_go_first(jobs, loop);
	nobody_waits_any_more(jobs, loop);
	ports_keep_apart(jobs, loop);
	net_jobs_free(jobs);
	net_loop_free(loop);
}

int
main(void)
{
	do
		with_backend();
	while (next_backend());
	return done_testing();
}
