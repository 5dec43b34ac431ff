/*
 * jobs.c: the threads.
 *
 * One mutex guards everything: queues, states, the finished jobs of the ports.  It is held for list operations only.  A finished job
 * waits in its port's list, and the port's eventfd is readable as long as that list is not empty.
 */
#include "net/jobs.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "net/loop.h"

/* Threads at most.  Waiting costs nothing but memory; one processor stays free of computing, for the loops. */
#define COMPUTE_THREADS_MAX 4
#define WAIT_THREADS_MAX 32
#define STACK_BYTES (512 * 1024)
/*
 * How much less of a processor a computing thread gets than the event loop.  Not less, nor SCHED_IDLE: on a machine without spare time
 * logins would never end (nobody but root can raise a thread again), and a thread that does not get to run could hold a lock that a
 * loop waits for, of malloc say.
 */
#define COMPUTE_NICE 10
/*
 * What it does at a stretch: whoever wakes up on its processor need not wait longer.  Kernels before 6.12 do not know such a wish, and let
 * one wake up before a thread of low priority sooner anyway.
 */
#define COMPUTE_SLICE_NS 100000
/* A thread without work ends after so long. */
#define IDLE_SECONDS 10

enum
{
	STATE_QUEUED, /* in its lane's queue */
	STATE_RUNNING,
	STATE_FINISHED, /* in its port's list */
};

typedef struct Lane
{
	List queue;
	pthread_cond_t work;
	int threads, threads_max, idle, running;
} Lane;

struct NetJobs
{
	pthread_mutex_t lock;
	pthread_cond_t ended; /* a thread ended */
	Lane lanes[NET_JOB_LANES];
	bool ending;
};

struct NetJobPort
{
	NetJobs *jobs;
	NetWatch watch;
	List finished;
	int running; /* jobs that will still look at this port */
	bool closed; /* net_job_port_free was called: the last running job frees it */
};

typedef struct ThreadStart
{
	NetJobs *jobs;
	NetJobLane lane;
} ThreadStart;

/* --- threads --- */

/* With the lock held, which is released meanwhile. */
static void
run_one(NetJobs *jobs, NetJob *job)
{
	Lane *lane = &jobs->lanes[job->_lane];
	NetJobPort *port = job->_port;
	uint64_t one = 1;
	bool wanted;

	job->_state = STATE_RUNNING;
	lane->running++;
	port->running++;
	pthread_mutex_unlock(&jobs->lock);
	job->run(job);
	pthread_mutex_lock(&jobs->lock);
	lane->running--;
	port->running--;
	wanted = !job->_abandoned && !port->closed;
	if (wanted)
	{
		job->_state = STATE_FINISHED;
		list_append(&port->finished, &job->_node);
		if (port->finished.count == 1)
			(void) !write(port->watch.fd, &one, sizeof(one));
		return;
	}
	if (port->closed && port->running == 0)
		free(port);
	pthread_mutex_unlock(&jobs->lock);
	job->discard(job);
	pthread_mutex_lock(&jobs->lock);
}

/* Wait for work with the lock held; false: there was none for a while, or this is the end. */
static bool
wait_for_work(NetJobs *jobs, Lane *lane)
{
	struct timespec until;
	int error = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += IDLE_SECONDS;
	lane->idle++;
	while (list_empty(&lane->queue) && !jobs->ending && error != ETIMEDOUT)
		error = pthread_cond_timedwait(&lane->work, &jobs->lock, &until);
	lane->idle--;
	return !list_empty(&lane->queue) && !jobs->ending;
}

/* On Linux this is the thread's own business. */
static void
lower_priority(void)
{
	if (!net_wish_slice(COMPUTE_NICE, COMPUTE_SLICE_NS))
		(void) !setpriority(PRIO_PROCESS, (id_t) gettid(), COMPUTE_NICE);
}

