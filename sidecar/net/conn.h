/*
 * conn.h: the inside of a NetConn, for the files of net/ only.
 *
 *   conn.c        its life: connecting, changing threads, pausing, ending, closing
 *   conn_read.c   what comes: events, completions of the ring, its turn; reading and presenting
 *   conn_write.c  what goes out: written, posted, queued
 *
 * A conn is in one of these states: not open; connecting; up; ended (on_end called, out of epoll); closing (net_close_flushed).  Its memory stays valid until
 * on_released.
 *
 * Interest.  EPOLLIN | EPOLLRDHUP always, EPOLLOUT while there is a backlog, edge-triggered: epoll tells once that something came, and looks at no
 * socket a second time to find that it has been read.  So what an event has told is kept in the conn: `_unread` until a read got less than it
 * could take, `_hangup` for ever.  Pausing costs no system call.  While a conn is neither paused nor in a callback, `_unread` implies that it is on
 * the ready list, or that epoll has been asked to tell again.
 *
 * The ring (net/ring.h), where there is one.  Of a conn that receives by it epoll tells only that the peer has closed, and of room for a backlog.
 *
 * The background.  What of it has something to do stands in a list of its own, in order of arrival, and the loop works that off for a bounded
 * time in each iteration.
 *
 * Ending.  A failed write only sets _pending_error: what the peer said before it went is still presented, then on_end() follows.  Unless input was
 * lost for want of memory, which what follows would be misread without.
 */
#ifndef PGWEIR_NET_CONN_H
#define PGWEIR_NET_CONN_H

#include <errno.h>

#include "net/loop.h"

#define EVENTS_INPUT (EPOLLIN | EPOLLRDHUP | EPOLLET)
#define EVENTS_HANGUP (EPOLLRDHUP | EPOLLET)
#define EVENTS_LOST (EPOLLHUP | EPOLLERR)
#define EVENTS_END (EPOLLRDHUP | EVENTS_LOST)

/* --- conn.c: for the loop --- */

/* Give back what a closed conn still holds and call on_released. */
extern void net_conn_release(NetConn *conn);
/* Close the conns that net_close_flushed() still keeps open. */
extern void net_conn_end_lingers(NetLoop *loop);

/* --- conn.c: for the other two --- */

/* The connection is broken: let on_end follow, after what can still be read.  The backlog is lost. */
extern void net_conn_fail(NetConn *conn, int error);
/* It is over: out of epoll and the ring, and on_end.  A failure that was to be told comes before `why`. */
extern void net_conn_end(NetConn *conn, NetEnd why, int error);
/* The attempt to connect has come to its end. */
extern void net_conn_finish_connect(NetConn *conn);
/* While closing, everything is written: say so, and wait for the peer to close. */
extern void net_conn_close_drained(NetConn *conn);
/* Have epoll tell of these events; net_conn_arm() asks only when that is new. */
extern void net_conn_register(NetConn *conn, uint32_t events);
/* Have epoll tell once more what it told already. */
extern void net_conn_ask_again(NetConn *conn);

/* --- conn_read.c --- */

/* An event came; a conn that is not open any more is skipped. */
extern void net_conn_event(NetConn *conn, uint32_t events);
/* An event of a conn in the background: its turn comes when those before it have had theirs. */
extern void net_conn_postpone(NetConn *conn, uint32_t events);
/* The conn's turn on the ready list (it has been taken off). */
extern void net_conn_ready(NetConn *conn);

/* Take the conn, which is up, from epoll to the ring. */
extern void net_conn_join_ring(NetConn *conn);
/* Bytes came by the ring; never in a row after the last completion. */
extern void net_conn_received(NetConn *conn, uint8_t *data, size_t len, bool full);
/* No more will come from the ring: the peer has closed (0), an error, or neither (-1). */
extern void net_conn_left_ring(NetConn *conn, int error);
/* Hold what was received while the conn is being expelled. */
extern void net_conn_keep(NetConn *conn, const uint8_t *data, size_t len);
/* Hold this, if it is anything, and give the conn a turn. */
extern void net_conn_set_aside(NetConn *conn, const uint8_t *data, size_t len);

/* --- conn_write.c --- */

/*
 * Write these bytes as they are, or queue what cannot be written now.  false: the conn is broken, on_end follows.
 */
extern bool net_conn_write(NetConn *conn, const struct iovec *iov, int iov_count) MUST_CHECK;
/* The peer takes bytes again. */
extern void net_conn_write_backlog(NetConn *conn);
/* What is posted in the ring goes out now, since something else must come after it. */
extern void net_conn_write_post(NetConn *conn);
/* This of what was posted was not written. */
extern void net_conn_not_sent(NetConn *conn, Slice rest, int error);

/* --- small things that all do --- */

/* Events may be delivered: open, neither ended nor being closed. */
static inline bool
net_conn_is_live(const NetConn *conn)
{
	return conn->_open && !conn->_ended && !conn->_closing;
}

/* Give the conn a turn without waiting for an event. */
static inline void
net_conn_wake(NetConn *conn)
{
	if (list_linked(&conn->_ready_node))
		return;
	conn->_late = conn->background;
	list_append(conn->_late ? &conn->loop->late : &conn->loop->ready, &conn->_ready_node);
}

/* It needs none any more. */
static inline void
net_conn_unwake(NetConn *conn)
{
	if (list_linked(&conn->_ready_node))
		list_remove(conn->_late ? &conn->loop->late : &conn->loop->ready, &conn->_ready_node);
}

static inline void
net_conn_arm(NetConn *conn, uint32_t events)
{
	if (conn->_armed != events || conn->_registered != (events != 0))
		net_conn_register(conn, events);
}

/* What epoll shall tell of a conn that is up. */
static inline uint32_t
net_conn_interest(const NetConn *conn)
{
	return (conn->_ring == RING_OFF ? EVENTS_INPUT : EVENTS_HANGUP) | (net_backlog(conn) > 0 ? (uint32_t) EPOLLOUT : 0u);
}

static inline bool
net_would_block(int error)
{
	return error == EAGAIN || error == EWOULDBLOCK;
}

#endif
