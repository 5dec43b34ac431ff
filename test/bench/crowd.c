/*
 * crowd.c: very many clients of one pooler on 127.0.0.1 that trusts its users, from one process, which holds them as long as it is told to.
 *
 *   crowd PORT [USER [tls]]     USER may hold one %d: the number of the client
 *
 * Reads commands, a line each, and answers each by a line of key=value pairs: done, failed, seconds.
 *
 *   more N [K]     N more clients log in, K of them at a time (500)
 *   ask N          N of them, spread over all, send one query at the same moment; over when each has its answer
 *   begin N [S]    N of them send `begin; select pg_sleep(S)` (0), and nothing is waited for
 *   leave N        the N that came last close their sockets, one right after the other
 *
 * A client's own address is 127.1.0.x, a new one for every 20,000: so ports do not run out.  At the end of input all are closed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "letters.h"

#define CLIENTS_MAX 1000000
#define CLIENTS_PER_ADDRESS 20000
#define IDLE_LIMIT_MS 30000

typedef enum State
{
	CONNECTING,
	LOGIN,
	IDLE,
	ASKED,
	BROKEN,
} State;

typedef struct Client
{
	int fd;
	State state;
	Letters letters;
	bool error; /* an ErrorResponse came */
	SSL *ssl;
} Client;

static Client *clients;
static int count;
static int epoll_fd;
static int port;
static const char *user = "postgres";
static SSL_CTX *tls;

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
	fprintf(stderr, "crowd: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void
answer(int done, int failed, double since)
{
	printf("done=%d failed=%d seconds=%.4f\n", done, failed, now() - since);
	fflush(stdout);
}

/* --- one client --- */

static void
watch(Client *client, int op, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = client};

	if (epoll_ctl(epoll_fd, op, client->fd, &event) < 0)
		die("epoll_ctl");
}

static void
start(Client *client, int number)
{
	struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f010001u + (uint32_t) (number / CLIENTS_PER_ADDRESS))};
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t) port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int on = 1;

	*client = (Client){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | (tls == NULL ? SOCK_NONBLOCK : 0), 0)};
	if (client->fd < 0)
		die("socket");
	setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(client->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	if (bind(client->fd, (struct sockaddr *) &from, sizeof(from)) < 0)
		die("bind");
	if (connect(client->fd, (struct sockaddr *) &to, sizeof(to)) < 0 && errno != EINPROGRESS)
		die("connect");
}

static bool
client_send(Client *client, const void *bytes, size_t len)
{
	if (client->ssl != NULL)
		return SSL_write(client->ssl, bytes, (int) len) == (int) len;
	return send(client->fd, bytes, len, MSG_NOSIGNAL) == (ssize_t) len;
}

static bool
send_startup(Client *client)
{
	uint8_t packet[300];
	char name[100];
	size_t len = 8;

	snprintf(name, sizeof(name), user, (int) (client - clients));
	memcpy(packet + 4, "\0\3\0", 4);
	len += (size_t) snprintf((char *) packet + len, sizeof(packet) - len, "user%c%s%cdatabase%cpostgres%c", 0, name, 0, 0, 0) + 1;
	packet[0] = packet[1] = 0;
	packet[2] = (uint8_t) (len >> 8);
	packet[3] = (uint8_t) len;
	client->state = LOGIN;
	return client_send(client, packet, len);
}

static bool
send_query(Client *client, const char *text)
{
	uint8_t packet[200] = {'Q'};
	size_t len = strlen(text) + 5;

	packet[4] = (uint8_t) len;
	memcpy(packet + 5, text, len - 4);
	client->state = ASKED;
	return client_send(client, packet, len + 1);
}

static void
digest(Client *client, const uint8_t *bytes, size_t len)
{
	const uint8_t *end = bytes + len;
	char letter;

	while ((letter = next_letter(&client->letters, &bytes, end)) != 0)
	{
		client->error |= letter == 'E';
		if (letter == 'Z')
			client->state = IDLE;
	}
}

/* What has come.  A blocking one (TLS) is read until it is idle. */
static void
receive(Client *client)
{
	static uint8_t buffer[65536];
	ssize_t n;

	do
	{
		n = client->ssl != NULL ? SSL_read(client->ssl, buffer, sizeof(buffer)) : recv(client->fd, buffer, sizeof(buffer), 0);
		if (n > 0)
			digest(client, buffer, (size_t) n);
	} while (n > 0 && client->state != IDLE);
	if (n == 0 || (n < 0 && (client->ssl != NULL || (errno != EAGAIN && errno != EINTR))) || client->error)
		client->state = BROKEN;
}

/* Connect, handshake and login, one after the other. */
static void
login_tls(Client *client)
{
	static const uint8_t request[] = {0, 0, 0, 8, 4, 210, 22, 47};
	char byte;

	client->state = BROKEN;
	if (!client_send(client, request, sizeof(request)) || recv(client->fd, &byte, 1, 0) != 1 || byte != 'S')
		return;
	client->ssl = SSL_new(tls);
	SSL_set_fd(client->ssl, client->fd);
	if (SSL_connect(client->ssl) == 1 && send_startup(client))
		receive(client);
}