static void *
thread_main(void *arg)
{
	ThreadStart start = *(ThreadStart *) arg;
	NetJobs *jobs = start.jobs;
	Lane *lane = &jobs->lanes[start.lane];

	free(arg);
	if (start.lane == NET_JOB_COMPUTES)
		lower_priority();
	pthread_mutex_lock(&jobs->lock);
	do
	{
		while (wait_for_work(jobs, lane))
			run_one(jobs, CONTAINER_OF(list_pop(&lane->queue), NetJob, _node));
		/* now, for the process may be over before the thread is */
		pthread_mutex_unlock(&jobs->lock);
		OPENSSL_thread_stop();
		pthread_mutex_lock(&jobs->lock);
	} while (!list_empty(&lane->queue) && !jobs->ending);
	lane->threads--;
	pthread_cond_signal(&jobs->ended);
	pthread_mutex_unlock(&jobs->lock);
	return NULL;
}

/* With the lock held.  Signals are the business of the main thread. */
static void
start_thread(NetJobs *jobs, NetJobLane which)
{
	ThreadStart *start = malloc(sizeof(*start));
	pthread_attr_t attributes;
	pthread_t thread;
	sigset_t all, before;

	if (start == NULL)
		return;
	*start = (ThreadStart){jobs, which};
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	if (pthread_create(&thread, &attributes, thread_main, start) == 0)
		jobs->lanes[which].threads++;
	else
		free(start);
	pthread_attr_destroy(&attributes);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* --- the pool --- */

static int
compute_threads(void)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);

	if (processors <= 2)
		return 1;
	return processors > COMPUTE_THREADS_MAX ? COMPUTE_THREADS_MAX : (int) processors - 1;
}

