/*
 * conn.c: connections: connecting, reading, writing, ending, closing.
 *
 * Reading.  With nothing held, input goes into the loop's scratch and is presented from there; what on_input
 * leaves is copied into _in.  A little held input is put before the new bytes in the scratch; only much of it
 * (a message that is buffered whole) is read behind itself in _in.  One read at a time: a busy peer cannot
 * starve the others.
 *
 * Interest.  EPOLLIN | EPOLLRDHUP always, EPOLLOUT while there is a backlog, edge-triggered: epoll tells once
 * that something came, and looks at no socket a second time to find that it has been read.  So what an event
 * has told is kept in the conn: `_unread` until a read got less than it could take, `_hangup` for ever.  Pausing
 * costs no system call.  While a conn is neither paused nor in a callback, `_unread` implies that it is on the
 * ready list, or that epoll has been asked to tell again.
 *
 * The ring (net/ring.h), where there is one.  Who reads little, several times in a row, receives by the ring from then on, and goes back to epoll when
 * much comes, when it is paused for long, and to come to its end.  While it is there `_unread` is false, and nothing else reads from the socket.
 *
 * The background.  What of it has something to do stands in a list of its own, in order of arrival, and the loop works that off for a bounded
 * time in each iteration.
 *
 * Ending.  A failed write only sets _pending_error: what the peer said before it went is still presented,
 * then on_end() follows.  Unless input was lost for want of memory, which what follows would be misread without.
 *
 * A conn is in one of these states: not open; connecting; up; ended (on_end called, out of epoll); closing
 * (net_close_flushed). Its memory stays valid until on_released, so after each callback the state is simply
 * looked at again.
 */
#include "net/loop.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define EVENTS_INPUT (EPOLLIN | EPOLLRDHUP | EPOLLET)
#define EVENTS_HANGUP (EPOLLRDHUP | EPOLLET)
#define EVENTS_LOST (EPOLLHUP | EPOLLERR)
#define EVENTS_END (EPOLLRDHUP | EVENTS_LOST)

/* Up to this much held input is cheaper to copy before the new bytes than to grow a buffer for. */
#define HELD_COPY_MAX 4096
/* A conn goes to the ring after so many reads of so little in a row, and back to epoll after so many full buffers. */
#define CALM_READ 4096
#define CALM_READS 4
#define FULL_BUFFERS 4
/* What comes by the ring while paused is held; beyond this it is left with the kernel, by epoll. */
#define HELD_PAUSED_MAX (16 * 1024)

/* What net_close_flushed needs beyond the conn; allocated, since few connections ever do. */
typedef struct NetLinger
{
	Timer timer;
	NetConn *conn; /* borrowed: the conn owns this */
	ListNode node; /* on the loop's list */
} NetLinger;

static void close_drained(NetConn *conn);
static void write_post(NetConn *conn);

/* --- small things --- */

/* Events may be delivered: open, neither ended nor being closed. */
static inline bool
is_live(const NetConn *conn)
{
	return conn->_open && !conn->_ended && !conn->_closing;
}

static void
make_ready(NetConn *conn)
{
	if (list_linked(&conn->_ready_node))
		return;
	conn->_late = conn->background;
	list_append(conn->_late ? &conn->loop->late : &conn->loop->ready, &conn->_ready_node);
}

static void
not_ready(NetConn *conn)
{
	if (list_linked(&conn->_ready_node))
		list_remove(conn->_late ? &conn->loop->late : &conn->loop->ready, &conn->_ready_node);
}

/* The connection is broken: let on_end follow, after what can still be read.  The backlog is lost. */
static void
fail(NetConn *conn, int error)
{
	if (conn->_pending_error == 0)
		conn->_pending_error = error != 0 ? error : EIO;
	buf_free(&conn->_out);
	make_ready(conn);
}

/* There is no memory to hold what was received. */
static void
lose_input(NetConn *conn)
{
	buf_free(&conn->_in);
	conn->_gap = true;
	fail(conn, ENOMEM);
}

