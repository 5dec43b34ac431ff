/*
 * ring.c: requests to the kernel by io_uring and what becomes of them.
 *
 * Requests are made when the loop enters the kernel, not before: a conn that is closed first leaves nothing behind that could meet another
 * socket under its number.  Each names its conn; a conn is released only after the last completion that does.
 *
 * A buffer is given back as soon as the conn has been shown what is in it.  When there are too few of them the kernel ends requests, which are made
 * anew.
 */
#include "net/ring.h"

#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include "net/conn.h"

#define REQUESTS 256
#define COMPLETIONS 4096
#define BUFFERS NET_RING_BUFFERS
#define BUFFER_SIZE NET_RING_BUFFER_SIZE
#define MEMORY_SIZE ((size_t) BUFFERS * (BUFFER_SIZE + sizeof(struct io_uring_buf)))
#define BUFFER_GROUP 1
#define POSTS 32
#define POST_MAX 4096 /* bytes of one conn: copying more costs more than a call */
#define OUTBOX_SIZE (32 * 1024)

/* The two lowest bits of what a completion is about. */
#define ABOUT_MASK ((uint64_t) 3)
enum
{
	ABOUT_CONN,
	ABOUT_POST, /* the rest is its number */
	ABOUT_EPOLL,
	ABOUT_NOTHING,
};

typedef struct Completion
{
	uint64_t about;
	int result;
	uint32_t flags;
} Completion;

typedef struct Post
{
	NetConn *conn; /* NULL: taken back */
	struct io_uring_sqe *request;
	uint32_t offset, len;
} Post;

struct NetRing
{
	struct io_uring ring;
	pthread_t owner;
	struct io_uring_buf_ring *buffers;
	uint8_t *memory; /* of the buffers, then of their ring */
	List joining, leaving, dying;
	int buried;		  /* conns that are closed and not yet let go of */
	bool polling;	  /* epoll's descriptor is being polled */
	bool epoll_ready; /* it has events, or may have */
	int post_count;
	uint32_t outbox_used;
	Post posts[POSTS];
	uint8_t outbox[OUTBOX_SIZE];
};

/* --- life --- */

static void
give_back(NetRing *ring, int id)
{
	io_uring_buf_ring_add(ring->buffers, ring->memory + (size_t) id * BUFFER_SIZE, BUFFER_SIZE, (unsigned short) id, io_uring_buf_ring_mask(BUFFERS), 0);
	io_uring_buf_ring_advance(ring->buffers, 1);
}

static void
free_buffers(NetRing *ring)
{
	if (ring->memory != NULL)
		munmap(ring->memory, MEMORY_SIZE);
}

static int
make_buffers(NetRing *ring)
{
	struct io_uring_buf_reg reg = {.ring_entries = BUFFERS, .bgid = BUFFER_GROUP};
	void *memory = mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
	int error;

	if (memory == MAP_FAILED)
		return errno;
	ring->memory = memory;
	ring->buffers = (struct io_uring_buf_ring *) (void *) (ring->memory + (size_t) BUFFERS * BUFFER_SIZE);
	reg.ring_addr = (uint64_t) (uintptr_t) ring->buffers;
	if ((error = -io_uring_register_buf_ring(&ring->ring, &reg, 0)) != 0)
		return error;
	io_uring_buf_ring_init(ring->buffers);
	for (int i = 0; i < BUFFERS; i++)
		give_back(ring, i);
	return 0;
}

/* A filter may let a ring be made, and refuse its use. */
static int
try_out(NetRing *ring)
{
	struct io_uring_sqe *request = io_uring_get_sqe(&ring->ring);
	int result;

	io_uring_prep_nop(request);
	request->user_data = ABOUT_NOTHING;
	if ((result = io_uring_submit_and_wait(&ring->ring, 1)) < 0)
		return -result;
	io_uring_cq_advance(&ring->ring, io_uring_cq_ready(&ring->ring));
	return 0;
}

