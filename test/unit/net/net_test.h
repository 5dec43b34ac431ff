/*
 * net_test.h: what the tests of net/ share: a connection that writes down what happens to it, and loops that
 * turn until something has come about.
 */
#ifndef NET_TEST_H
#define NET_TEST_H

#include "tap.h"
#include "net/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct Probe Probe;

struct Probe
{
	NetConn conn;
	Buf got;         /* everything on_input used */
	int inputs;      /* calls of on_input */
	size_t last_len; /* what the last one was shown */
	int drained;
	int connected;
	int ended;
	NetEnd why;
	int error;
	int released;
	int depth; /* > 0 inside a callback: callbacks must not nest */
	bool nested;
	/* How many bytes to use; NULL uses all.  May pause, resume, send and close. */
	size_t (*use)(Probe *probe, const uint8_t *data, size_t len);
	void (*after_end)(Probe *probe);
	size_t arg;
};

/* The tests run once with each; a loop that io_uring is refused to uses epoll. */
static NetBackend test_backend;

static inline NetLoop *
test_loop(Log *log)
{
	return net_loop_create(&(NetLoopOptions){.log = log, .backend = test_backend});
}

static inline bool
next_backend(void)
{
	char why[160];

	if (test_backend == NET_BACKEND_URING)
		return false;
	test_backend = NET_BACKEND_URING;
	if (net_uring_works(why, sizeof(why)))
		diag("the same with io_uring");
	else
		diag("not with io_uring, which is refused: %s", why);
	return net_uring_works(why, sizeof(why));
}

/* What was sent is written; with io_uring that takes a turn. */
static inline void
let_write(NetLoop *loop)
{
	if (loop->ring != NULL)
		net_ring_push(loop);
}

static inline Probe *
probe_of(NetConn *conn)
{
	return CONTAINER_OF(conn, Probe, conn);
}

static inline void
probe_enter(Probe *probe)
{
	probe->nested |= probe->depth > 0;
	probe->depth++;
}

static inline size_t
probe_on_input(NetConn *conn, uint8_t *data, size_t len)
{
	Probe *probe = probe_of(conn);
	size_t used;

	probe_enter(probe);
	probe->inputs++;
	probe->last_len = len;
	used = probe->use != NULL ? probe->use(probe, data, len) : len;
	if (!buf_append(&probe->got, data, used))
		abort();
	/* the bytes are the callee's to change */
	memset(data, '#', used);
	probe->depth--;
	return used;
}

static inline void
probe_on_drained(NetConn *conn)
{
	Probe *probe = probe_of(conn);

	probe_enter(probe);
	probe->drained++;
	probe->depth--;
}

static inline void
probe_on_connected(NetConn *conn)
{
	Probe *probe = probe_of(conn);

	probe_enter(probe);
	probe->connected++;
	probe->depth--;
}

static inline void
probe_on_end(NetConn *conn, NetEnd why, int error)
{
	Probe *probe = probe_of(conn);

	probe_enter(probe);
	probe->ended++;
	probe->why = why;
	probe->error = error;
	if (probe->after_end != NULL)
		probe->after_end(probe);
	probe->depth--;
}

static inline void
probe_on_released(NetConn *conn)
{
	Probe *probe = probe_of(conn);

	probe_enter(probe);
	probe->released++;
	probe->depth--;
}

static const NetHandler probe_handler = {
	.on_input = probe_on_input,
	.on_drained = probe_on_drained,
	.on_connected = probe_on_connected,
	.on_end = probe_on_end,
	.on_released = probe_on_released,
};

/* A probe on one end of a socket pair; the other end, a plain non-blocking descriptor, is returned. */
static inline int
probe_pair(NetLoop *loop, Probe *probe)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0 ||
		!net_adopt(loop, &probe->conn, fds[0], &probe_handler))
		abort();
	if (loop->ring != NULL && !probe->conn.background)
	{
		/* at once, rather than when it has received a little */
		net_conn_join_ring(&probe->conn);
		if (!net_ring_wait(loop, 0))
			abort();
	}
	return fds[1];
}

/* Close the probe if it is open, turn the loop once and check the end of its life. */
static inline void
probe_finish(NetLoop *loop, Probe *probe)
{
	net_close(&probe->conn);
	if (probe->released == 0 && !net_loop_once(loop, 0))
		abort();
	ok(probe->released == 1 && !probe->nested, "released once, and no callback ran inside another");
	buf_free(&probe->got);
}

static inline bool
probe_got(const Probe *probe, const char *text)
{
	return slice_is(buf_slice(&probe->got), text);
}

/* Turn the loop for a fixed time. */
static inline void
turn_for(NetLoop *loop, usec_t duration)
{
	usec_t until = clock_now() + duration;

	do
		if (!net_loop_once(loop, until - clock_now() > 0 ? until - clock_now() : 0))
			abort();
	while (clock_now() < until);
}

/* Turn the loop until *value reaches at least `wanted`, at most a minute. */
static inline bool
turn_until(NetLoop *loop, const int *value, int wanted)
{
	usec_t until = clock_now() + 60 * USEC_PER_SEC;

	while (*value < wanted && clock_now() < until)
		if (!net_loop_once(loop, 20 * USEC_PER_MSEC))
			abort();
	return *value >= wanted;
}

static inline void
put(int fd, const char *text)
{
	if (write(fd, text, strlen(text)) != (ssize_t) strlen(text))
		abort();
}

/* Turns of the loop that something happened in, within a time: a loop that spins shows many. */
static inline int
count_turns(NetLoop *loop, usec_t duration)
{
	usec_t until = clock_now() + duration;
	int turns = 0;

	while (clock_now() < until)
	{
		if (!net_loop_once(loop, duration))
			abort();
		turns++;
	}
	return turns;
}

#endif
