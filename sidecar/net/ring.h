/*
 * ring.h: receiving and sending by io_uring, for the files of net/ only.
 *
 * A loop with a ring waits in the ring alone: its epoll descriptor is polled by it, so everything that is registered with epoll goes on as
 * without.  Two things take the shorter way, by one system call for all that there is to do in an iteration:
 *
 * - Receiving, of plain connections with steady small traffic: one request that lasts (multishot), into buffers that belong to the ring.  Of
 *   a conn "on the ring" epoll tells only that the peer has closed, and of room to write a backlog.  Logins, TLS and large transfers stay with epoll, which reads more at a time and
 *   leaves what nobody wants yet with the kernel.
 * - Sending: small pieces are posted, that is copied and written when the loop next enters the kernel, which is at the end of the iteration at the
 *   latest.  They are written without waiting, so when that call returns none is under way: what the peer did not take becomes the conn's backlog.
 *
 * The kernel does nothing for the ring between such calls (DEFER_TASKRUN), so nothing is received behind the loop's back.  Only the thread that
 * made the loop may enter the kernel for it; others may post, and close conns, while it stands still.
 */
#ifndef PGWEIR_NET_RING_H
#define PGWEIR_NET_RING_H

#include "net/net.h"

typedef struct NetRing NetRing;

/* No more is received at a time. */
#define NET_RING_BUFFERS 64 /* a power of two */
#define NET_RING_BUFFER_SIZE 8192
#define NET_RING_BYTES (NET_RING_BUFFERS * NET_RING_BUFFER_SIZE)

/* What the ring has to do with a conn; all but RING_OFF: it is not with epoll for input. */
typedef enum NetRingState
{
	RING_OFF,
	RING_JOINING,	/* on the ring's list `joining`: its request has not been made */
	RING_ON,		/* the request is made */
	RING_LEAVING,	/* on the list `leaving`: made, and to be cancelled */
	RING_CANCELLED, /* cancelled, the last completion has not come; when closed on the list `dying` */
} NetRingState;

/* NULL: the kernel refuses; the reason is in `why`. */
extern NetRing *net_ring_create(char *why, size_t size);
/* All requests are over then; conns that were closed are on the loop's closed list. */
extern void net_ring_free(NetLoop *loop);

/* Do what has been asked for, and wait so long for something to happen, as epoll_wait(); false: errno tells. */
extern bool net_ring_wait(NetLoop *loop, usec_t wait_us) MUST_CHECK;
/* Handle what has happened.  True: epoll has events. */
extern bool net_ring_run(NetLoop *loop);
/* Epoll may have more, of which the ring will not tell. */
extern void net_ring_ask_epoll(NetLoop *loop);
/* Write what has been posted: before the loop does something else for a while. */
extern void net_ring_push(NetLoop *loop);

/* Receive by the ring from now on; the conn must not be registered for input. */
extern void net_ring_join(NetConn *conn);
/* Go back to epoll: net_conn_left_ring() tells when it is done.  What comes until then is received as before. */
extern void net_ring_leave(NetConn *conn);
/* The same at once, for a conn that changes its loop: what was received is held. */
extern void net_ring_expel(NetConn *conn);
/* The conn is being closed.  True: it is put on the loop's closed list by net_ring_let_go(); false: the ring has nothing to do with it. */
extern bool net_ring_bury(NetConn *conn) MUST_CHECK;
/* No completion names a closed conn any more. */
extern void net_ring_let_go(NetLoop *loop);
extern bool net_ring_has_buried(const NetLoop *loop);

/* Write soon.  False: too much at once, or no room. */
extern bool net_ring_post(NetConn *conn, const struct iovec *iov, int iov_count, size_t total) MUST_CHECK;
/* Take back what is posted: the caller writes it; valid until the next post. */
extern Slice net_ring_take_post(NetConn *conn);

#endif