static const char *
explain(int error)
{
	switch (error)
	{
		case ENOSYS: return "the kernel has none";
		case EINVAL: return "the kernel is too old, Linux 6.1 is needed";
		case EPERM: return "not permitted, by a seccomp filter or by kernel.io_uring_disabled";
		case ENOMEM: return "not enough memory may be locked, or there is none";
		default: return strerror(error);
	}
}

NetRing *
net_ring_create(char *why, size_t size)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE, .cq_entries = COMPLETIONS};
	NetRing *ring = calloc(1, sizeof(NetRing));
	const char *call = "io_uring_setup";
	int error;

	if (ring == NULL)
	{
		snprintf(why, size, "out of memory");
		return NULL;
	}
	if ((error = -io_uring_queue_init_params(REQUESTS, &ring->ring, &params)) == 0)
	{
		call = "io_uring_register";
		if ((error = make_buffers(ring)) == 0)
		{
			call = "io_uring_enter";
			error = try_out(ring);
		}
		if (error != 0)
		{
			io_uring_queue_exit(&ring->ring);
			free_buffers(ring);
		}
	}
	if (error != 0)
	{
		snprintf(why, size, "%s: %s", call, explain(error));
		free(ring);
		return NULL;
	}
	ring->owner = pthread_self();
	list_init(&ring->joining);
	list_init(&ring->leaving);
	list_init(&ring->dying);
	/* a wish: the kernel need not look for the descriptor each time */
	(void) io_uring_register_ring_fd(&ring->ring);
	return ring;
}

static void give_up_posts(NetRing *ring);

void
net_ring_free(NetLoop *loop)
{
	NetRing *ring = loop->ring;
	ListNode *node;

	if (ring == NULL)
		return;
	give_up_posts(ring);
	io_uring_queue_exit(&ring->ring);
	free_buffers(ring);
	while ((node = list_pop(&ring->leaving)) != NULL || (node = list_pop(&ring->dying)) != NULL)
	{
		NetConn *conn = CONTAINER_OF(node, NetConn, _closed_node);

		conn->_ring = RING_OFF;
		if (conn->_closed)
			list_append(&loop->closed, &conn->_closed_node);
	}
	free(ring);
	loop->ring = NULL;
}

bool
net_uring_works(char *why, size_t size)
{
	NetLoop loop = {.ring = net_ring_create(why, size)};

	if (loop.ring == NULL)
		return false;
	net_ring_free(&loop);
	return true;
}

/* --- making requests --- */

static bool
is_own(const NetRing *ring)
{
	return pthread_equal(ring->owner, pthread_self()) != 0;
}

/* Of the thread that owns the loop. */
static struct io_uring_sqe *
new_request(NetRing *ring, uint64_t about)
{
	struct io_uring_sqe *request = io_uring_get_sqe(&ring->ring);

	while (request == NULL)
	{
		/* full: these wait for nothing, so they can be made now */
		(void) io_uring_submit(&ring->ring);
		request = io_uring_get_sqe(&ring->ring);
	}
	request->user_data = about;
	return request;
}

/* io_uring_prep_...() of older versions of the library clear the user's data, so that is set last. */
static void
request_input(NetRing *ring, NetConn *conn)
{
	struct io_uring_sqe *request = new_request(ring, 0);

	io_uring_prep_recv_multishot(request, conn->fd, NULL, 0, 0);
	request->ioprio |= IORING_RECVSEND_POLL_FIRST;
	request->flags |= IOSQE_BUFFER_SELECT;
	request->buf_group = BUFFER_GROUP;
	request->user_data = (uint64_t) (uintptr_t) conn | ABOUT_CONN;
	conn->_ring = RING_ON;
}

static void
cancel_input(NetRing *ring, NetConn *conn)
{
	struct io_uring_sqe *request = new_request(ring, 0);

	io_uring_prep_cancel64(request, (uint64_t) (uintptr_t) conn | ABOUT_CONN, 0);
	request->flags |= IOSQE_CQE_SKIP_SUCCESS;
	request->user_data = ABOUT_NOTHING;
	conn->_ring = RING_CANCELLED;
	if (conn->_closed)
		list_append(&ring->dying, &conn->_closed_node);
}

