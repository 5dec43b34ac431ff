/*
 * loop.h: the inside of a NetLoop, for the files of net/ only.
 *
 * Timers.  The loop sleeps without a limit and is woken by an alarm, a timerfd, which is only ever set earlier, or anew after it went off: a
 * limit on each wait would have the kernel start and stop a timer of its own for each turn.  So it may go off when nothing is due any more.
 *
 * Each descriptor is registered with epoll under the address of its object, whose two lowest bits tell the
 * kind.  An object that may be freed before the end of the iteration (watch, listener) takes its pending events
 * with it: net_loop_forget().
 */
#ifndef PGWEIR_NET_LOOP_H
#define PGWEIR_NET_LOOP_H

#include <sys/epoll.h>
#include "net/net.h"
#include "net/ring.h"

#define LOOP_MAX_EVENTS 256

typedef enum LoopKind
{
	LOOP_CONN,
	LOOP_LISTENER,
	LOOP_WATCH,
	LOOP_ALARM, /* the loop itself */
} LoopKind;

struct NetLoop
{
	int epoll_fd;
	struct NetRing *ring; /* owned; NULL: epoll alone */
	int alarm_fd; /* -1: none could be had, the waits are limited by milliseconds */
	bool stop;
	bool has_background; /* among the events of this iteration */
	usec_t now;
	deadline_t alarm_at; /* what the alarm is set to */
	usec_t background_until; /* in this iteration; 0: nothing of the background has had its turn */
	bool background_over; /* its time in this iteration is up */
	bool stormy; /* there have been more logins than it had time for: the loop's thread takes care of others on its processor */
	usec_t front_at; /* the last iteration with something in it that is not of the background */
	usec_t stormy_at; /* the last iteration in which the background had too little time */
	Log *log; /* borrowed; may be NULL */
	struct NetJobPort *jobs; /* borrowed: for slow work; NULL: it is done here */
	TimerQueue timers;
	List ready;	 /* conns to look at without waiting for an event */
	List late;	 /* the same of the background, which wait for a little of each iteration */
	List closed; /* conns to release at the end of the iteration */
	List deferred; /* NetDeferred: work for the end of the iteration */
	List lingers; /* NetLinger: conns that are being closed in peace */
	void (*on_turn)(void *arg, usec_t now);
	void *on_turn_arg;
	const NetConn *presenting; /* the conn whose on_input runs */
	int event_count;		   /* events that are handled have no object any more */
	struct epoll_event events[LOOP_MAX_EVENTS];
	uint8_t scratch[NET_READ_SIZE]; /* what was just read; valid inside one on_input */
};

/*
 * Ask epoll for events; adds, changes or (events == 0) removes.  Copes with a descriptor that was closed and
 * reopened.
 */
extern bool net_loop_interest(NetLoop *loop, int fd, LoopKind kind, void *object, bool *registered, uint32_t events) MUST_CHECK;
/* Drop the events of this iteration that have not been handled. */
extern void net_loop_forget(NetLoop *loop, const void *object);

extern void net_listener_event(NetListener *listener);
/*
 * The calling thread's nice value, and how long it wishes to run at a stretch when others want its processor (0: as long as others do).
 * Kernels before 6.12 ignore the wish.  False: not even asked.
 */
extern bool net_wish_slice(int nice, uint64_t slice_ns);
/* Has the background any time left in this iteration?  What asks first in an iteration has. */
extern bool net_background_may_run(NetLoop *loop);
extern void net_watch_event(NetWatch *watch, uint32_t events);

/* --- TLS; only for conns that have it --- */

typedef struct NetTls NetTls;

/* As recv(): plain bytes, 0 at the end, -1 with errno; drives the handshake first. */
extern ssize_t net_tls_read(NetConn *conn, uint8_t *to, size_t size);
/* A read may give something although the socket has no event. */
extern bool net_tls_has_more(const NetConn *conn);
/* Encrypt and send, or keep until the handshake is over.  false: the conn is broken. */
extern bool net_tls_write(NetConn *conn, const struct iovec *iov, int iov_count, size_t total) MUST_CHECK;
/* Send close_notify, behind what was sent before. */
extern void net_tls_say_goodbye(NetConn *conn);
extern void net_tls_free(NetTls *tls);

/* Options of a stream socket; failures are ignored (they are wishes). */
extern void net_socket_apply(int fd, int family, const NetSocketOptions *options);
/* The same for all that a listener will accept: on Linux they have its options, so nothing is set on each but the sizes of buffers, which cannot
 * be taken back. */
extern void net_socket_apply_to_listener(int fd, int family, const NetSocketOptions *options);
extern void net_socket_apply_to_accepted(int fd, const NetSocketOptions *options);
/* The socket's pending error, which this takes; 0: none. */
extern int net_socket_error(int fd);
/* As recv() and send(), without waiting. */
extern ssize_t net_socket_read(int fd, uint8_t *to, size_t size);
extern ssize_t net_socket_write_bytes(int fd, const void *bytes, size_t len);
/* The same of pieces, `total` bytes together. */
extern ssize_t net_socket_write(int fd, const struct iovec *iov, int iov_count, size_t total);
extern ssize_t net_socket_send_descriptor(int fd, const void *bytes, size_t len, int passed);

#endif
