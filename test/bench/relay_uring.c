/*
 * relay_uring.c: the raw byte relay of relay.c on io_uring, to see what that is worth.
 *
 *   relay_uring LISTEN_PORT SERVER_PORT
 *
 * What a server could do at best: one system call a turn (submit and wait), receiving by multishot into buffers that the kernel chooses, sends as
 * submissions, completions run when they are asked for (DEFER_TASKRUN).  A buffer goes back when it has been sent.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFERS 1024 /* a power of two */
#define BUFFER_SIZE (16 * 1024)
#define GROUP 1

typedef struct End
{
	int fd;
	struct End *other;
	int first, last; /* buffers to be sent to fd, the first of them under way; -1: none */
	int pending;	 /* submissions that have not ended */
	bool closed, receiving, sending;
} End;

enum
{
	DO_ACCEPT,
	DO_RECEIVE,
	DO_SEND
};

static struct io_uring ring;
static struct io_uring_buf_ring *buffers;
static uint8_t *memory;
static struct
{
	int next;
	uint32_t len, sent;
} buffer[BUFFERS];

static void
die(const char *what, int error)
{
	fprintf(stderr, "relay_uring: %s: %s\n", what, strerror(error));
	exit(1);
}

static struct io_uring_sqe *
new_sqe(void)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	if (sqe == NULL)
	{
		io_uring_submit(&ring);
		sqe = io_uring_get_sqe(&ring);
	}
	if (sqe == NULL)
		die("io_uring_get_sqe", EAGAIN);
	return sqe;
}

/* After io_uring_prep_...().  The address has room for what it is about. */
static void
tag(struct io_uring_sqe *sqe, End *end, int what)
{
	io_uring_sqe_set_data64(sqe, (uint64_t) (uintptr_t) end | (uint64_t) what);
	end->pending++;
}

static void
give_back(int id)
{
	io_uring_buf_ring_add(buffers, memory + (size_t) id * BUFFER_SIZE, BUFFER_SIZE, (unsigned short) id, io_uring_buf_ring_mask(BUFFERS), 0);
	io_uring_buf_ring_advance(buffers, 1);
}

static void
accept_all(End *listener)
{
	struct io_uring_sqe *sqe = new_sqe();

	io_uring_prep_multishot_accept(sqe, listener->fd, NULL, NULL, SOCK_CLOEXEC);
	tag(sqe, listener, DO_ACCEPT);
}

static void
receive(End *end)
{
	struct io_uring_sqe *sqe = new_sqe();

	io_uring_prep_recv_multishot(sqe, end->fd, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = GROUP;
	tag(sqe, end, DO_RECEIVE);
	end->receiving = true;
}

static void
send_first(End *end)
{
	int id = end->first;
	struct io_uring_sqe *sqe = new_sqe();

	io_uring_prep_send(sqe, end->fd, memory + (size_t) id * BUFFER_SIZE + buffer[id].sent, buffer[id].len - buffer[id].sent, MSG_NOSIGNAL | MSG_WAITALL);
	tag(sqe, end, DO_SEND);
	end->sending = true;
}

static void
free_pair(End *end)
{
	if (end->pending > 0 || end->other->pending > 0)
		return;
	close(end->fd);
	close(end->other->fd);
	free(end->other);
	free(end);
}

/* Both ends: what is under way ends by itself then.  Their numbers stay taken meanwhile: submissions name them. */
static void
close_pair(End *end)
{
	End *ends[2] = {end, end->other};

	for (int i = 0; i < 2; i++)
	{
		if (ends[i]->closed)
			continue;
		ends[i]->closed = true;
		shutdown(ends[i]->fd, SHUT_RDWR);
		for (int id = ends[i]->first; id >= 0 && !ends[i]->sending; id = ends[i]->first)
		{
			ends[i]->first = buffer[id].next;
			give_back(id);
		}
	}
}

static void
received(End *end, const struct io_uring_cqe *cqe)
{
	int id = (int) (cqe->flags >> IORING_CQE_BUFFER_SHIFT);
	End *to = end->other;

	if ((cqe->flags & IORING_CQE_F_MORE) == 0)
		end->receiving = false;
	if (cqe->res > 0 && end->closed)
		give_back(id);
	else if (cqe->res > 0)
	{
		buffer[id].next = -1;
		buffer[id].len = (uint32_t) cqe->res;
		buffer[id].sent = 0;
		if (to->first < 0)
			to->first = id;
		else
			buffer[to->last].next = id;
		to->last = id;
		if (!to->sending)
			send_first(to);
	}
	else if (cqe->res != -ENOBUFS && !end->closed)
		close_pair(end);
	if (!end->receiving && !end->closed)
		receive(end);
}

static void
sent(End *end, int n)
{
	int id = end->first;

	end->sending = false;
	if (n > 0)
		buffer[id].sent += (uint32_t) n;
	if (n <= 0 && !end->closed)
		close_pair(end);
	if (buffer[id].sent == buffer[id].len || end->closed)
	{
		/* of a closed one the rest is dropped by the next call, or was */
		end->first = buffer[id].next;
		give_back(id);
		while (end->closed && (id = end->first) >= 0)
		{
			end->first = buffer[id].next;
			give_back(id);
		}
	}
	if (end->first >= 0 && !end->closed)
		send_first(end);
}

static int
tcp_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1;

	if (fd < 0)
		die("socket", errno);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	return fd;
}

