/*
 * conn_write.c: what goes out: written at once, posted in the ring for the end of the iteration, or queued in _out when the kernel does not take it.
 *
 * The three keep their order: nothing is posted while there is a backlog, and what is posted is written before anything that goes another way.
 */
#include "net/conn.h"

#include <errno.h>

/* Queue what is left of the iovecs after `skip` bytes. */
static bool
queue_rest(NetConn *conn, const struct iovec *iov, int iov_count, size_t skip)
{
	for (int i = 0; i < iov_count; i++)
	{
		if (skip >= iov[i].iov_len)
		{
			skip -= iov[i].iov_len;
			continue;
		}
		if (!buf_append(&conn->_out, (const uint8_t *) iov[i].iov_base + skip, iov[i].iov_len - skip))
			return false;
		skip = 0;
	}
	return true;
}

/* Write or queue `total` bytes; false: the conn is broken. */
static bool
write_or_queue(NetConn *conn, const struct iovec *iov, int iov_count, size_t total)
{
	ssize_t n = 0;

	if (conn->loop->ring != NULL && !conn->_connecting && net_backlog(conn) == 0)
	{
		if (net_ring_post(conn, iov, iov_count, total))
			return true;
		if (conn->_post > 0)
			net_conn_write_post(conn);
		if (conn->_pending_error != 0)
			return false;
	}
	if (!conn->_connecting && net_backlog(conn) == 0)
	{
		n = net_socket_write(conn->fd, iov, iov_count, total);
		if ((size_t) n == total)
			return true;
		if (n < 0 && !net_would_block(errno))
		{
			net_conn_fail(conn, errno);
			return false;
		}
		if (n < 0)
			n = 0;
	}
	if (!queue_rest(conn, iov, iov_count, (size_t) n))
		net_conn_fail(conn, ENOMEM);
	else if (!conn->_connecting)
		net_conn_arm(conn, net_conn_interest(conn));
	return conn->_pending_error == 0;
}

void
net_conn_not_sent(NetConn *conn, Slice rest, int error)
{
	if (!conn->_open || conn->_ended || conn->_pending_error != 0)
		return;
	if (error != 0 && !net_would_block(error))
		net_conn_fail(conn, error);
	else if (!buf_append(&conn->_out, rest.ptr, rest.len))
		net_conn_fail(conn, ENOMEM);
	else
		net_conn_arm(conn, net_conn_interest(conn));
}

void
net_conn_write_post(NetConn *conn)
{
	Slice bytes = net_ring_take_post(conn);
	ssize_t n = net_socket_write_bytes(conn->fd, bytes.ptr, bytes.len);
	size_t done = n > 0 ? (size_t) n : 0;

	if (done < bytes.len)
		net_conn_not_sent(conn, slice_make(bytes.ptr + done, bytes.len - done), n < 0 ? errno : 0);
}

void
net_send(NetConn *conn, const struct iovec *iov, int iov_count)
{
	size_t total = 0;

	if (!net_conn_is_live(conn) || conn->_pending_error != 0)
		return;
	for (int i = 0; i < iov_count; i++)
		total += iov[i].iov_len;
	if (total == 0)
		return;
	if (conn->_tls == NULL)
		(void) write_or_queue(conn, iov, iov_count, total);
	else if (!net_tls_write(conn, iov, iov_count, total))
		net_conn_fail(conn, EPROTO);
}

bool
net_send_descriptor(NetConn *conn, const void *bytes, size_t len, int fd)
{
	ssize_t n;

	if (!net_conn_is_live(conn) || conn->_pending_error != 0 || conn->_tls != NULL || net_backlog(conn) > 0)
		return false;
	if (conn->_post > 0)
		net_conn_write_post(conn);
	if (conn->_pending_error != 0 || net_backlog(conn) > 0)
		return false;
	n = net_socket_send_descriptor(conn->fd, bytes, len, fd);
	if (n <= 0)
		return false;
	net_send_bytes(conn, (const uint8_t *) bytes + n, len - (size_t) n);
	return true;
}

bool
net_conn_write(NetConn *conn, const struct iovec *iov, int iov_count)
{
	size_t total = 0;

	if (!conn->_open || conn->_ended || conn->_pending_error != 0)
		return false;
	for (int i = 0; i < iov_count; i++)
		total += iov[i].iov_len;
	return write_or_queue(conn, iov, iov_count, total);
}

void
net_conn_write_backlog(NetConn *conn)
{
	ssize_t n = net_backlog(conn) > 0 ? net_socket_write_bytes(conn->fd, buf_ptr(&conn->_out), net_backlog(conn)) : 0;

	if (n < 0)
	{
		if (!net_would_block(errno))
			net_conn_fail(conn, errno);
		return;
	}
	buf_consume(&conn->_out, (size_t) n);
	if (net_backlog(conn) > 0)
		return;
	buf_free(&conn->_out);
	net_conn_arm(conn, net_conn_interest(conn));
	if (conn->_closing)
		net_conn_close_drained(conn);
	else if (conn->handler->on_drained != NULL)
		conn->handler->on_drained(conn);
}