static void
arm(NetConn *conn, uint32_t events)
{
	if (conn->_armed == events && conn->_registered == (events != 0))
		return;
	if (net_loop_interest(conn->loop, conn->fd, LOOP_CONN, conn, &conn->_registered, events))
		conn->_armed = events;
	else
		fail(conn, errno);
}

/* Have epoll tell once more what it told already. */
static void
ask_again(NetConn *conn)
{
	if (!net_loop_interest(conn->loop, conn->fd, LOOP_CONN, conn, &conn->_registered, conn->_armed))
		fail(conn, errno);
}

/* What epoll shall tell of a conn that is up. */
static inline uint32_t
interest(const NetConn *conn)
{
	return (conn->_ring == RING_OFF ? EVENTS_INPUT : EVENTS_HANGUP) | (net_backlog(conn) > 0 ? (uint32_t) EPOLLOUT : 0u);
}

static void
end(NetConn *conn, NetEnd why, int error)
{
	if (conn->_pending_error != 0 && why != NET_END_CONNECT_FAILED)
	{
		why = NET_END_ERROR;
		error = conn->_pending_error;
	}
	conn->_ended = true;
	not_ready(conn);
	arm(conn, 0);
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
		make_ready(conn);
	else if (errno == EINPROGRESS)
		arm(conn, EPOLLOUT | EPOLLET);
	else
		fail(conn, errno);
	return true;
}

/* The attempt has come to its end. */
static void
finish_connect(NetConn *conn)
{
	int error = conn->_pending_error != 0 ? conn->_pending_error : net_socket_error(conn->fd);

	not_ready(conn);
	if (error != 0)
	{
		end(conn, NET_END_CONNECT_FAILED, error);
		return;
	}
	conn->_connecting = false;
	arm(conn, interest(conn));
	if (conn->handler->on_connected != NULL)
		conn->handler->on_connected(conn);
}

/* --- changing threads --- */

void
net_detach(NetConn *conn)
{
	assert(conn->loop->presenting != conn && conn->_linger == NULL && !conn->_connecting);
	if (conn->_post > 0)
		write_post(conn);
	if (conn->_ring != RING_OFF)
		net_ring_expel(conn);
	not_ready(conn);
	if (conn->_open)
		arm(conn, 0);
	not_ready(conn); /* arm may have failed */
	net_loop_forget(conn->loop, conn);
	conn->loop = NULL;
}

void
net_attach(NetLoop *loop, NetConn *conn)
{
	conn->loop = loop;
	if (!is_live(conn))
		return;
	arm(conn, interest(conn));
	if (net_held(conn) > 0 || conn->_pending_error != 0 || conn->_unread || conn->_tls != NULL)
		make_ready(conn);
}

/* --- writing --- */

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

static bool
would_block(int error)
{
	return error == EAGAIN || error == EWOULDBLOCK;
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
			write_post(conn);
		if (conn->_pending_error != 0)
			return false;
	}
	if (!conn->_connecting && net_backlog(conn) == 0)
	{
		n = net_socket_write(conn->fd, iov, iov_count, total);
		if ((size_t) n == total)
			return true;
		if (n < 0 && !would_block(errno))
		{
			fail(conn, errno);
			return false;
		}
		if (n < 0)
			n = 0;
	}
	if (!queue_rest(conn, iov, iov_count, (size_t) n))
		fail(conn, ENOMEM);
	else if (!conn->_connecting)
		arm(conn, interest(conn));
	return conn->_pending_error == 0;
}

void
net_conn_not_sent(NetConn *conn, Slice rest, int error)
{
	if (!conn->_open || conn->_ended || conn->_pending_error != 0)
		return;
	if (error != 0 && !would_block(error))
		fail(conn, error);
	else if (!buf_append(&conn->_out, rest.ptr, rest.len))
		fail(conn, ENOMEM);
	else
		arm(conn, interest(conn));
}

/* What is posted goes out now, since something else must come after it. */
static void
write_post(NetConn *conn)
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

	if (!is_live(conn) || conn->_pending_error != 0)
		return;
	for (int i = 0; i < iov_count; i++)
		total += iov[i].iov_len;
	if (total == 0)
		return;
	if (conn->_tls == NULL)
		(void) write_or_queue(conn, iov, iov_count, total);
	else if (!net_tls_write(conn, iov, iov_count, total))
		fail(conn, EPROTO);
}