static void
make_requests(NetLoop *loop)
{
	NetRing *ring = loop->ring;
	ListNode *node;

	if (!ring->polling)
	{
		struct io_uring_sqe *request = new_request(ring, 0);

		io_uring_prep_poll_multishot(request, loop->epoll_fd, POLLIN);
		request->user_data = ABOUT_EPOLL;
		ring->polling = true;
	}
	while ((node = list_pop(&ring->joining)) != NULL)
		request_input(ring, CONTAINER_OF(node, NetConn, _closed_node));
	while ((node = list_pop(&ring->leaving)) != NULL)
		cancel_input(ring, CONTAINER_OF(node, NetConn, _closed_node));
}

/* --- sending --- */

static void
forget_post(Post *post)
{
	if (post->conn != NULL)
		post->conn->_post = 0;
	post->conn = NULL;
}

bool
net_ring_post(NetConn *conn, const struct iovec *iov, int iov_count, size_t total)
{
	NetRing *ring = conn->loop->ring;
	Post *post = conn->_post > 0 ? &ring->posts[conn->_post - 1] : NULL;
	size_t before = post != NULL ? post->len : 0;
	bool moves = post != NULL && post->offset + post->len != ring->outbox_used;

	if (before + total > POST_MAX)
		return false;
	if (ring->outbox_used + total + (moves ? before : 0) > OUTBOX_SIZE || (post == NULL && ring->post_count == POSTS))
	{
		if (post != NULL || !is_own(ring))
			return false;
		net_ring_push(conn->loop);
	}
	if (post == NULL)
	{
		post = &ring->posts[ring->post_count++];
		*post = (Post){.conn = conn, .offset = ring->outbox_used};
		conn->_post = (uint8_t) ring->post_count;
	}
	else if (moves)
	{
		memcpy(ring->outbox + ring->outbox_used, ring->outbox + post->offset, before);
		post->offset = ring->outbox_used;
		ring->outbox_used += post->len;
	}
	for (int i = 0; i < iov_count; i++)
	{
		if (iov[i].iov_len > 0)
			memcpy(ring->outbox + ring->outbox_used, iov[i].iov_base, iov[i].iov_len);
		ring->outbox_used += (uint32_t) iov[i].iov_len;
	}
	post->len += (uint32_t) total;
	return true;
}

Slice
net_ring_take_post(NetConn *conn)
{
	NetRing *ring = conn->loop->ring;
	Post *post = &ring->posts[conn->_post - 1];

	forget_post(post);
	return slice_make(ring->outbox + post->offset, post->len);
}

/* Returns how many. */
static unsigned
request_posts(NetRing *ring)
{
	unsigned count = 0;

	for (int i = 0; i < ring->post_count; i++)
	{
		Post *post = &ring->posts[i];

		if (post->conn == NULL)
			continue;
		post->request = new_request(ring, 0);
		io_uring_prep_send(post->request, post->conn->fd, ring->outbox + post->offset, post->len, MSG_NOSIGNAL | MSG_DONTWAIT);
		post->request->user_data = (uint64_t) i << 2 | ABOUT_POST;
		count++;
	}
	return count;
}

static void
posted(NetRing *ring, Post *post, int result)
{
	NetConn *conn = post->conn;

	forget_post(post);
	if (result != (int) post->len)
	{
		uint32_t done = result > 0 ? (uint32_t) result : 0;

		net_conn_not_sent(conn, slice_make(ring->outbox + post->offset + done, post->len - done), result < 0 ? -result : 0);
	}
}