/* --- the commands --- */

static void
close_client(Client *client)
{
	SSL_free(client->ssl);
	close(client->fd);
}

/* A signal (also the end of a stop) is nothing to wake for. */
static int
wait_events(struct epoll_event *events, int max)
{
	int n;

	do
		n = epoll_wait(epoll_fd, events, max, IDLE_LIMIT_MS);
	while (n < 0 && errno == EINTR);
	return n;
}

/* Bring those of `client` to `client + n` that are busy to their end; how many are idle then. */
static int
settle(int busy)
{
	struct epoll_event events[512];
	int idle = 0, n;

	while (busy > 0 && (n = wait_events(events, 512)) > 0)
		for (int i = 0; i < n; i++)
		{
			Client *client = events[i].data.ptr;

			if (client->state == BROKEN)
				continue;
			receive(client);
			busy -= client->state == IDLE || client->state == BROKEN;
			idle += client->state == IDLE;
			if (client->state == BROKEN)
				epoll_ctl(epoll_fd, EPOLL_CTL_DEL, client->fd, NULL);
		}
	return idle;
}

static void
more_tls(int n)
{
	double since = now();
	int done = 0;

	for (int i = 0; i < n; i++, count++)
	{
		start(&clients[count], count);
		login_tls(&clients[count]);
		done += clients[count].state == IDLE;
	}
	answer(done, n - done, since);
}

static void
more(int n, int at_once)
{
	struct epoll_event events[512];
	double since = now();
	int begun = 0, over = 0, done = 0, ready;

	while (over < n)
	{
		for (; begun < n && begun - over < at_once; begun++, count++)
		{
			start(&clients[count], count);
			watch(&clients[count], EPOLL_CTL_ADD, EPOLLOUT);
		}
		if ((ready = wait_events(events, 512)) <= 0)
			break;
		for (int i = 0; i < ready; i++)
		{
			Client *client = events[i].data.ptr;

			if (client->state == CONNECTING)
			{
				watch(client, EPOLL_CTL_MOD, EPOLLIN);
				if (!send_startup(client))
					client->state = BROKEN;
			}
			else if (client->state == LOGIN)
				receive(client);
			else
				continue;
			over += client->state == IDLE || client->state == BROKEN;
			done += client->state == IDLE;
			if (client->state == BROKEN)
				epoll_ctl(epoll_fd, EPOLL_CTL_DEL, client->fd, NULL);
		}
	}
	answer(done, n - done, since);
}

/* How many could. */
static int
send_queries(int n, const char *text)
{
	int asked = 0;

	for (int i = 0; i < n; i++)
	{
		Client *client = &clients[(long) i * count / n];

		asked += client->state == IDLE && send_query(client, text);
	}
	return asked;
}

static void
ask(int n)
{
	double since = now();
	int done = settle(send_queries(n, "select 1"));

	answer(done, n - done, since);
}

static void
begin(int n, int seconds)
{
	double since = now();
	char text[100];
	int done;

	snprintf(text, sizeof(text), "begin; select pg_sleep(%d)", seconds);
	done = send_queries(n, text);
	answer(done, n - done, since);
}

static void
leave(int n)
{
	double since = now();
	int left = 0;

	for (; left < n && count > 0; left++)
		close_client(&clients[--count]);
	answer(left, n - left, since);
}

int
main(int argc, char **argv)
{
	struct rlimit files;
	char line[100];
	int n, at_once, seconds;

	if (argc < 2 || argc > 4)
	{
		fprintf(stderr, "usage: crowd PORT [USER [tls]]\n");
		return 2;
	}
	port = atoi(argv[1]);
	if (argc > 2)
		user = argv[2];
	if (argc > 3 && (tls = SSL_CTX_new(TLS_client_method())) == NULL)
		die("TLS");
	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
	{
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	clients = calloc(CLIENTS_MAX, sizeof(Client)); /* what is not used costs nothing */
	if (epoll_fd < 0 || clients == NULL)
		die("start");
	while (fgets(line, sizeof(line), stdin) != NULL)
	{
		at_once = 500;
		seconds = 0;
		if (sscanf(line, "more %d %d", &n, &at_once) >= 1 && n > 0 && count + n <= CLIENTS_MAX)
			tls != NULL ? more_tls(n) : more(n, at_once);
		else if (sscanf(line, "ask %d", &n) == 1 && tls == NULL)
			ask(n < count ? n : count);
		else if (sscanf(line, "begin %d %d", &n, &seconds) >= 1 && tls == NULL)
			begin(n < count ? n : count, seconds);
		else if (sscanf(line, "leave %d", &n) == 1)
			leave(n < count ? n : count);
		else
		{
			fprintf(stderr, "crowd: what is: %s", line);
			return 2;
		}
	}
	return 0;
}
