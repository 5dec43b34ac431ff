/*
 * loop.c: the iteration: wait, events, timers, the ready list, the owner's turn, deferred work, releases.
 *
 * Events go before timers, so that an answer that arrived in time beats the deadline that expires in the same
 * iteration.
 */
#include "net/loop.h"

#include "net/conn.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define KIND_MASK ((uint64_t) 3)

/* What the background gets of one iteration, beside the little that it gets in any case: a storm of logins may add so much to a request's wait. */
#define BACKGROUND_US 200

/*
 * A thread that is busy with logins never sleeps: those whose traffic it serves must not wait on its processor for the milliseconds that others
 * may run at a stretch.  So it wishes for less, and rests a little in each iteration, as long as there is traffic besides.
 */
#define STORM_SLICE_NS 100000
#define STORM_REST_NS 20000
#define STORM_OVER_US USEC_PER_SEC
#define TRAFFIC_OVER_US (100 * USEC_PER_MSEC)

/* The ready list is worked off a few times per iteration, not for ever: other events must have their turn. */
#define READY_ROUNDS 4

/* --- life --- */

/* Without one the loop works too, only not as exactly. */
static void
make_alarm(NetLoop *loop)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = (uint64_t) (uintptr_t) loop | LOOP_ALARM};

	loop->alarm_at = DEADLINE_NONE;
	loop->alarm_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (loop->alarm_fd < 0 || epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->alarm_fd, &event) == 0)
		return;
	close(loop->alarm_fd);
	loop->alarm_fd = -1;
}

static void
make_ring(NetLoop *loop)
{
	char why[160];

	loop->ring = net_ring_create(why, sizeof(why));
	if (loop->ring == NULL && loop->log != NULL)
		log_write(loop->log, LOG_LEVEL_WARNING, "an event loop uses epoll, since io_uring is refused to it: %s", why);
}

NetLoop *
net_loop_create(const NetLoopOptions *options)
{
	NetLoop *loop = calloc(1, sizeof(NetLoop));

	if (loop == NULL)
		return NULL;
	if ((loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0)
	{
		free(loop);
		return NULL;
	}
	make_alarm(loop);
	list_init(&loop->ready);
	list_init(&loop->late);
	list_init(&loop->closed);
	list_init(&loop->deferred);
	list_init(&loop->lingers);
	loop->log = options != NULL ? options->log : NULL;
	loop->now = clock_now();
	if (options != NULL && options->backend == NET_BACKEND_URING)
		make_ring(loop);
	return loop;
}

NetBackend
net_loop_backend(const NetLoop *loop)
{
	return loop->ring != NULL ? NET_BACKEND_URING : NET_BACKEND_EPOLL;
}

/* Conns may close further conns when they are released. */
static void
release_closed(NetLoop *loop)
{
	ListNode *node;

	do
	{
		if (loop->ring != NULL)
			net_ring_let_go(loop);
		while ((node = list_pop(&loop->closed)) != NULL)
			net_conn_release(CONTAINER_OF(node, NetConn, _closed_node));
	} while (loop->ring != NULL && net_ring_has_buried(loop));
}

void
net_loop_free(NetLoop *loop)
{
	if (loop == NULL)
		return;
	net_conn_end_lingers(loop);
	net_ring_free(loop);
	release_closed(loop);
	if (loop->alarm_fd >= 0)
		close(loop->alarm_fd);
	close(loop->epoll_fd);
	free(loop);
}

void
net_loop_stop(NetLoop *loop)
{
	loop->stop = true;
}

usec_t
net_now(const NetLoop *loop)
{
	return loop->now;
}

void
net_loop_look_at_clock(NetLoop *loop)
{
	loop->now = clock_now();
}

TimerQueue *
net_timers(NetLoop *loop)
{
	return &loop->timers;
}

void
net_loop_on_turn(NetLoop *loop, void (*on_turn)(void *arg, usec_t now), void *arg)
{
	loop->on_turn = on_turn;
	loop->on_turn_arg = arg;
}

void
net_defer(NetLoop *loop, NetDeferred *deferred)
{
	if (!net_is_deferred(deferred))
		list_append(&loop->deferred, &deferred->_node);
}

void
net_undefer(NetLoop *loop, NetDeferred *deferred)
{
	if (net_is_deferred(deferred))
		list_remove(&loop->deferred, &deferred->_node);
}

/* --- epoll --- */

bool
net_loop_interest(NetLoop *loop, int fd, LoopKind kind, void *object, bool *registered, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.u64 = (uint64_t) (uintptr_t) object | kind};
	int op = *registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
	int result;

	assert(((uintptr_t) object & KIND_MASK) == 0);
	if (events == 0)
	{
		/* fails when the descriptor is closed already, which is just as well */
		if (*registered)
			epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, &event);
		*registered = false;
		return true;
	}
	result = epoll_ctl(loop->epoll_fd, op, fd, &event);
	if (result < 0 && errno == ENOENT)
		result = epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event);
	else if (result < 0 && errno == EEXIST)
		result = epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, fd, &event);
	if (result == 0)
		*registered = true;
	return result == 0;
}

