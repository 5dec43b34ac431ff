/*
 * relay.c: a raw byte relay for the benchmark: what anything between client and server costs at the least.
 *
 *   relay LISTEN_PORT SERVER_PORT
 *
 * Each accepted connection gets one of its own to the server, both on 127.0.0.1; bytes are passed on as they come: one recv and one send a
 * wake-up, level-triggered epoll, one thread.  It reads no message and shares no connection.  What the receiver does not take at once is kept,
 * and the sender is not read meanwhile.
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
#include <unistd.h>

#define READ_SIZE (64 * 1024)
#define MAX_EVENTS 256

typedef struct End
{
	int fd;
	struct End *other;
	bool closed;
	uint8_t *rest; /* not yet taken by fd; owned */
	size_t rest_len, rest_pos;
	struct End *next_closed;
} End;

static int epoll_fd;
static uint8_t buffer[READ_SIZE];
static End *closed;

static void
die(const char *what)
{
	fprintf(stderr, "relay: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void
watch(int op, End *end, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = end};

	if (epoll_ctl(epoll_fd, op, end->fd, &event) < 0)
		die("epoll_ctl");
}

static struct sockaddr_in
loopback(int port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons((uint16_t) port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int
tcp_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1;

	if (fd < 0)
		die("socket");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	return fd;
}

/* Both ends; their memory is freed when no event of this turn can mean them any more. */
static void
close_pair(End *end)
{
	End *ends[2] = {end, end->other};

	for (int i = 0; i < 2; i++)
	{
		if (ends[i]->closed)
			continue;
		close(ends[i]->fd);
		ends[i]->closed = true;
		ends[i]->next_closed = closed;
		closed = ends[i];
	}
}

static void
free_closed(void)
{
	while (closed != NULL)
	{
		End *end = closed;

		closed = end->next_closed;
		free(end->rest);
		free(end);
	}
}

static void
begin_pair(int listen_fd, int server_port)
{
	struct sockaddr_in to = loopback(server_port);
	int on = 1;
	End *client;
	End *server;
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	client = calloc(1, sizeof(End));
	server = calloc(1, sizeof(End));
	if (client == NULL || server == NULL)
		die("calloc");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	*client = (End){.fd = fd, .other = server};
	*server = (End){.fd = tcp_socket(), .other = client};
	if (connect(server->fd, (struct sockaddr *) &to, sizeof(to)) < 0)
	{
		close_pair(client);
		return;
	}
	watch(EPOLL_CTL_ADD, client, EPOLLIN);
	watch(EPOLL_CTL_ADD, server, EPOLLIN);
}

static bool
must_wait(ssize_t n)
{
	return n < 0 && (errno == EAGAIN || errno == EINTR);
}

static void
write_rest(End *end)
{
	ssize_t n = send(end->fd, end->rest + end->rest_pos, end->rest_len - end->rest_pos, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0 && !must_wait(n))
	{
		close_pair(end);
		return;
	}
	end->rest_pos += n > 0 ? (size_t) n : 0;
	if (end->rest_pos < end->rest_len)
		return;
	free(end->rest);
	end->rest = NULL;
	watch(EPOLL_CTL_MOD, end, end->other->rest == NULL ? EPOLLIN : 0);
	watch(EPOLL_CTL_MOD, end->other, EPOLLIN);
}

static void
keep_rest(End *to, const uint8_t *bytes, size_t len)
{
	if ((to->rest = malloc(len)) == NULL)
		die("malloc");
	memcpy(to->rest, bytes, len);
	to->rest_len = len;
	to->rest_pos = 0;
	watch(EPOLL_CTL_MOD, to, EPOLLOUT | (to->other->rest == NULL ? (uint32_t) EPOLLIN : 0));
	watch(EPOLL_CTL_MOD, to->other, 0);
}

static void
pass_on(End *from)
{
	ssize_t n = recv(from->fd, buffer, sizeof(buffer), MSG_DONTWAIT);
	ssize_t sent;

	if (n <= 0)
	{
		if (!must_wait(n))
			close_pair(from);
		return;
	}
	sent = send(from->other->fd, buffer, (size_t) n, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent == n)
		return;
	if (sent < 0 && !must_wait(sent))
		close_pair(from);
	else
		keep_rest(from->other, buffer + (sent > 0 ? sent : 0), (size_t) (n - (sent > 0 ? sent : 0)));
}

int
main(int argc, char **argv)
{
	struct epoll_event events[MAX_EVENTS];
	struct sockaddr_in here;
	End listener = {0};

	if (argc != 3)
	{
		fprintf(stderr, "usage: relay LISTEN_PORT SERVER_PORT\n");
		return 2;
	}
	here = loopback(atoi(argv[1]));
	listener.fd = tcp_socket();
	if (bind(listener.fd, (struct sockaddr *) &here, sizeof(here)) < 0 || listen(listener.fd, 1024) < 0)
		die("listen");
	if ((epoll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0)
		die("epoll_create1");
	watch(EPOLL_CTL_ADD, &listener, EPOLLIN);
	for (;;)
	{
		int n = epoll_wait(epoll_fd, events, MAX_EVENTS, -1);

		for (int i = 0; i < n; i++)
		{
			End *end = events[i].data.ptr;

			if (end == &listener)
				begin_pair(listener.fd, atoi(argv[2]));
			else if (!end->closed && (events[i].events & EPOLLOUT) != 0)
				write_rest(end);
			if (end != &listener && !end->closed && (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
				pass_on(end);
		}
		free_closed();
	}
}