bool
net_send_descriptor(NetConn *conn, const void *bytes, size_t len, int fd)
{
	ssize_t n;

	if (!is_live(conn) || conn->_pending_error != 0 || conn->_tls != NULL || net_backlog(conn) > 0)
		return false;
	if (conn->_post > 0)
		write_post(conn);
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
net_conn_wake(NetConn *conn)
{
	make_ready(conn);
}

/* The peer takes bytes again. */
static void
write_backlog(NetConn *conn)
{
	ssize_t n = net_backlog(conn) > 0 ? net_socket_write_bytes(conn->fd, buf_ptr(&conn->_out), net_backlog(conn)) : 0;

	if (n < 0)
	{
		if (!would_block(errno))
			fail(conn, errno);
		return;
	}
	buf_consume(&conn->_out, (size_t) n);
	if (net_backlog(conn) > 0)
		return;
	buf_free(&conn->_out);
	arm(conn, interest(conn));
	if (conn->_closing)
		close_drained(conn);
	else if (conn->handler->on_drained != NULL)
		conn->handler->on_drained(conn);
}

/* --- reading --- */

/* Is this buffer much larger than the bytes that will stay in it, perhaps for long? */
static bool
oversized(const Buf *buf, size_t len)
{
	return len == 0 || (buf->cap > HELD_COPY_MAX && len < buf->cap / 4);
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

	if (is_live(conn))
		hold(conn, data + used, len - used);
}

/* Present held input where it is. */
static void
present_held(NetConn *conn)
{
	size_t used = call_on_input(conn, buf_ptr(&conn->_in), buf_len(&conn->_in));

	if (!is_live(conn))
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
	return would_block(errno) ? READ_NOTHING : READ_FAILED;
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
		fail(conn, error);
}

/* See to it that the rest is read.  Of a peer that goes on sending in the next iteration: the others have their turn. */
static void
read_on(NetConn *conn)
{
	if (!conn->_unread)
		return;
	if (conn->_hangup || conn->_tls != NULL)
		make_ready(conn);
	else if (!conn->_paused)
		ask_again(conn);
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
	else if (++conn->_streak >= CALM_READS && is_live(conn) && !conn->background && !conn->_unread && net_backlog(conn) == 0)
		net_conn_join_ring(conn);
}

void
net_conn_join_ring(NetConn *conn)
{
	conn->_streak = 0;
	net_ring_join(conn);
	arm(conn, interest(conn));
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
			if (conn->_unread && is_live(conn))
				read_on(conn);
			if (conn->loop->ring != NULL)
				consider_ring(conn, n);
			break;
		case READ_NOTHING: on_nothing(conn); break;
		case READ_EOF: end(conn, NET_END_EOF, 0); break;
		case READ_FAILED: end(conn, NET_END_ERROR, errno); break;
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
		not_ready(conn);
	switch (read_once(conn))
	{
		case READ_SOME:
			if (is_live(conn))
				read_on(conn);
			break;
		case READ_NOTHING: on_nothing(conn); break;
		case READ_EOF: end(conn, NET_END_EOF, 0); break;
		case READ_FAILED: end(conn, NET_END_ERROR, errno); break;
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
	end(conn, error != 0 ? NET_END_ERROR : NET_END_EOF, error);
}

/* --- by the ring --- */

void
net_conn_keep(NetConn *conn, const uint8_t *data, size_t len)
{
	if (is_live(conn) && !conn->_gap && !buf_append(&conn->_in, data, len))
		lose_input(conn);
}

void
net_conn_set_aside(NetConn *conn, const uint8_t *data, size_t len)
{
	if (!is_live(conn))
		return;
	net_conn_keep(conn, data, len);
	make_ready(conn);
}

/* Bytes that cannot be shown by themselves, or not yet. */
static void
received_behind(NetConn *conn, const uint8_t *data, size_t len)
{
	uint8_t *scratch = conn->loop->scratch;
	size_t held = net_held(conn);

	if (!conn->_paused && conn->_pending_error == 0)
		not_ready(conn);
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

	if (!is_live(conn) || conn->_gap)
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
	if (is_live(conn))
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
		arm(conn, interest(conn));
		if (conn->_pending_error != 0)
			make_ready(conn);
	}
	else if ((conn->_paused && !conn->early_hangup) || conn->_pending_error != 0 || list_linked(&conn->_ready_node))
	{
		/* its turn comes; a read finds the end again, but not the error */
		conn->_unread = conn->_hangup = true;
		if (error > 0)
			fail(conn, error);
		if (!conn->_paused)
			make_ready(conn);
	}
	else
		end(conn, error > 0 ? NET_END_ERROR : NET_END_EOF, error);
}

/* --- events --- */

/* How many reads of what is thrown away in one go. */
#define DISCARD_READS 16

/* While closing: throw away what comes, until the peer has closed too. */
static void
discard_input(NetConn *conn)
{
	for (int i = 0; i < DISCARD_READS; i++)
	{
		ssize_t n = net_socket_read(conn->fd, conn->loop->scratch, NET_READ_SIZE);

		if (n > 0)
			continue;
		if (n == 0 || !would_block(errno))
			net_close(conn);
		return;
	}
	ask_again(conn);
}

/* The kernel may forget to tell the ring of an end that came right behind bytes: so epoll watches for that. */
static void
on_event_beside_ring(NetConn *conn, uint32_t events)
{
	if ((events & EPOLLOUT) != 0 && net_backlog(conn) > 0)
		write_backlog(conn);
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
		finish_connect(conn);
		return;
	}
	if ((events & EPOLLOUT) != 0 && net_backlog(conn) > 0)
		write_backlog(conn);
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
	make_ready(conn);
}

