/*
 * conn_read.c: what comes to a connection: events of epoll, completions of the ring, and the conn's own turn; and what is read and presented then.
 *
 * With nothing held, input goes into the loop's scratch and is presented from there; what on_input leaves is copied into _in.  A little held input
 * is put before the new bytes in the scratch; only much of it (a message that is buffered whole) is read behind itself in _in.  One read at a
 * time: a busy peer cannot starve the others.
 *
 * The ring.  Who reads little, several times in a row, receives by the ring from then on, and goes back to epoll when much comes, when it is
 * paused for long, and to come to its end.  While it is there `_unread` is false, and nothing else reads from the socket.
 *
 * A callback may do anything to the conn, which stays valid until on_released: so after each one its state is simply looked at again.
 */
#include "net/conn.h"

#include <assert.h>
#include <errno.h>

/* Up to this much held input is cheaper to copy before the new bytes than to grow a buffer for. */
#define HELD_COPY_MAX 4096
/* A conn goes to the ring after so many reads of so little in a row, and back to epoll after so many full buffers. */
#define CALM_READ 4096
#define CALM_READS 4
#define FULL_BUFFERS 4
/* What comes by the ring while paused is held; beyond this it is left with the kernel, by epoll. */
#define HELD_PAUSED_MAX (16 * 1024)
/* How many reads of what is thrown away in one go. */
#define DISCARD_READS 16

/* --- holding and presenting --- */

/* Is this buffer much larger than the bytes that will stay in it, perhaps for long? */
static bool
oversized(const Buf *buf, size_t len)
{
	return len == 0 || (buf->cap > HELD_COPY_MAX && len < buf->cap / 4);
}

/* There is no memory to hold what was received. */
static void
lose_input(NetConn *conn)
{
	buf_free(&conn->_in);
	conn->_gap = true;
	net_conn_fail(conn, ENOMEM);
}

/* Keep what on_input left: it becomes the held input.  `data` is not inside _in. */
static void
hold(NetConn *conn, const uint8_t *data, size_t len)
{
	if (len == 0 && conn->_in.data == NULL)
		return;
	if (oversized(&conn->_in, len))
		buf_free(&conn->_in);
	buf_clear(&conn->_in);
	if (!buf_append(&conn->_in, data, len))
		lose_input(conn);
}

static size_t
call_on_input(NetConn *conn, uint8_t *data, size_t len)
{
	size_t used;

	conn->loop->presenting = conn;
	used = conn->handler->on_input(conn, data, len);
	conn->loop->presenting = NULL;
	assert(used <= len);
	return used;
}

static inline void
present_scratch(NetConn *conn, size_t len)
{
	uint8_t *data = conn->loop->scratch;
	size_t used = call_on_input(conn, data, len);

	if (net_conn_is_live(conn))
		hold(conn, data + used, len - used);
}

/* Present held input where it is. */
static void
present_held(NetConn *conn)
{
	size_t used = call_on_input(conn, buf_ptr(&conn->_in), buf_len(&conn->_in));

	if (!net_conn_is_live(conn))
		return;
	buf_consume(&conn->_in, used);
	if (oversized(&conn->_in, buf_len(&conn->_in)))
	{
		Buf large = conn->_in;

		conn->_in = (Buf){0};
		hold(conn, buf_ptr(&large), buf_len(&large));
		buf_free(&large);
	}
}

/* --- reading --- */

typedef enum ReadResult
{
	READ_SOME,    /* presented; the conn may be in any state now */
	READ_NOTHING, /* nothing is there */
	READ_EOF,
	READ_FAILED, /* errno tells */
} ReadResult;

static ReadResult
read_result(ssize_t n)
{
	if (n > 0)
		return READ_SOME;
	if (n == 0)
		return READ_EOF;
	return net_would_block(errno) ? READ_NOTHING : READ_FAILED;
}

