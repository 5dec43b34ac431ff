/*
 * storm.c: many connections at once, or many statements at once, before a server or pooler on 127.0.0.1 that trusts the user.
 *
 *   storm PORT logins N     N connections begin in the same moment; each logs in and sends one query when it may; all stay until the last has its
 *                           answer, then all are closed at once
 *   storm PORT pipeline N   one connection sends N queries without waiting for an answer, while it reads them; or, with `synced` or `unsynced` for
 *                           `pipeline`, N times Parse, Bind, Execute, with a Sync after each or one at the end
 *
 * Prints key=value pairs: done, failed, seconds.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "letters.h"

#define IDLE_LIMIT_MS 60000

static const char query[] = "Q\0\0\0\rselect 1"; /* the literal's NUL ends the text */
/* Parse, Bind and Execute of the unnamed statement. */
#define STATEMENT "P\0\0\0\020\0select 1\0\0\0" "B\0\0\0\014\0\0\0\0\0\0\0\0" "E\0\0\0\011\0\0\0\0\0"
static const char sync_message[] = {'S', 0, 0, 0, 4};

typedef struct Stream
{
	int fd;
	Letters letters;
	long ready, complete, errors;
	bool asked, over;
} Stream;

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double) ts.tv_sec + (double) ts.tv_nsec / 1e9;
}

static void
die(const char *what)
{
	fprintf(stderr, "storm: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int
begin_connect(int port)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t) port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1;

	if (fd < 0)
		die("socket");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (struct sockaddr *) &to, sizeof(to)) < 0 && errno != EINPROGRESS)
		die("connect");
	return fd;
}

static void
send_startup(int fd)
{
	static const char body[] = "\0\3\0\0user\0postgres\0database\0postgres\0";
	uint32_t len = htonl((uint32_t) sizeof(body) + 4);

	if (send(fd, &len, 4, MSG_NOSIGNAL | MSG_MORE) != 4 || send(fd, body, sizeof(body), MSG_NOSIGNAL) != (ssize_t) sizeof(body))
		die("startup packet");
}

static void
digest(Stream *stream, const uint8_t *bytes, size_t len)
{
	const uint8_t *end = bytes + len;
	char letter;

	while ((letter = next_letter(&stream->letters, &bytes, end)) != 0)
	{
		stream->ready += letter == 'Z';
		stream->complete += letter == 'C';
		stream->errors += letter == 'E';
	}
}

static void
read_stream(Stream *stream)
{
	static uint8_t buffer[65536];
	ssize_t n;

	while ((n = recv(stream->fd, buffer, sizeof(buffer), 0)) > 0)
		digest(stream, buffer, (size_t) n);
	if (n == 0 || (errno != EAGAIN && errno != EINTR))
		stream->over = true;
}

static void
watch(int epoll_fd, int op, Stream *stream, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = stream};

	if (epoll_ctl(epoll_fd, op, stream->fd, &event) < 0)
		die("epoll_ctl");
}

/* One event of a connection that logs in; true when it has come to its end, either way. */
static bool
login_event(int epoll_fd, Stream *stream, uint32_t events)
{
	if (!stream->asked && stream->letters.have == 0 && (events & EPOLLOUT) != 0)
	{
		watch(epoll_fd, EPOLL_CTL_MOD, stream, EPOLLIN);
		send_startup(stream->fd);
		return false;
	}
	read_stream(stream);
	if (stream->ready == 1 && !stream->asked)
	{
		stream->asked = true;
		if (send(stream->fd, query, sizeof(query), MSG_NOSIGNAL) != (ssize_t) sizeof(query))
			stream->over = true;
	}
	return stream->over || stream->errors > 0 || stream->ready >= 2;
}

