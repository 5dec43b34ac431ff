/*
 * loop.h: the inside of a NetLoop, for the files of net/ only.
 *
 * Each descriptor is registered with epoll under the address of its object, whose two lowest bits tell the
 * kind.  An object that may be freed before the end of the iteration (watch, listener) takes its pending events
 * with it: net_loop_forget().
 */
#ifndef PGWEIR_NET_LOOP_H
#define PGWEIR_NET_LOOP_H

#include <sys/epoll.h>
#include "net/net.h"

#define LOOP_MAX_EVENTS 256

typedef enum LoopKind
{
	LOOP_CONN,
	LOOP_LISTENER,
	LOOP_WATCH,
} LoopKind;

struct NetLoop
{
	int epoll_fd;
	bool stop;
	bool no_nanoseconds; /* the kernel has no epoll_pwait2 */
	usec_t now;
	Log *log; /* borrowed; may be NULL */
	TimerQueue timers;
	List ready;	 /* conns to look at without waiting for an event */
	List closed; /* conns to release at the end of the iteration */
	List lingers; /* NetLinger: conns that are being closed in peace */
	void (*on_turn)(void *arg, usec_t now);
	void *on_turn_arg;
	const NetConn *presenting; /* the conn whose on_input runs */
	int event_next;			   /* events[event_next .. event_count) are still to be handled */
	int event_count;
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

/* An event came; a conn that is not open any more is skipped. */
extern void net_conn_event(NetConn *conn, uint32_t events);
/* The conn's turn on the ready list (it has been taken off). */
extern void net_conn_ready(NetConn *conn);
/* Give back what a closed conn still holds and call on_released. */
extern void net_conn_release(NetConn *conn);
/* Close the conns that net_close_flushed() still keeps open. */
extern void net_conn_end_lingers(NetLoop *loop);
extern void net_listener_event(NetListener *listener);
extern void net_watch_event(NetWatch *watch, uint32_t events);

/* Options of a stream socket; failures are ignored (they are wishes). */
extern void net_socket_apply(int fd, int family, const NetSocketOptions *options);

#endif