/* One read of at most `size` bytes; whatever it does not show to be over is still to be read. */
static ssize_t
read_some(NetConn *conn, uint8_t *to, size_t size)
{
	ssize_t n;

	if (conn->_gap)
	{
		errno = ENOMEM;
		return -1;
	}
	if (conn->_tls != NULL)
	{
		n = net_tls_read(conn, to, size);
		conn->_unread = net_tls_has_more(conn) || conn->_hangup;
		return n;
	}
	n = net_socket_read(conn->fd, to, size);
	conn->_unread = n == (ssize_t) size || conn->_hangup;
	return n;
}

/* One read and what follows from it. */
static ReadResult
read_once(NetConn *conn)
{
	uint8_t *scratch = conn->loop->scratch;
	size_t held = net_held(conn);
	ssize_t n;

	if (held <= HELD_COPY_MAX)
	{
		if ((n = read_some(conn, scratch + held, NET_READ_SIZE - held)) <= 0)
			return read_result(n);
		if (held > 0)
			memcpy(scratch, buf_ptr(&conn->_in), held);
		present_scratch(conn, held + (size_t) n);
		return READ_SOME;
	}
	if (!buf_reserve(&conn->_in, NET_READ_SIZE / 4))
	{
		errno = ENOMEM;
		return READ_FAILED;
	}
	n = read_some(conn, conn->_in.data + conn->_in.end, conn->_in.cap - conn->_in.end);
	if (n > 0)
	{
		conn->_in.end += (size_t) n;
		present_held(conn);
	}
	return read_result(n);
}

/* The socket says that nothing is there.  After a hang-up that must have a reason, or is none. */
static void
on_nothing(NetConn *conn)
{
	int error = conn->_hangup && conn->_pending_error == 0 ? net_socket_error(conn->fd) : 0;

	conn->_unread = conn->_hangup = false;
	if (error != 0)
		net_conn_fail(conn, error);
}

/* See to it that the rest is read.  Of a peer that goes on sending in the next iteration: the others have their turn. */
static void
read_on(NetConn *conn)
{
	if (!conn->_unread)
		return;
	if (conn->_hangup || conn->_tls != NULL)
		net_conn_wake(conn);
	else if (!conn->_paused)
		net_conn_ask_again(conn);
}

/* Nothing is held, and nothing stands in the way of presenting what comes. */
static inline bool
is_plain(const NetConn *conn)
{
	return conn->_open && !(conn->_ended | conn->_connecting | conn->_closing | conn->_paused) && conn->_pending_error == 0 &&
		   conn->_tls == NULL && conn->_in.data == NULL && !list_linked(&conn->_ready_node);
}

/* After a read of n bytes with epoll: steady small traffic goes by the ring. */
static void
consider_ring(NetConn *conn, ssize_t n)
{
	if (n > CALM_READ)
		conn->_streak = 0;
	else if (++conn->_streak >= CALM_READS && net_conn_is_live(conn) && !conn->background && !conn->_unread && net_backlog(conn) == 0)
		net_conn_join_ring(conn);
}

void
net_conn_join_ring(NetConn *conn)
{
	conn->_streak = 0;
	net_ring_join(conn);
	net_conn_arm(conn, net_conn_interest(conn));
}

/* What on_readable does for such a conn. */
static void
read_plain(NetConn *conn)
{
	ssize_t n = net_socket_read(conn->fd, conn->loop->scratch, NET_READ_SIZE);

	conn->_unread = n == NET_READ_SIZE;
	switch (read_result(n))
	{
		case READ_SOME:
			present_scratch(conn, (size_t) n);
			if (conn->_unread && net_conn_is_live(conn))
				read_on(conn);
			if (conn->loop->ring != NULL)
				consider_ring(conn, n);
			break;
		case READ_NOTHING: on_nothing(conn); break;
		case READ_EOF: net_conn_end(conn, NET_END_EOF, 0); break;
		case READ_FAILED: net_conn_end(conn, NET_END_ERROR, errno); break;
	}
}