static int
logins(int port, int count)
{
	Stream *streams = calloc((size_t) count, sizeof(Stream));
	struct epoll_event events[512];
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	double began = now();
	int done = 0, failed = 0, n;

	if (streams == NULL || epoll_fd < 0)
		die("start");
	for (int i = 0; i < count; i++)
	{
		streams[i].fd = begin_connect(port);
		watch(epoll_fd, EPOLL_CTL_ADD, &streams[i], EPOLLOUT);
	}
	while (done + failed < count && (n = epoll_wait(epoll_fd, events, 512, IDLE_LIMIT_MS)) > 0)
		for (int i = 0; i < n; i++)
		{
			Stream *stream = events[i].data.ptr;

			if (!login_event(epoll_fd, stream, events[i].events))
				continue;
			epoll_ctl(epoll_fd, EPOLL_CTL_DEL, stream->fd, NULL);
			if (stream->over || stream->errors > 0)
				failed++;
			else
				done++;
		}
	printf("done=%d failed=%d seconds=%.3f\n", done, count - done, now() - began);
	return done == count ? 0 : 1;
}

/* What is sent, again and again, and then once. */
typedef struct Request
{
	const char *unit;
	size_t unit_len;
	bool sync_at_end;
} Request;

static const Request requests[] = {
	{query, sizeof(query), false},
	{STATEMENT "S\0\0\0\4", sizeof(STATEMENT) - 1 + 5, false},
	{STATEMENT, sizeof(STATEMENT) - 1, true},
};

#define UNITS 1000

/* Send what the socket takes of the rest; false when nothing is left. */
static bool
send_rest(const Stream *stream, const Request *request, const char *block, size_t total, size_t *sent)
{
	size_t size = request->unit_len * UNITS;

	while (*sent < total)
	{
		size_t from = *sent % size;
		size_t len = size - from < total - *sent ? size - from : total - *sent;
		ssize_t n = send(stream->fd, block + from, len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n <= 0)
			return true;
		*sent += (size_t) n;
	}
	if (request->sync_at_end && send(stream->fd, sync_message, sizeof(sync_message), MSG_NOSIGNAL | MSG_DONTWAIT) != sizeof(sync_message))
		return true;
	return false;
}

static int
pipeline(int port, const Request *request, long count)
{
	Stream stream = {.fd = begin_connect(port)};
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event;
	char *block = malloc(request->unit_len * UNITS);
	size_t total = request->unit_len * (size_t) count, sent = 0;
	long ends = 1 + (request->sync_at_end ? 1 : count);
	bool sending = true;
	double began = 0;

	if (block == NULL)
		die("memory");
	for (size_t i = 0; i < UNITS; i++)
		memcpy(block + i * request->unit_len, request->unit, request->unit_len);
	watch(epoll_fd, EPOLL_CTL_ADD, &stream, EPOLLOUT);
	while (stream.ready < ends && !stream.over && epoll_wait(epoll_fd, &event, 1, IDLE_LIMIT_MS) == 1)
	{
		if (!stream.asked && stream.ready == 0 && (event.events & EPOLLOUT) != 0)
		{
			send_startup(stream.fd);
			watch(epoll_fd, EPOLL_CTL_MOD, &stream, EPOLLIN);
			continue;
		}
		read_stream(&stream);
		if (!stream.asked && stream.ready > 0)
		{
			stream.asked = true;
			began = now();
			watch(epoll_fd, EPOLL_CTL_MOD, &stream, EPOLLIN | EPOLLOUT);
		}
		if (stream.asked && sending && !(sending = send_rest(&stream, request, block, total, &sent)))
			watch(epoll_fd, EPOLL_CTL_MOD, &stream, EPOLLIN);
	}
	printf("done=%ld failed=%ld seconds=%.3f\n", stream.complete, count - stream.complete + stream.errors, now() - began);
	return stream.complete == count && stream.ready == ends && stream.errors == 0 ? 0 : 1;
}

int
main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[2], "logins") == 0)
		return logins(atoi(argv[1]), atoi(argv[3]));
	if (argc == 4 && strcmp(argv[2], "pipeline") == 0)
		return pipeline(atoi(argv[1]), &requests[0], atol(argv[3]));
	if (argc == 4 && strcmp(argv[2], "synced") == 0)
		return pipeline(atoi(argv[1]), &requests[1], atol(argv[3]));
	if (argc == 4 && strcmp(argv[2], "unsynced") == 0)
		return pipeline(atoi(argv[1]), &requests[2], atol(argv[3]));
	fprintf(stderr, "usage: storm PORT logins|pipeline|synced|unsynced N\n");
	return 2;
}