/* The rest of a broken connection, a piece at a time; then on_end. */
static void
finish_failed(NetConn *conn)
{
	if (conn->_paused)
	{
		/* waits for net_resume() */
		if (conn->early_hangup)
			end(conn, NET_END_ERROR, 0);
		return;
	}
	if (read_once(conn) != READ_SOME)
		end(conn, NET_END_ERROR, 0);
	else if (is_live(conn))
		make_ready(conn);
}

void
net_conn_ready(NetConn *conn)
{
	if (!conn->_open || conn->_ended)
		return;
	if (conn->_closing)
		close_drained(conn);
	else if (conn->_connecting)
		finish_connect(conn);
	else
	{
		if (!conn->_paused && net_held(conn) > 0)
			present_held(conn);
		if (!is_live(conn))
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
	if (!is_live(conn) || conn->_connecting)
		return;
	/* inside on_input nobody knows yet what will be held */
	if (net_held(conn) > 0 || conn->loop->presenting == conn || conn->_pending_error != 0 || conn->_tls != NULL ||
		conn->_unread)
		make_ready(conn);
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
	if (conn->_tls != NULL && is_live(conn))
		net_tls_say_goodbye(conn);
	linger_free(conn);
	not_ready(conn);
	if (conn->_post > 0)
		write_post(conn);
	not_ready(conn); /* that may have failed */
	if (conn->_open)
	{
		/* a copy of the descriptor in another process would keep the registration alive */
		arm(conn, 0);
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

/* Everything is written: say so, and wait for the peer to close. */
static void
close_drained(NetConn *conn)
{
	if (conn->_pending_error != 0 || shutdown(conn->fd, SHUT_WR) < 0)
	{
		net_close(conn);
		return;
	}
	arm(conn, interest(conn));
	if (conn->_pending_error != 0)
		net_close(conn);
}

void
net_close_flushed(NetConn *conn, usec_t linger_us)
{
	NetLinger *linger;

	if (conn->_closing)
		return;
	if (!is_live(conn) || conn->_connecting || conn->_pending_error != 0 || linger_us <= 0 ||
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
		write_post(conn);
	if (conn->_ring != RING_OFF)
		net_ring_leave(conn);
	arm(conn, interest(conn));
	if (conn->_unread)
		ask_again(conn);
	if (net_backlog(conn) == 0)
		make_ready(conn);
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
