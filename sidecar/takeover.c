/*
 * takeover.c: a small client of the console, for the one conversation of takeover.h.
 */
#include "takeover.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire/backend.h"
#include "wire/frontend.h"
#include "wire/msg.h"
#include "wire/startup.h"

/* The old process answers at once, unless it is very busy. */
#define ANSWER_LIMIT_S 20

typedef struct Talk
{
	int fd;
	Buf in;				  /* read and not yet looked at */
	int fds[MAX_LISTENERS]; /* owned: arrived, in order */
	int fd_count;
	int sockets; /* rows of listening sockets */
	bool is_pgweir;
	char *error; /* borrowed */
	size_t error_size;
} Talk;

static bool
failed(const Talk *talk, const char *what)
{
	snprintf(talk->error, talk->error_size, "could not take over: %s", what);
	return false;
}

/* --- bytes and descriptors --- */

static void
keep_descriptors(Talk *talk, struct msghdr *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c))
	{
		size_t count = c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS ? (c->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;

		for (size_t i = 0; i < count; i++)
		{
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (talk->fd_count < MAX_LISTENERS)
				talk->fds[talk->fd_count++] = fd;
			else
				close(fd);
		}
	}
}

static bool
read_more(Talk *talk)
{
	uint8_t bytes[4096];
	union
	{
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * 8)];
	} control;
	struct iovec iov = {bytes, sizeof(bytes)};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t n;

	do
		n = recvmsg(talk->fd, &message, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return failed(talk, "the old process closed the connection");
	if (n < 0)
		return failed(talk, errno == EAGAIN ? "the old process does not answer" : strerror(errno));
	keep_descriptors(talk, &message);
	return buf_append(&talk->in, bytes, (size_t) n) || failed(talk, "out of memory");
}

static bool
say(Talk *talk, Buf *out, bool ok)
{
	ok = ok && send(talk->fd, buf_ptr(out), buf_len(out), MSG_NOSIGNAL) == (ssize_t) buf_len(out);
	buf_free(out);
	return ok || failed(talk, "could not send to the old process");
}

static bool
ask(Talk *talk, const char *command)
{
	Buf out = {0};
	bool ok = wire_write_query(&out, slice_str(command));

	return say(talk, &out, ok);
}

/* --- messages --- */

static Slice
next_value(WireReader *r)
{
	int32_t len = wire_get_i32(r);

	return wire_get_bytes(r, len > 0 ? (size_t) len : 0);
}

/* The row of SHOW VERSION, or one of SHOW FDS: fd, task, ... */
static void
take_row(Talk *talk, Slice payload)
{
	WireReader r;
	int columns;
	Slice first;

	wire_reader_init(&r, payload.ptr, payload.len);
	columns = wire_get_i16(&r);
	first = next_value(&r);
	if (columns == 1)
		talk->is_pgweir = memmem(first.ptr, first.len, "(pgweir ", 8) != NULL;
	else if (slice_is(next_value(&r), "pooler") && !r.failed)
		talk->sockets++;
}

static bool
take_message(Talk *talk, uint8_t type, Slice payload)
{
	WireError error = {0};
	char text[200];

	if (type == BE_ERROR_RESPONSE)
	{
		if (!wire_read_error(payload, &error))
			error.message = slice_str("?");
		snprintf(text, sizeof(text), "the old process says: %.*s", (int) error.message.len, (const char *) error.message.ptr);
		return failed(talk, text);
	}
	if (type == BE_DATA_ROW)
		take_row(talk, payload);
	return true;
}

/* Everything up to ReadyForQuery. */
static bool
hear(Talk *talk)
{
	for (;;)
	{
		WireHeader header;
		size_t total;
		uint8_t type;

		switch (wire_read_header(buf_ptr(&talk->in), buf_len(&talk->in), &header))
		{
			case WIRE_BAD: return failed(talk, "the old process speaks another protocol");
			case WIRE_OK:
				total = (size_t) header.payload_len + WIRE_HEADER_SIZE;
				if (total > buf_len(&talk->in))
					break;
				type = header.type;
				if (!take_message(talk, type, slice_make(buf_ptr(&talk->in) + WIRE_HEADER_SIZE, header.payload_len)))
					return false;
				buf_consume(&talk->in, total);
				if (type == BE_READY_FOR_QUERY)
					return true;
				continue;
			case WIRE_NEED_MORE: break;
		}
		if (!read_more(talk))
			return false;
	}
}

/* --- the conversation --- */

static bool
log_in(Talk *talk)
{
	WireParam params[] = {{slice_str("user"), slice_str("pgbouncer")}, {slice_str("database"), slice_str("pgbouncer")}};
	Buf out = {0};
	bool ok = wire_write_startup(&out, params, 2);

	if (!say(talk, &out, ok) || !hear(talk) || !ask(talk, "SHOW VERSION") || !hear(talk))
		return false;
	return talk->is_pgweir || failed(talk, "the process on the Unix socket is not pgweir; with so_reuseport both can listen, then stop the old one");
}

static void
forget_descriptors(Talk *talk)
{
	while (talk->fd_count > 0)
		close(talk->fds[--talk->fd_count]);
}

static bool
fetch(Talk *talk, Listeners *listeners)
{
	if (!log_in(talk) || !ask(talk, "SHOW FDS") || !hear(talk))
		return false;
	if (talk->fd_count == 0 || talk->fd_count != talk->sockets)
		return failed(talk, "the old process gave no sockets: is this process of the same user?");
	listeners_take(listeners, talk->fds, talk->fd_count);
	talk->fd_count = 0;
	return true;
}

TakeoverStatus
takeover_begin(Listeners *listeners, const Config *config, int *connection, char *error, size_t size)
{
	struct timeval limit = {.tv_sec = ANSWER_LIMIT_S};
	const char *dir = config->settings->unix_socket_dir;
	NetAddress address;
	Talk talk = {.error = error, .error_size = size};
	bool ok;

	if (dir == NULL || dir[0] == '\0' || !net_address_unix(dir, config->process.listen_port, &address))
	{
		snprintf(error, size, "could not take over: that needs unix_socket_dir");
		return TAKEOVER_FAILED;
	}
	talk.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (talk.fd < 0 || connect(talk.fd, (struct sockaddr *) &address.addr, address.len) != 0)
	{
		if (talk.fd >= 0)
			close(talk.fd);
		return TAKEOVER_NOBODY;
	}
	(void) setsockopt(talk.fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	ok = fetch(&talk, listeners);
	forget_descriptors(&talk);
	buf_free(&talk.in);
	if (ok)
		*connection = talk.fd;
	else
		close(talk.fd);
	return ok ? TAKEOVER_DONE : TAKEOVER_FAILED;
}

bool
takeover_finish(int connection, char *error, size_t size)
{
	Talk talk = {.fd = connection, .error = error, .error_size = size};
	bool ok = ask(&talk, "SHUTDOWN WAIT_FOR_CLIENTS") && hear(&talk);

	buf_free(&talk.in);
	close(connection);
	return ok;
}