/* Something is to be read, and the conn is not paused. */
static void
on_readable(NetConn *conn)
{
	/* when there may be no new bytes any more its turn comes first, which presents what is held */
	if (conn->_hangup && net_held(conn) > 0 && list_linked(&conn->_ready_node))
		return;
	/* else that is presented together with them */
	if (conn->_pending_error == 0)
		net_conn_unwake(conn);
	switch (read_once(conn))
	{
		case READ_SOME:
			if (net_conn_is_live(conn))
				read_on(conn);
			break;
		case READ_NOTHING: on_nothing(conn); break;
		case READ_EOF: net_conn_end(conn, NET_END_EOF, 0); break;
		case READ_FAILED: net_conn_end(conn, NET_END_ERROR, errno); break;
	}
}

/* The same while paused: nothing may be read. */
static void
on_readable_paused(NetConn *conn)
{
	int error;

	if (!conn->early_hangup || !conn->_hangup)
		return;
	error = net_socket_error(conn->fd);
	net_conn_end(conn, error != 0 ? NET_END_ERROR : NET_END_EOF, error);
}

/* --- by the ring --- */

void
net_conn_keep(NetConn *conn, const uint8_t *data, size_t len)
{
	if (net_conn_is_live(conn) && !conn->_gap && !buf_append(&conn->_in, data, len))
		lose_input(conn);
}

void
net_conn_set_aside(NetConn *conn, const uint8_t *data, size_t len)
{
	if (!net_conn_is_live(conn))
		return;
	net_conn_keep(conn, data, len);
	net_conn_wake(conn);
}

/* Bytes that cannot be shown by themselves, or not yet. */
static void
received_behind(NetConn *conn, const uint8_t *data, size_t len)
{
	uint8_t *scratch = conn->loop->scratch;
	size_t held = net_held(conn);

	if (!conn->_paused && conn->_pending_error == 0)
		net_conn_unwake(conn);
	if (conn->_paused || held > HELD_COPY_MAX)
	{
		net_conn_keep(conn, data, len);
		if (!conn->_paused && net_held(conn) > 0)
			present_held(conn);
		else if (net_held(conn) > HELD_PAUSED_MAX)
			net_ring_leave(conn);
		return;
	}
	if (held > 0)
		memcpy(scratch, buf_ptr(&conn->_in), held);
	memcpy(scratch + held, data, len);
	present_scratch(conn, held + len);
}

void
net_conn_received(NetConn *conn, uint8_t *data, size_t len, bool full)
{
	size_t used;

	if (!net_conn_is_live(conn) || conn->_gap)
		return;
	conn->loop->front_at = conn->loop->now;
	conn->_streak = full ? conn->_streak + 1 : 0;
	if (conn->_streak >= FULL_BUFFERS)
	{
		conn->_streak = 0;
		net_ring_leave(conn);
	}
	if (!is_plain(conn))
	{
		received_behind(conn, data, len);
		return;
	}
	used = call_on_input(conn, data, len);
	if (net_conn_is_live(conn))
		hold(conn, data + used, len - used);
}

void
net_conn_left_ring(NetConn *conn, int error)
{
	if (!conn->_open || conn->_ended)
		return;
	conn->_streak = 0;
	if (error < 0 || conn->_closing)
	{
		net_conn_arm(conn, net_conn_interest(conn));
		if (conn->_pending_error != 0)
			net_conn_wake(conn);
	}
	else if ((conn->_paused && !conn->early_hangup) || conn->_pending_error != 0 || list_linked(&conn->_ready_node))
	{
		/* its turn comes; a read finds the end again, but not the error */
		conn->_unread = conn->_hangup = true;
		if (error > 0)
			net_conn_fail(conn, error);
		if (!conn->_paused)
			net_conn_wake(conn);
	}
	else
		net_conn_end(conn, error > 0 ? NET_END_ERROR : NET_END_EOF, error);
}

