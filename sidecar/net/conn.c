/*
 * conn.c: the life of a connection: connecting, changing threads, pausing, ending, closing; its interest in events.  What is read and written meanwhile:
 * conn_read.c, conn_write.c.
 */
#include "net/conn.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* What net_close_flushed needs beyond the conn; allocated, since few connections ever do. */
typedef struct NetLinger
{
	Timer timer;
	NetConn *conn; /* borrowed: the conn owns this */
	ListNode node; /* on the loop's list */
} NetLinger;

/* --- what all three files do --- */

void
net_conn_fail(NetConn *conn, int error)
{
	if (conn->_pending_error == 0)
		conn->_pending_error = error != 0 ? error : EIO;
	buf_free(&conn->_out);
	net_conn_wake(conn);
}

void
net_conn_register(NetConn *conn, uint32_t events)
{
	if (net_loop_interest(conn->loop, conn->fd, LOOP_CONN, conn, &conn->_registered, events))
		conn->_armed = events;
	else
		net_conn_fail(conn, errno);
}

void
net_conn_ask_again(NetConn *conn)
{
	if (!net_loop_interest(conn->loop, conn->fd, LOOP_CONN, conn, &conn->_registered, conn->_armed))
		net_conn_fail(conn, errno);
}

void
net_conn_end(NetConn *conn, NetEnd why, int error)
{
	if (conn->_pending_error != 0 && why != NET_END_CONNECT_FAILED)
	{
		why = NET_END_ERROR;
		error = conn->_pending_error;
	}
	conn->_ended = true;
	net_conn_unwake(conn);
	net_conn_arm(conn, 0);
	if (conn->_ring != RING_OFF)
		net_ring_leave(conn);
	buf_free(&conn->_out);
	conn->handler->on_end(conn, why, error);
}

/* --- starting --- */

static void
prepare(NetLoop *loop, NetConn *conn, const NetHandler *handler)
{
	conn->loop = loop;
	conn->handler = handler;
	conn->fd = -1;
}

bool
net_adopt(NetLoop *loop, NetConn *conn, int fd, const NetHandler *handler)
{
	prepare(loop, conn, handler);
	if (!net_loop_interest(loop, fd, LOOP_CONN, conn, &conn->_registered, EVENTS_INPUT))
		return false;
	conn->fd = fd;
	conn->_open = true;
	conn->_armed = EVENTS_INPUT;
	return true;
}

bool
net_connect(NetLoop *loop, NetConn *conn, const NetAddress *to, const NetSocketOptions *options,
			const NetHandler *handler)
{
	int family = to->addr.ss_family;

	prepare(loop, conn, handler);
	conn->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (conn->fd < 0)
		return false;
	conn->_open = true;
	conn->_connecting = true;
	net_socket_apply(conn->fd, family, options);
	if (connect(conn->fd, (const struct sockaddr *) &to->addr, to->len) == 0)
		net_conn_wake(conn);
	else if (errno == EINPROGRESS)
		net_conn_arm(conn, EPOLLOUT | EPOLLET);
	else
		net_conn_fail(conn, errno);
	return true;
}

void
net_conn_finish_connect(NetConn *conn)
{
	int error = conn->_pending_error != 0 ? conn->_pending_error : net_socket_error(conn->fd);

	net_conn_unwake(conn);
	if (error != 0)
	{
		net_conn_end(conn, NET_END_CONNECT_FAILED, error);
		return;
	}
	conn->_connecting = false;
	net_conn_arm(conn, net_conn_interest(conn));
	if (conn->handler->on_connected != NULL)
		conn->handler->on_connected(conn);
}

/* --- changing threads --- */

void
net_detach(NetConn *conn)
{
	assert(conn->loop->presenting != conn && conn->_linger == NULL && !conn->_connecting);
	if (conn->_post > 0)
		net_conn_write_post(conn);
	if (conn->_ring != RING_OFF)
		net_ring_expel(conn);
	net_conn_unwake(conn);
	if (conn->_open)
		net_conn_arm(conn, 0);
	net_conn_unwake(conn); /* arm may have failed */
	net_loop_forget(conn->loop, conn);
	conn->loop = NULL;
}