void
net_loop_forget(NetLoop *loop, const void *object)
{
	for (int i = 0; i < loop->event_count; i++)
		if ((loop->events[i].data.u64 & ~KIND_MASK) == (uint64_t) (uintptr_t) object)
			loop->events[i].data.u64 = 0;
}

/* --- sleeping --- */

/* How long to sleep where there is no alarm; from the clock, since "now" of the iteration is older than the work that was done in it. */
static usec_t
sleep_time(deadline_t next, usec_t max_wait_us)
{
	usec_t left;

	if (next == DEADLINE_NONE)
		return max_wait_us;
	left = next - clock_now();
	return left < 0 ? 0 : left < max_wait_us ? left : max_wait_us;
}

static int
wait_events(NetLoop *loop, usec_t wait_us)
{
	const usec_t longest = INT64_C(1000000) * USEC_PER_MSEC;

	if (loop->ring != NULL)
		return net_ring_wait(loop, wait_us) ? 0 : -1;
	if (wait_us == DEADLINE_NONE)
		return epoll_wait(loop->epoll_fd, loop->events, LOOP_MAX_EVENTS, -1);
	if (wait_us > longest)
		wait_us = longest;
	/* rounded up: waking early would only mean to sleep again */
	return epoll_wait(loop->epoll_fd, loop->events, LOOP_MAX_EVENTS, (int) ((wait_us + USEC_PER_MSEC - 1) / USEC_PER_MSEC));
}

/* False: it cannot be set. */
static bool
set_alarm(NetLoop *loop, deadline_t at)
{
	struct itimerspec spec = {.it_value = {.tv_sec = (time_t) (at / USEC_PER_SEC), .tv_nsec = (long) (at % USEC_PER_SEC) * 1000}};

	/* 0 would switch it off */
	if (at <= 0)
		spec.it_value = (struct timespec){.tv_nsec = 1};
	if (loop->alarm_fd < 0 || timerfd_settime(loop->alarm_fd, TFD_TIMER_ABSTIME, &spec, NULL) < 0)
		return false;
	loop->alarm_at = at;
	return true;
}

static int
sleep_until_event(NetLoop *loop, usec_t max_wait_us)
{
	deadline_t next = timer_next(&loop->timers);

	if (!list_empty(&loop->ready) || !list_empty(&loop->late) || !list_empty(&loop->deferred) || max_wait_us <= 0)
		return wait_events(loop, 0);
	if (next >= loop->alarm_at || set_alarm(loop, next))
		return wait_events(loop, max_wait_us);
	return wait_events(loop, sleep_time(next, max_wait_us));
}

/* --- the iteration --- */

static void
dispatch(uint64_t data, uint32_t events)
{
	void *object = (void *) (uintptr_t) (data & ~KIND_MASK);

	if (object == NULL)
		return;
	switch ((LoopKind) (data & KIND_MASK))
	{
		case LOOP_CONN: net_conn_event(object, events); break;
		case LOOP_LISTENER: net_listener_event(object); break;
		case LOOP_WATCH: net_watch_event(object, events); break;
		case LOOP_ALARM: ((NetLoop *) object)->alarm_at = DEADLINE_NONE; break;
	}
}

bool
net_background_may_run(NetLoop *loop)
{
	if (loop->background_until == 0)
	{
		loop->background_until = clock_now() + BACKGROUND_US;
		return true;
	}
	loop->background_over = loop->background_over || clock_now() >= loop->background_until;
	return !loop->background_over;
}

static bool
is_background(uint64_t data)
{
	void *object = (void *) (uintptr_t) (data & ~KIND_MASK);

	switch ((LoopKind) (data & KIND_MASK))
	{
		case LOOP_CONN: return object != NULL && ((const NetConn *) object)->background;
		case LOOP_LISTENER: return true;
		case LOOP_WATCH: return object != NULL && ((const NetWatch *) object)->background;
		case LOOP_ALARM: return false;
	}
	return false;
}

/* Connections in the background wait in their list, which is not worked off here. */
static void
run_events(NetLoop *loop)
{
	for (int i = 0; i < loop->event_count; i++)
	{
		const struct epoll_event event = loop->events[i];

		if (event.data.u64 == 0)
			continue;
		if (!is_background(event.data.u64))
		{
			loop->front_at = loop->now;
			loop->events[i].data.u64 = 0;
			dispatch(event.data.u64, event.events);
		}
		else if ((LoopKind) (event.data.u64 & KIND_MASK) == LOOP_CONN)
		{
			loop->events[i].data.u64 = 0;
			net_conn_postpone((NetConn *) (uintptr_t) (event.data.u64 & ~KIND_MASK), event.events);
		}
		else
			loop->has_background = true;
	}
}