/* --- events --- */

/* While closing: throw away what comes, until the peer has closed too. */
static void
discard_input(NetConn *conn)
{
	for (int i = 0; i < DISCARD_READS; i++)
	{
		ssize_t n = net_socket_read(conn->fd, conn->loop->scratch, NET_READ_SIZE);

		if (n > 0)
			continue;
		if (n == 0 || !net_would_block(errno))
			net_close(conn);
		return;
	}
	net_conn_ask_again(conn);
}

/* The kernel may forget to tell the ring of an end that came right behind bytes: so epoll watches for that. */
static void
on_event_beside_ring(NetConn *conn, uint32_t events)
{
	if ((events & EPOLLOUT) != 0 && net_backlog(conn) > 0)
		net_conn_write_backlog(conn);
	if ((events & EVENTS_END) == 0 || !conn->_open || conn->_ended || conn->_ring == RING_OFF)
		return;
	conn->_hangup = true;
	if (conn->_paused && !conn->_closing && conn->early_hangup)
		on_readable_paused(conn);
	else
		net_ring_leave(conn); /* and read the rest */
}

void
net_conn_event(NetConn *conn, uint32_t events)
{
	if (events == EPOLLIN && !conn->_hangup && is_plain(conn))
	{
		read_plain(conn);
		return;
	}
	if (conn->_ring != RING_OFF)
	{
		on_event_beside_ring(conn, events);
		return;
	}
	if (!conn->_open || conn->_ended)
		return;
	if (conn->_connecting)
	{
		net_conn_finish_connect(conn);
		return;
	}
	if ((events & EPOLLOUT) != 0 && net_backlog(conn) > 0)
		net_conn_write_backlog(conn);
	if ((events & (EVENTS_INPUT | EVENTS_LOST)) == 0 || !conn->_open || conn->_ended)
		return;
	conn->_unread = true;
	conn->_hangup |= (events & EVENTS_END) != 0;
	if (conn->_closing)
		discard_input(conn);
	else if (conn->_paused)
		on_readable_paused(conn);
	else
		on_readable(conn);
}

/* Only what a client sends is worth postponing; epoll does not tell of it again. */
void
net_conn_postpone(NetConn *conn, uint32_t events)
{
	if (conn->_connecting || conn->_closing || (events & EPOLLOUT) != 0)
	{
		net_conn_event(conn, events);
		return;
	}
	if (!conn->_open || conn->_ended)
		return;
	conn->_unread = true;
	conn->_hangup |= (events & EVENTS_END) != 0;
	net_conn_wake(conn);
}

/* The rest of a broken connection, a piece at a time; then on_end. */
static void
finish_failed(NetConn *conn)
{
	if (conn->_paused)
	{
		/* waits for net_resume() */
		if (conn->early_hangup)
			net_conn_end(conn, NET_END_ERROR, 0);
		return;
	}
	if (read_once(conn) != READ_SOME)
		net_conn_end(conn, NET_END_ERROR, 0);
	else if (net_conn_is_live(conn))
		net_conn_wake(conn);
}

void
net_conn_ready(NetConn *conn)
{
	if (!conn->_open || conn->_ended)
		return;
	if (conn->_closing)
		net_conn_close_drained(conn);
	else if (conn->_connecting)
		net_conn_finish_connect(conn);
	else
	{
		if (!conn->_paused && net_held(conn) > 0)
			present_held(conn);
		if (!net_conn_is_live(conn))
			return;
		if (conn->_ring != RING_OFF)
		{
			/* what has come until then is read first */
			if (conn->_pending_error != 0)
				net_ring_leave(conn);
		}
		else if (conn->_pending_error != 0)
			finish_failed(conn);
		else if (conn->_paused)
			on_readable_paused(conn);
		else if (conn->_unread || (conn->_tls != NULL && net_tls_has_more(conn)))
			on_readable(conn);
	}
}