static struct sockaddr_in
loopback(int port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons((uint16_t) port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void
begin_pair(int fd, int server_port)
{
	struct sockaddr_in to = loopback(server_port);
	End *client = calloc(1, sizeof(End));
	End *server = calloc(1, sizeof(End));
	int on = 1;

	if (client == NULL || server == NULL)
		die("calloc", ENOMEM);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	*client = (End){.fd = fd, .other = server, .first = -1};
	*server = (End){.fd = tcp_socket(), .other = client, .first = -1};
	if (connect(server->fd, (struct sockaddr *) &to, sizeof(to)) < 0)
	{
		close_pair(client);
		free_pair(client);
		return;
	}
	receive(client);
	receive(server);
}

static void
make_ring(void)
{
	struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE, .cq_entries = 8192};
	struct io_uring_buf_reg reg = {.ring_entries = BUFFERS, .bgid = GROUP};
	int error = -io_uring_queue_init_params(1024, &ring, &params);

	if (error != 0)
		die("io_uring_setup", error);
	buffers = mmap(NULL, BUFFERS * sizeof(struct io_uring_buf), PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
	memory = mmap(NULL, (size_t) BUFFERS * BUFFER_SIZE, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
	if (buffers == MAP_FAILED || memory == MAP_FAILED)
		die("mmap", errno);
	reg.ring_addr = (uint64_t) (uintptr_t) buffers;
	if ((error = -io_uring_register_buf_ring(&ring, &reg, 0)) != 0)
		die("io_uring_register_buf_ring", error);
	io_uring_buf_ring_init(buffers);
	for (int i = 0; i < BUFFERS; i++)
		give_back(i);
}

int
main(int argc, char **argv)
{
	struct sockaddr_in here;
	End listener = {.first = -1};

	if (argc != 3)
	{
		fprintf(stderr, "usage: relay_uring LISTEN_PORT SERVER_PORT\n");
		return 2;
	}
	make_ring();
	here = loopback(atoi(argv[1]));
	listener.fd = tcp_socket();
	if (bind(listener.fd, (struct sockaddr *) &here, sizeof(here)) < 0 || listen(listener.fd, 1024) < 0)
		die("listen", errno);
	accept_all(&listener);
	for (;;)
	{
		struct io_uring_cqe *cqe;
		unsigned head;
		unsigned n = 0;
		int result = io_uring_submit_and_wait(&ring, 1);

		if (result < 0 && result != -EINTR)
			die("io_uring_submit_and_wait", -result);
		io_uring_for_each_cqe(&ring, head, cqe)
		{
			End *end = (End *) (uintptr_t) (cqe->user_data & ~UINT64_C(3));
			int what = (int) (cqe->user_data & 3);

			n++;
			if (what == DO_ACCEPT)
			{
				if (cqe->res >= 0)
					begin_pair(cqe->res, atoi(argv[2]));
				if ((cqe->flags & IORING_CQE_F_MORE) == 0)
					accept_all(end);
				continue;
			}
			end->pending += (cqe->flags & IORING_CQE_F_MORE) == 0 ? -1 : 0;
			if (what == DO_RECEIVE)
				received(end, cqe);
			else
				sent(end, cqe->res);
			if (end->closed)
				free_pair(end);
		}
		io_uring_cq_advance(&ring, n);
	}
}