void
net_attach(NetLoop *loop, NetConn *conn)
{
	conn->loop = loop;
	if (!net_conn_is_live(conn))
		return;
	net_conn_arm(conn, net_conn_interest(conn));
	if (net_held(conn) > 0 || conn->_pending_error != 0 || conn->_unread || conn->_tls != NULL)
		net_conn_wake(conn);
}

/* --- pausing --- */

void
net_pause(NetConn *conn)
{
	conn->_paused = true;
}

void
net_resume(NetConn *conn)
{
	if (!conn->_paused)
		return;
	conn->_paused = false;
	if (!net_conn_is_live(conn) || conn->_connecting)
		return;
	/* inside on_input nobody knows yet what will be held */
	if (net_held(conn) > 0 || conn->loop->presenting == conn || conn->_pending_error != 0 || conn->_tls != NULL ||
		conn->_unread)
		net_conn_wake(conn);
}

/* --- closing --- */

static void
linger_free(NetConn *conn)
{
	NetLinger *linger = conn->_linger;

	if (linger == NULL)
		return;
	conn->_linger = NULL;
	timer_disarm(&conn->loop->timers, &linger->timer);
	list_remove(&conn->loop->lingers, &linger->node);
	free(linger);
}

void
net_close(NetConn *conn)
{
	if (conn->_closed)
		return;
	assert(conn->loop != NULL && conn->handler != NULL);
	conn->_closed = true;
	if (conn->_tls != NULL && net_conn_is_live(conn))
		net_tls_say_goodbye(conn);
	linger_free(conn);
	net_conn_unwake(conn);
	if (conn->_post > 0)
		net_conn_write_post(conn);
	net_conn_unwake(conn); /* that may have failed */
	if (conn->_open)
	{
		/* a copy of the descriptor in another process would keep the registration alive */
		net_conn_arm(conn, 0);
		close(conn->fd);
	}
	conn->_open = false;
	conn->fd = -1;
	buf_free(&conn->_out);
	if (conn->loop->ring == NULL || !net_ring_bury(conn))
		list_append(&conn->loop->closed, &conn->_closed_node);
}

static void
on_linger_expired(Timer *timer, usec_t now)
{
	(void) now;
	net_close(CONTAINER_OF(timer, NetLinger, timer)->conn);
}

void
net_conn_close_drained(NetConn *conn)
{
	if (conn->_pending_error != 0 || shutdown(conn->fd, SHUT_WR) < 0)
	{
		net_close(conn);
		return;
	}
	net_conn_arm(conn, net_conn_interest(conn));
	if (conn->_pending_error != 0)
		net_close(conn);
}

void
net_close_flushed(NetConn *conn, usec_t linger_us)
{
	NetLinger *linger;

	if (conn->_closing)
		return;
	if (!net_conn_is_live(conn) || conn->_connecting || conn->_pending_error != 0 || linger_us <= 0 ||
		(linger = calloc(1, sizeof(NetLinger))) == NULL)
	{
		net_close(conn);
		return;
	}
	if (conn->_tls != NULL)
		net_tls_say_goodbye(conn);
	linger->conn = conn;
	linger->timer.fire = on_linger_expired;
	list_append(&conn->loop->lingers, &linger->node);
	conn->_linger = linger;
	conn->_closing = true;
	timer_arm(&conn->loop->timers, &linger->timer, deadline_after(conn->loop->now, linger_us));
	if (conn->_post > 0)
		net_conn_write_post(conn);
	if (conn->_ring != RING_OFF)
		net_ring_leave(conn);
	net_conn_arm(conn, net_conn_interest(conn));
	if (conn->_unread)
		net_conn_ask_again(conn);
	if (net_backlog(conn) == 0)
		net_conn_wake(conn);
}

void
net_conn_end_lingers(NetLoop *loop)
{
	while (!list_empty(&loop->lingers))
		net_close(CONTAINER_OF(list_first(&loop->lingers), NetLinger, node)->conn);
}

void
net_conn_release(NetConn *conn)
{
	buf_free(&conn->_in);
	net_tls_free(conn->_tls);
	conn->_tls = NULL;
	if (conn->handler->on_released != NULL)
		conn->handler->on_released(conn);
}