NetJobs *
net_jobs_create(void)
{
	NetJobs *jobs = calloc(1, sizeof(*jobs));
	pthread_condattr_t monotonic;

	if (jobs == NULL)
		return NULL;
	pthread_mutex_init(&jobs->lock, NULL);
	pthread_cond_init(&jobs->ended, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	for (int i = 0; i < NET_JOB_LANES; i++)
	{
		list_init(&jobs->lanes[i].queue);
		pthread_cond_init(&jobs->lanes[i].work, &monotonic);
	}
	pthread_condattr_destroy(&monotonic);
	jobs->lanes[NET_JOB_COMPUTES].threads_max = compute_threads();
	jobs->lanes[NET_JOB_WAITS].threads_max = WAIT_THREADS_MAX;
	return jobs;
}

void
net_jobs_free(NetJobs *jobs)
{
	Lane *waits;
	bool left;

	if (jobs == NULL)
		return;
	pthread_mutex_lock(&jobs->lock);
	jobs->ending = true;
	waits = &jobs->lanes[NET_JOB_WAITS];
	for (int i = 0; i < NET_JOB_LANES; i++)
		pthread_cond_broadcast(&jobs->lanes[i].work);
	while (jobs->lanes[NET_JOB_COMPUTES].threads > 0 || waits->threads > waits->running)
		pthread_cond_wait(&jobs->ended, &jobs->lock);
	left = waits->threads > 0;
	pthread_mutex_unlock(&jobs->lock);
	if (left)
		return;
	for (int i = 0; i < NET_JOB_LANES; i++)
		pthread_cond_destroy(&jobs->lanes[i].work);
	pthread_cond_destroy(&jobs->ended);
	pthread_mutex_destroy(&jobs->lock);
	free(jobs);
}

void
net_job_give_way(void)
{
	(void) sched_yield();
}

int
net_jobs_pending(NetJobs *jobs, NetJobLane lane)
{
	int n;

	pthread_mutex_lock(&jobs->lock);
	n = jobs->lanes[lane].queue.count + jobs->lanes[lane].running;
	pthread_mutex_unlock(&jobs->lock);
	return n;
}

/* --- ports --- */

/* One finished job, or NULL; the eventfd says no more when the list is empty. */
static NetJob *
take_finished(NetJobPort *port)
{
	ListNode *node;
	uint64_t count;

	pthread_mutex_lock(&port->jobs->lock);
	node = list_pop(&port->finished);
	if (list_empty(&port->finished))
		(void) !read(port->watch.fd, &count, sizeof(count));
	pthread_mutex_unlock(&port->jobs->lock);
	return node != NULL ? CONTAINER_OF(node, NetJob, _node) : NULL;
}

/* The rest of a login follows each result: as many as the background has time for.  What is left over keeps the descriptor readable. */
static void
on_finished(NetWatch *watch, bool readable, bool writable)
{
	NetJobPort *port = watch->owner;
	NetJob *job;

	(void) readable;
	(void) writable;
	do
	{
		if ((job = take_finished(port)) != NULL)
			job->done(job);
	} while (job != NULL && net_background_may_run(port->watch.loop));
}

NetJobPort *
net_job_port_create(NetJobs *jobs, NetLoop *loop)
{
	NetJobPort *port = calloc(1, sizeof(*port));
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	if (port != NULL && fd >= 0)
	{
		port->jobs = jobs;
		list_init(&port->finished);
		port->watch.owner = port;
		port->watch.on_ready = on_finished;
		port->watch.background = true; /* logins wait for it */
		if (net_watch(loop, &port->watch, fd, true, false))
		{
			loop->jobs = port;
			return port;
		}
	}
	if (fd >= 0)
		close(fd);
	free(port);
	return NULL;
}

/* Take the jobs of a port out of a list, to be discarded. */
static void
collect(NetJobPort *port, List *from, List *to)
{
	list_each(node, from)
		if (CONTAINER_OF(node, NetJob, _node)->_port == port)
		{
			list_remove(from, node);
			list_append(to, node);
		}
}

void
net_job_port_free(NetJobPort *port)
{
	NetJobs *jobs;
	List over;
	ListNode *node;

	if (port == NULL)
		return;
	jobs = port->jobs;
	list_init(&over);
	if (port->watch.loop->jobs == port)
		port->watch.loop->jobs = NULL;
	net_unwatch(&port->watch);
	pthread_mutex_lock(&jobs->lock);
	for (int i = 0; i < NET_JOB_LANES; i++)
		collect(port, &jobs->lanes[i].queue, &over);
	collect(port, &port->finished, &over);
	close(port->watch.fd);
	port->closed = true;
	if (port->running == 0)
		free(port);
	pthread_mutex_unlock(&jobs->lock);
	while ((node = list_pop(&over)) != NULL)
	{
		NetJob *job = CONTAINER_OF(node, NetJob, _node);

		job->discard(job);
	}
}

void
net_job_start(NetJobPort *port, NetJobLane which, NetJob *job)
{
	NetJobs *jobs = port->jobs;
	Lane *lane = &jobs->lanes[which];

	job->_port = port;
	job->_lane = which;
	job->_abandoned = false;
	pthread_mutex_lock(&jobs->lock);
	job->_state = STATE_QUEUED;
	if (job->urgent)
		list_prepend(&lane->queue, &job->_node);
	else
		list_append(&lane->queue, &job->_node);
	if (lane->idle < lane->queue.count && lane->threads < lane->threads_max)
		start_thread(jobs, which);
	pthread_cond_signal(&lane->work);
	if (lane->threads == 0)
		run_one(jobs, CONTAINER_OF(list_pop(&lane->queue), NetJob, _node));
	pthread_mutex_unlock(&jobs->lock);
}

void
net_job_abandon(NetJob *job)
{
	NetJobs *jobs;
	bool discard;

	if (job == NULL)
		return;
	jobs = job->_port->jobs;
	pthread_mutex_lock(&jobs->lock);
	discard = job->_state != STATE_RUNNING;
	if (job->_state == STATE_QUEUED)
		list_remove(&jobs->lanes[job->_lane].queue, &job->_node);
	else if (job->_state == STATE_FINISHED)
		list_remove(&job->_port->finished, &job->_node);
	else
		job->_abandoned = true;
	pthread_mutex_unlock(&jobs->lock);
	if (discard)
		job->discard(job);
}