/* What was posted has been written, or not, when the kernel has taken it: see which. */
static void
settle_posts(NetRing *ring, unsigned count)
{
	struct io_uring_cqe *cqe;
	unsigned head;

	io_uring_for_each_cqe(&ring->ring, head, cqe)
	{
		if (count == 0)
			break;
		if ((cqe->user_data & ABOUT_MASK) != ABOUT_POST)
			continue;
		posted(ring, &ring->posts[cqe->user_data >> 2], cqe->res);
		cqe->user_data = ABOUT_NOTHING;
		count--;
	}
	/* the kernel was short of memory and did not take these: they shall do nothing when it does */
	for (int i = 0; count > 0 && i < ring->post_count; i++)
	{
		Post *post = &ring->posts[i];

		if (post->conn == NULL)
			continue;
		io_uring_prep_nop(post->request);
		post->request->user_data = ABOUT_NOTHING;
		posted(ring, post, -EAGAIN);
	}
	ring->post_count = 0;
	ring->outbox_used = 0;
}

/* Each completion of a post must have its place at once. */
static bool
can_post(const NetRing *ring)
{
	return !io_uring_cq_has_overflow(&ring->ring) && COMPLETIONS - io_uring_cq_ready(&ring->ring) > REQUESTS;
}

/* Without the ring: what is not written becomes backlog. */
static void
give_up_posts(NetRing *ring)
{
	for (int i = 0; i < ring->post_count; i++)
		if (ring->posts[i].conn != NULL)
			posted(ring, &ring->posts[i], -EAGAIN);
	ring->post_count = 0;
	ring->outbox_used = 0;
}

void
net_ring_push(NetLoop *loop)
{
	NetRing *ring = loop->ring;
	unsigned count;

	if (ring->post_count == 0 || !is_own(ring))
		return;
	if (!can_post(ring))
	{
		give_up_posts(ring);
		return;
	}
	count = request_posts(ring);
	(void) io_uring_submit(&ring->ring);
	settle_posts(ring, count);
}

/* --- waiting --- */

static int
enter(NetRing *ring, unsigned wait_for, usec_t wait_us)
{
	struct __kernel_timespec limit = {.tv_sec = wait_us / USEC_PER_SEC, .tv_nsec = wait_us % USEC_PER_SEC * 1000};
	struct io_uring_cqe *cqe;

	if (wait_for == 0)
		return io_uring_submit_and_get_events(&ring->ring);
	if (wait_us == DEADLINE_NONE)
		return io_uring_submit_and_wait(&ring->ring, wait_for);
	return io_uring_submit_and_wait_timeout(&ring->ring, &cqe, wait_for, &limit, NULL);
}

bool
net_ring_wait(NetLoop *loop, usec_t wait_us)
{
	NetRing *ring = loop->ring;
	bool waits = wait_us > 0 && !ring->epoll_ready && io_uring_cq_ready(&ring->ring) == 0;
	unsigned count = 0;
	int result;

	if (!can_post(ring))
		give_up_posts(ring);
	make_requests(loop);
	if (ring->post_count > 0)
		count = request_posts(ring);
	/* each post completes at once, and is not what is waited for */
	result = enter(ring, waits ? count + 1 : 0, wait_us);
	settle_posts(ring, count);
	if (result >= 0 || result == -EINTR || result == -ETIME || result == -EAGAIN || result == -EBUSY || result == -ENOMEM)
		return true;
	errno = -result;
	return false;
}

/* --- what has happened --- */

static bool
take_from_ring(NetRing *ring, Completion *out)
{
	struct io_uring_cqe *cqe;

	if (io_uring_cq_ready(&ring->ring) == 0)
		return false;
	cqe = &ring->ring.cq.cqes[*ring->ring.cq.khead & (COMPLETIONS - 1)];
	*out = (Completion){.about = cqe->user_data, .result = cqe->res, .flags = cqe->flags};
	io_uring_cq_advance(&ring->ring, 1);
	return true;
}

