/*
 * parrot.c: a server for the benchmark that has thousands of sessions in one process, where PostgreSQL would need as many: it lets everybody in and
 * answers each Query, whatever it asks, with the same row.
 *
 *   parrot PORT        on 127.0.0.1
 *
 * It knows the simple protocol alone, and runs nothing: what is measured before it is what a pooler does by itself.
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
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "letters.h"

#define BACKLOG 4096
#define SSL_REQUEST 80877103
#define CANCEL_REQUEST 80877102

typedef struct Session
{
	int fd;
	bool logged_in;
	uint8_t startup[2048];
	uint32_t have; /* bytes of it */
	Letters letters;
} Session;

typedef struct Text
{
	uint8_t bytes[2048];
	size_t len;
} Text;

static int epoll_fd;
static Text answer; /* to a Query */

static void
die(const char *what)
{
	fprintf(stderr, "parrot: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* --- messages --- */

static void
add(Text *text, char letter, const void *payload, size_t len)
{
	uint32_t n = htonl((uint32_t) len + 4);

	text->bytes[text->len] = (uint8_t) letter;
	memcpy(text->bytes + text->len + 1, &n, 4);
	memcpy(text->bytes + text->len + 5, payload, len);
	text->len += len + 5;
}

static void
add_parameter(Text *text, const char *name, const char *value)
{
	char pair[100];
	int len = snprintf(pair, sizeof(pair), "%s%c%s", name, 0, value);

	add(text, 'S', pair, (size_t) len + 1);
}

static void
make_answer(void)
{
	static const uint8_t columns[] = {0, 1, 'a', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 23, 0, 4, 255, 255, 255, 255, 0, 0};
	static const uint8_t row[] = {0, 1, 0, 0, 0, 1, '1'};

	add(&answer, 'T', columns, sizeof(columns));
	add(&answer, 'D', row, sizeof(row));
	add(&answer, 'C', "SELECT 1", 9);
	add(&answer, 'Z', "I", 1);
}

static bool
send_text(const Session *session, const void *bytes, size_t len)
{
	return send(session->fd, bytes, len, MSG_NOSIGNAL) == (ssize_t) len;
}

static bool
welcome(const Session *session)
{
	uint32_t key[2] = {htonl((uint32_t) session->fd), htonl(1)};
	Text text = {.len = 0};

	add(&text, 'R', "\0\0\0\0", 4);
	add_parameter(&text, "server_version", "15.0");
	add_parameter(&text, "server_encoding", "UTF8");
	add_parameter(&text, "client_encoding", "UTF8");
	add_parameter(&text, "application_name", "");
	add_parameter(&text, "DateStyle", "ISO, MDY");
	add_parameter(&text, "IntervalStyle", "postgres");
	add_parameter(&text, "TimeZone", "UTC");
	add_parameter(&text, "integer_datetimes", "on");
	add_parameter(&text, "standard_conforming_strings", "on");
	add(&text, 'K', key, sizeof(key));
	add(&text, 'Z', "I", 1);
	return send_text(session, text.bytes, text.len);
}

/* --- a session --- */

/* How many bytes belong to what comes before the messages; 0 = it is at its end. */
static size_t
begin(Session *session, const uint8_t *bytes, size_t len, bool *over)
{
	uint32_t want = 4;
	uint32_t code;
	size_t used = 0;

	for (; used < len; used++)
	{
		session->startup[session->have++] = bytes[used];
		if (session->have >= 4)
		{
			memcpy(&want, session->startup, 4);
			want = ntohl(want);
		}
		*over |= want > sizeof(session->startup) || (session->have >= 4 && want < 8);
		if (*over || (session->have >= 8 && session->have == want))
			break;
	}
	if (used == len || *over)
		return len;
	memcpy(&code, session->startup + 4, 4);
	session->have = 0;
	if (ntohl(code) == SSL_REQUEST)
		*over = !send_text(session, "N", 1);
	else if (ntohl(code) == CANCEL_REQUEST)
		*over = true;
	else
		*over = !(session->logged_in = welcome(session));
	return used + 1;
}

static bool
converse(Session *session, const uint8_t *bytes, size_t len)
{
	const uint8_t *end = bytes + len;
	bool over = false;
	char letter;

	while (!over && !session->logged_in && bytes < end)
		bytes += begin(session, bytes, (size_t) (end - bytes), &over);
	while (!over && (letter = next_letter(&session->letters, &bytes, end)) != 0)
		over = letter == 'X' || (letter == 'Q' && !send_text(session, answer.bytes, answer.len));
	return !over;
}

static void
receive(Session *session)
{
	uint8_t bytes[8192];
	ssize_t n = recv(session->fd, bytes, sizeof(bytes), 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0 && converse(session, bytes, (size_t) n))
		return;
	close(session->fd);
	free(session);
}

static void
take(int listener)
{
	struct epoll_event event = {.events = EPOLLIN};
	Session *session;
	int on = 1;
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
	{
		if ((session = calloc(1, sizeof(Session))) == NULL)
			die("a session");
		session->fd = fd;
		event.data.ptr = session;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
			die("epoll_ctl");
	}
}

static int
listen_at(int port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t) port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd < 0 || bind(fd, (struct sockaddr *) &at, sizeof(at)) < 0 || listen(fd, BACKLOG) < 0)
		die("listen");
	return fd;
}

int
main(int argc, char **argv)
{
	struct epoll_event event = {.events = EPOLLIN}; /* data.ptr NULL: the listener */
	struct epoll_event events[256];
	struct rlimit files;
	int listener;

	if (argc != 2)
	{
		fprintf(stderr, "usage: parrot PORT\n");
		return 2;
	}
	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
	{
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	make_answer();
	listener = listen_at(atoi(argv[1]));
	if ((epoll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event) < 0)
		die("epoll");
	for (;;)
	{
		int n = epoll_wait(epoll_fd, events, 256, -1);

		for (int i = 0; i < n; i++)
			events[i].data.ptr == NULL ? take(listener) : receive(events[i].data.ptr);
	}
}