/* What the ring tells of; then, if there are any, the events of epoll. */
static int
run_ring(NetLoop *loop)
{
	int n;

	if (!net_ring_run(loop) || (n = epoll_wait(loop->epoll_fd, loop->events, LOOP_MAX_EVENTS, 0)) <= 0)
		return 0;
	/* of those that tell again until they are dealt with the ring does not */
	for (int i = 0; i < n; i++)
		if (n == LOOP_MAX_EVENTS || (loop->events[i].data.u64 & KIND_MASK) == LOOP_LISTENER || (loop->events[i].data.u64 & KIND_MASK) == LOOP_WATCH)
		{
			net_ring_ask_epoll(loop);
			break;
		}
	return n;
}

/*
 * The background: first who is there already, then results of jobs, then who comes in.  Each of them gets a little of an iteration in any
 * case: who is ready one turn, who has a result to give one, each listener one connection.  What finds no time is told of again by epoll.
 */
static void
run_background(NetLoop *loop)
{
	for (int left = loop->late.count; left > 0 && !list_empty(&loop->late) && net_background_may_run(loop); left--)
		net_conn_ready(CONTAINER_OF(list_pop(&loop->late), NetConn, _ready_node));
	for (int i = 0; loop->has_background && i < loop->event_count; i++)
	{
		const struct epoll_event event = loop->events[i];

		loop->events[i].data.u64 = 0;
		dispatch(event.data.u64, event.events);
	}
}

/* The kernel's struct sched_attr in its first size, which the C library does not always have. */
typedef struct SchedAttr
{
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
} SchedAttr;

bool
net_wish_slice(int nice, uint64_t slice_ns)
{
	SchedAttr attr = {.size = sizeof(attr), .policy = SCHED_OTHER, .nice = nice, .runtime = slice_ns};

	return syscall(SYS_sched_setattr, 0, &attr, 0) == 0;
}

/* Who runs the daemon with another policy has reasons: then nothing is wished for. */
static void
set_stormy(NetLoop *loop, bool stormy)
{
	loop->stormy = stormy;
	prctl(PR_SET_TIMERSLACK, stormy ? 1000UL : 0UL); /* 0: the usual */
	if (sched_getscheduler(0) == SCHED_OTHER)
		(void) net_wish_slice(getpriority(PRIO_PROCESS, (id_t) gettid()), stormy ? STORM_SLICE_NS : 0);
}

static void
look_at_weather(NetLoop *loop)
{
	if (!loop->background_over)
	{
		if (loop->stormy && loop->now - loop->stormy_at > STORM_OVER_US)
			set_stormy(loop, false);
		return;
	}
	loop->stormy_at = loop->now;
	if (!loop->stormy)
		set_stormy(loop, true);
	if (loop->now - loop->front_at >= TRAFFIC_OVER_US)
		return;
	if (loop->ring != NULL)
		net_ring_push(loop);
	nanosleep(&(struct timespec){.tv_nsec = STORM_REST_NS}, NULL);
}

static void
run_ready(NetLoop *loop)
{
	for (int round = 0; round < READY_ROUNDS && !list_empty(&loop->ready); round++)
	{
		/* those that are added meanwhile wait for the next round; those that are closed leave the list */
		for (int left = loop->ready.count; left > 0 && !list_empty(&loop->ready); left--)
			net_conn_ready(CONTAINER_OF(list_pop(&loop->ready), NetConn, _ready_node));
	}
}

/* What is deferred meanwhile waits for the next iteration, which does not sleep. */
static void
run_deferred(NetLoop *loop)
{
	for (int left = loop->deferred.count; left > 0 && !list_empty(&loop->deferred); left--)
	{
		NetDeferred *deferred = CONTAINER_OF(list_pop(&loop->deferred), NetDeferred, _node);

		deferred->run(deferred, loop->now);
	}
}

bool
net_loop_once(NetLoop *loop, usec_t max_wait_us)
{
	int n = sleep_until_event(loop, max_wait_us);

	if (n < 0 && errno != EINTR)
		return false;
	loop->now = clock_now();
	loop->event_count = n < 0 || loop->ring != NULL ? 0 : n;
	loop->background_until = 0;
	loop->background_over = false;
	loop->has_background = false;
	if (loop->ring != NULL)
		loop->event_count = run_ring(loop);
	run_events(loop);
	if (loop->ring != NULL && (loop->has_background || !list_empty(&loop->late)))
		net_ring_push(loop);
	run_background(loop);
	if (timer_next(&loop->timers) <= loop->now)
		timer_run(&loop->timers, loop->now);
	run_ready(loop);
	if (loop->on_turn != NULL)
		loop->on_turn(loop->on_turn_arg, loop->now);
	run_deferred(loop);
	release_closed(loop);
	look_at_weather(loop);
	return true;
}

bool
net_loop_run(NetLoop *loop)
{
	bool ok = true;

	while (ok && !loop->stop)
		ok = net_loop_once(loop, DEADLINE_NONE);
	loop->stop = false;
	if (ok && loop->ring != NULL)
		net_ring_push(loop);
	return ok;
}

void
net_loop_flush(NetLoop *loop, usec_t limit_us)
{
	deadline_t end = deadline_after(clock_now(), limit_us);

	while (!list_empty(&loop->lingers) && clock_now() < end && net_loop_once(loop, 10 * USEC_PER_MSEC))
		continue;
	net_conn_end_lingers(loop);
	release_closed(loop);
}