/* The last completion of a conn's request. */
static void
over(NetLoop *loop, NetConn *conn, int result)
{
	NetRing *ring = loop->ring;
	NetRingState was = (NetRingState) conn->_ring;

	if (list_linked(&conn->_closed_node))
		list_remove(was == RING_LEAVING ? &ring->leaving : &ring->dying, &conn->_closed_node);
	conn->_ring = RING_OFF;
	if (conn->_closed)
	{
		list_append(&loop->closed, &conn->_closed_node);
		ring->buried--;
	}
	else if (was == RING_ON && (result > 0 || result == -ENOBUFS) && conn->_open && !conn->_ended)
		net_ring_join(conn); /* only this request has come to its end */
	else
		net_conn_left_ring(conn, result == 0 ? 0 : result > 0 || result == -ECANCELED || result == -ENOBUFS ? -1 : -result);
}

static uint8_t *
buffer_of(NetRing *ring, const Completion *completion)
{
	return ring->memory + (size_t) (completion->flags >> IORING_CQE_BUFFER_SHIFT) * BUFFER_SIZE;
}

static void
received(NetLoop *loop, NetConn *conn, const Completion *completion)
{
	if (completion->result > 0)
	{
		net_conn_received(conn, buffer_of(loop->ring, completion), (size_t) completion->result, completion->result == BUFFER_SIZE);
		give_back(loop->ring, (int) (completion->flags >> IORING_CQE_BUFFER_SHIFT));
	}
	if ((completion->flags & IORING_CQE_F_MORE) == 0)
		over(loop, conn, completion->result);
}

static void
complete(NetLoop *loop, const Completion *completion)
{
	switch (completion->about & ABOUT_MASK)
	{
		case ABOUT_CONN: received(loop, (NetConn *) (uintptr_t) completion->about, completion); break;
		case ABOUT_EPOLL:
			loop->ring->epoll_ready = true;
			loop->ring->polling = (completion->flags & IORING_CQE_F_MORE) != 0;
			break;
		default: break;
	}
}

bool
net_ring_run(NetLoop *loop)
{
	NetRing *ring = loop->ring;
	Completion completion;
	bool epoll_ready;

	for (unsigned left = io_uring_cq_ready(&ring->ring); left > 0; left--)
		if (take_from_ring(ring, &completion))
			complete(loop, &completion);
	epoll_ready = ring->epoll_ready;
	ring->epoll_ready = false;
	return epoll_ready;
}

void
net_ring_ask_epoll(NetLoop *loop)
{
	loop->ring->epoll_ready = true;
}

/* --- joining and leaving --- */

void
net_ring_join(NetConn *conn)
{
	assert(conn->_ring == RING_OFF && conn->_open);
	conn->_ring = RING_JOINING;
	list_append(&conn->loop->ring->joining, &conn->_closed_node);
}

void
net_ring_leave(NetConn *conn)
{
	NetRing *ring = conn->loop->ring;

	if (ring == NULL)
		return;
	if (conn->_ring == RING_JOINING)
	{
		list_remove(&ring->joining, &conn->_closed_node);
		conn->_ring = RING_OFF;
		net_conn_left_ring(conn, -1);
	}
	else if (conn->_ring == RING_ON)
	{
		conn->_ring = RING_LEAVING;
		list_append(&ring->leaving, &conn->_closed_node);
	}
}

bool
net_ring_bury(NetConn *conn)
{
	NetRing *ring = conn->loop->ring;

	switch ((NetRingState) conn->_ring)
	{
		case RING_OFF: return false;
		case RING_JOINING:
			list_remove(&ring->joining, &conn->_closed_node);
			conn->_ring = RING_OFF;
			return false;
		case RING_ON: net_ring_leave(conn); break;
		case RING_LEAVING: break;
		case RING_CANCELLED: list_append(&ring->dying, &conn->_closed_node); break;
	}
	ring->buried++;
	return true;
}

/* Of a conn that is being expelled or closed. */
static void
received_last(NetLoop *loop, NetConn *conn, const Completion *completion)
{
	int result = completion->result;

	if (result > 0)
	{
		net_conn_keep(conn, buffer_of(loop->ring, completion), (size_t) result);
		give_back(loop->ring, (int) (completion->flags >> IORING_CQE_BUFFER_SHIFT));
	}
	if ((completion->flags & IORING_CQE_F_MORE) != 0)
		return;
	if (conn->_closed)
	{
		over(loop, conn, result);
		return;
	}
	conn->_ring = RING_OFF;
	if (result == 0)
		conn->_unread = conn->_hangup = true; /* and will be found again */
	else if (result < 0 && result != -ECANCELED && result != -ENOBUFS)
		conn->_pending_error = -result;
}

