/*
 * trim.c: memory goes back to the system after a peak.
 *
 * The C library keeps what was freed: after thousands of clients have gone, their memory would stay with the process.  When many have, and no
 * more follow for a second, it is told to give back what it can; on a thread of its own, since that takes its time.
 */
#include "session/session.h"

#include <malloc.h>
#include <stdlib.h>

#include "session/hall.h"

/* So many must have gone, and at least half of all. */
#define TRIM_CLIENTS 500
/* From the first look at it on; one that found them still going looks again after this. */
#define TRIM_WAIT_US USEC_PER_SEC

static void
run(NetJob *job)
{
	(void) job;
	malloc_trim(0);
}

static void
over(NetJob *job)
{
	free(job);
}

static bool
many_have_gone(const Hall *hall, int count)
{
	int peak = atomic_load_explicit(&hall->client_peak, memory_order_relaxed);

	return peak - count >= TRIM_CLIENTS && count <= peak / 2;
}

static void
on_timer(Timer *timer, usec_t now)
{
	Hall *hall = CONTAINER_OF(timer, Hall, trim_timer);
	int count = atomic_load(&hall->client_count);
	NetJob *job;

	if (count != hall->client_seen)
	{
		hall->client_seen = count;
		timer_arm(net_timers(hall->workers[0]->loop), timer, now + TRIM_WAIT_US);
		return;
	}
	atomic_store(&hall->client_peak, count);
	if ((job = calloc(1, sizeof(NetJob))) == NULL)
		return;
	job->run = run;
	job->done = job->discard = over;
	net_job_start(hall->workers[0]->jobs, NET_JOB_COMPUTES, job);
	log_debug(hall->log, "many clients have gone: memory is given back");
}

void
trim_init(Hall *hall)
{
	hall->trim_timer.fire = on_timer;
}

void
trim_look(Worker *worker)
{
	Hall *hall = worker->hall;
	Worker *first = hall->workers[0];
	int count = atomic_load_explicit(&hall->client_count, memory_order_relaxed);

	if (count > atomic_load_explicit(&hall->client_peak, memory_order_relaxed))
		atomic_store(&hall->client_peak, count); /* another's store may be lost, which is as good */
	else if (!many_have_gone(hall, count))
		return;
	else if (worker != first)
		worker_call(first);
	else if (!hall->trim_timer.armed)
	{
		hall->client_seen = count;
		timer_arm(net_timers(first->loop), &hall->trim_timer, worker_now(first) + TRIM_WAIT_US);
	}
}

void
trim_stop(Hall *hall)
{
	timer_disarm(net_timers(hall->workers[0]->loop), &hall->trim_timer);
}