/* What is to be told, but not now: it waits for the conn's turn.  An end is found again then. */
static void
set_aside(NetLoop *loop, const Completion *completion)
{
	NetConn *conn = (NetConn *) (uintptr_t) completion->about;
	size_t len = completion->result > 0 ? (size_t) completion->result : 0;

	if ((completion->about & ABOUT_MASK) != ABOUT_CONN)
	{
		complete(loop, completion);
		return;
	}
	net_conn_set_aside(conn, len > 0 ? buffer_of(loop->ring, completion) : NULL, len);
	if (len > 0)
		give_back(loop->ring, (int) (completion->flags >> IORING_CQE_BUFFER_SHIFT));
	if ((completion->flags & IORING_CQE_F_MORE) == 0)
		over(loop, conn, completion->result);
}

/* Those that are done with lie among those that are not, which keep their order. */
static void
close_gaps(NetRing *ring)
{
	struct io_uring_cqe *all = ring->ring.cq.cqes;
	unsigned head = *ring->ring.cq.khead;
	unsigned to = head + io_uring_cq_ready(&ring->ring);

	for (unsigned at = to; at != head; at--)
	{
		const struct io_uring_cqe *cqe = &all[(at - 1) & (COMPLETIONS - 1)];

		if (cqe->user_data != ABOUT_NOTHING)
			memmove(&all[--to & (COMPLETIONS - 1)], cqe, sizeof(*cqe));
	}
	io_uring_cq_advance(&ring->ring, to - head);
}

/*
 * Take out what is about this conn, or about closed ones, without calling anybody.  The rest keeps its place; only when it takes all places,
 * so that the kernel keeps others back, is it set aside.
 */
static void
pick_completions(NetLoop *loop, const NetConn *wanted)
{
	NetRing *ring = loop->ring;
	struct io_uring_cqe *cqe;
	Completion completion;
	unsigned head;

	io_uring_for_each_cqe(&ring->ring, head, cqe)
	{
		NetConn *conn = (cqe->user_data & ABOUT_MASK) == ABOUT_CONN ? (NetConn *) (uintptr_t) cqe->user_data : NULL;

		if (conn == NULL || (conn != wanted && !conn->_closed))
			continue;
		received_last(loop, conn, &(Completion){.about = cqe->user_data, .result = cqe->res, .flags = cqe->flags});
		cqe->user_data = ABOUT_NOTHING;
	}
	close_gaps(ring);
	if (io_uring_cq_ready(&ring->ring) == COMPLETIONS)
		while (take_from_ring(ring, &completion))
			set_aside(loop, &completion);
}

void
net_ring_expel(NetConn *conn)
{
	NetLoop *loop = conn->loop;
	NetRing *ring = loop->ring;

	assert(is_own(ring));
	if (conn->_ring == RING_JOINING)
	{
		list_remove(&ring->joining, &conn->_closed_node);
		conn->_ring = RING_OFF;
	}
	if (conn->_ring == RING_LEAVING)
		list_remove(&ring->leaving, &conn->_closed_node);
	if (conn->_ring == RING_ON || conn->_ring == RING_LEAVING)
		cancel_input(ring, conn);
	while (conn->_ring != RING_OFF)
	{
		(void) io_uring_submit_and_get_events(&ring->ring);
		pick_completions(loop, conn);
	}
}

void
net_ring_let_go(NetLoop *loop)
{
	NetRing *ring = loop->ring;

	while (ring->buried > 0)
	{
		make_requests(loop);
		(void) io_uring_submit_and_get_events(&ring->ring);
		pick_completions(loop, NULL);
	}
}

bool
net_ring_has_buried(const NetLoop *loop)
{
	return loop->ring->buried > 0;
}
