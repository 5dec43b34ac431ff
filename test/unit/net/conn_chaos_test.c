/*
 * conn_chaos_test.c: many connections, random acts of ours and of their peers, and what must hold all the
 * same: bytes come in order, none is lost that a peer sent before it closed, nothing happens after the end,
 * everything is released once.
 */
#include "net_test.h"

#define CONNS 24
#define STEPS 60000

typedef struct Subject
{
	NetConn conn;
	int peer;         /* -1: closed */
	size_t peer_sent; /* bytes the peer wrote, numbered from 0 */
	size_t got;       /* bytes on_input used */
	size_t sent;      /* bytes given to net_send */
	size_t peer_got;  /* bytes the peer read */
	bool closed_by_us;
	int ended;
	int released;
	int drained;
} Subject;

static NetLoop *loop;
static Subject *subjects[CONNS];
static long lives; /* connections that have come and gone */
static long ends;
static long drains;
static bool calm; /* the final phase: use everything, close nothing */
static bool in_callback;

/* What must never be false; the first violation is kept. */
static const char *violation;

static void
must(bool holds, const char *what)
{
	if (!holds && violation == NULL)
		violation = what;
}

static uint8_t
byte_at(size_t i)
{
	return (uint8_t) (i * 167 + (i >> 8));
}

static bool
chance(int percent)
{
	return random() % 100 < percent;
}

/* --- our acts --- */

static void
send_some(Subject *subject)
{
	uint8_t bytes[9000];
	size_t len = chance(40) ? sizeof(bytes) : (size_t) random() % 300;
	struct iovec iov[2];

	for (size_t i = 0; i < len; i++)
		bytes[i] = byte_at(subject->sent + i);
	iov[0] = (struct iovec){bytes, len / 3};
	iov[1] = (struct iovec){bytes + len / 3, len - len / 3};
	net_send(&subject->conn, iov, 2);
	memset(bytes, 0, sizeof(bytes));
	subject->sent += len;
}

static void
act(Subject *subject)
{
	switch (random() % 12)
	{
		case 0:
		case 1:
		case 2: net_pause(&subject->conn); break;
		case 3:
		case 4:
		case 5:
		case 6: net_resume(&subject->conn); break;
		case 7:
			if (chance(8))
			{
				subject->closed_by_us = true;
				net_close(&subject->conn);
			}
			break;
		case 8:
			if (chance(8))
			{
				subject->closed_by_us = true;
				net_close_flushed(&subject->conn, random() % 20000);
			}
			break;
		default:
			if (net_backlog(&subject->conn) < 300000)
				send_some(subject);
			break;
	}
}

/* --- callbacks --- */

static size_t
on_input(NetConn *conn, uint8_t *data, size_t len)
{
	Subject *subject = CONTAINER_OF(conn, Subject, conn);
	size_t used = calm || chance(60) ? len : (size_t) random() % (len + 1);

	must(!in_callback, "callbacks do not nest");
	in_callback = true;
	must(len > 0, "on_input is called with bytes only");
	must(!net_is_paused(conn), "no input while paused");
	must(!subject->closed_by_us && subject->ended == 0, "no input after the end");
	for (size_t i = 0; i < len; i++)
		must(data[i] == byte_at(subject->got + i), "bytes come in order, held ones first");
	for (int i = calm ? 0 : (int) (random() % 3); i > 0; i--)
		act(subject);
	subject->got += used;
	in_callback = false;
	return used;
}

static void
on_drained(NetConn *conn)
{
	Subject *subject = CONTAINER_OF(conn, Subject, conn);

	must(!in_callback, "callbacks do not nest");
	must(!subject->closed_by_us && subject->ended == 0, "not drained after the end");
	must(net_backlog(conn) == 0, "drained means no backlog");
	subject->drained++;
	drains++;
	if (!calm)
		act(subject);
}

static void
on_end(NetConn *conn, NetEnd why, int error)
{
	Subject *subject = CONTAINER_OF(conn, Subject, conn);

	must(!in_callback, "callbacks do not nest");
	must(subject->ended == 0 && !subject->closed_by_us, "the end comes once, and not after net_close");
	must(subject->peer < 0, "a connection ends only when its peer has gone");
	must(why == NET_END_EOF || (why == NET_END_ERROR && error != 0), "with a reason");
	if (!conn->early_hangup)
		must(subject->got + net_held(conn) == subject->peer_sent,
			 "what the peer sent before it went is presented first");
	subject->ended++;
	ends++;
	if (chance(50))
	{
		subject->closed_by_us = true;
		net_close(conn);
	}
}

static void
on_released(NetConn *conn)
{
	Subject *subject = CONTAINER_OF(conn, Subject, conn);

	must(!in_callback, "callbacks do not nest");
	must(subject->released == 0 && subject->closed_by_us, "released once, after net_close");
	subject->released++;
}

static const NetHandler handler = {
	.on_input = on_input,
	.on_drained = on_drained,
	.on_end = on_end,
	.on_released = on_released,
};

/* --- the peer's acts --- */

static void
peer_write(Subject *subject)
{
	uint8_t bytes[20000];
	size_t len = chance(10) ? sizeof(bytes) : (size_t) random() % 200;
	ssize_t n;

	for (size_t i = 0; i < len; i++)
		bytes[i] = byte_at(subject->peer_sent + i);
	if ((n = send(subject->peer, bytes, len, MSG_NOSIGNAL)) > 0)
		subject->peer_sent += (size_t) n;
}

static void
peer_read(Subject *subject)
{
	uint8_t bytes[30000];
	ssize_t n = read(subject->peer, bytes, 1 + (size_t) random() % sizeof(bytes));

	for (ssize_t i = 0; i < n; i++)
		must(bytes[i] == byte_at(subject->peer_got + (size_t) i), "the peer reads what was sent, in order");
	if (n > 0)
		subject->peer_got += (size_t) n;
}

static void
peer_act(Subject *subject)
{
	if (subject->peer < 0)
		return;
	switch (random() % 6)
	{
		case 0:
		case 1: peer_write(subject); break;
		case 2:
			if (chance(10))
			{
				close(subject->peer);
				subject->peer = -1;
			}
			break;
		default: peer_read(subject); break;
	}
}

/* --- lives --- */

static Subject *
start_subject(void)
{
	Subject *subject = calloc(1, sizeof(Subject));
	int fds[2];
	int small = 4096;

	if (subject == NULL || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
		abort();
	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	subject->conn.early_hangup = chance(50);
	subject->peer = fds[1];
	if (!net_adopt(loop, &subject->conn, fds[0], &handler))
		abort();
	return subject;
}

static void
free_subject(Subject *subject)
{
	if (subject->peer >= 0)
		close(subject->peer);
	free(subject);
	lives++;
}

static void
turn(void)
{
	if (!net_loop_once(loop, 0))
		abort();
	for (int i = 0; i < CONNS; i++)
		if (subjects[i]->released > 0)
		{
			free_subject(subjects[i]);
			subjects[i] = start_subject();
		}
}

/* Let everything come to rest: whoever is open and has a peer gets all of its bytes. */
static void
settle(void)
{
	calm = true;
	for (int round = 0; round < 400; round++)
	{
		for (int i = 0; i < CONNS; i++)
		{
			net_resume(&subjects[i]->conn);
			if (subjects[i]->peer >= 0)
				peer_read(subjects[i]);
		}
		if (!net_loop_once(loop, 0))
			abort();
	}
}

static void
check_settled(void)
{
	int complete = 0;
	int open = 0;

	for (int i = 0; i < CONNS; i++)
	{
		Subject *subject = subjects[i];

		if (subject->closed_by_us || subject->peer < 0)
			continue;
		open++;
		/* held bytes that on_input left in the wild phase come again with the next ones */
		complete += subject->got + net_held(&subject->conn) == subject->peer_sent &&
					subject->peer_got == subject->sent && net_backlog(&subject->conn) == 0;
	}
	ok(open > 0, "some connections are open at the end");
	is_int(complete, open, "and all their bytes have arrived, both ways");
}

static void
with_backend(void)
{
	srandom(20);
	loop = test_loop(NULL);
	for (int i = 0; i < CONNS; i++)
		subjects[i] = start_subject();
	for (int step = 0; step < STEPS && violation == NULL; step++)
	{
		Subject *subject = subjects[random() % CONNS];

		if (chance(50))
			peer_act(subject);
		else
			act(subject);
		if (chance(40))
			turn();
	}
	is_str(violation, NULL, "every rule holds through sixty thousand random acts");
	ok(lives > 100 && ends > 20 && drains > 100, "in which much has happened");
	diag("%ld lives, %ld ends, %ld drained backlogs", lives, ends, drains);
	settle();
	is_str(violation, NULL, "and while everything comes to rest");
	check_settled();
	for (int i = 0; i < CONNS; i++)
	{
		subjects[i]->closed_by_us = true;
		net_close(&subjects[i]->conn);
	}
	if (!net_loop_once(loop, 0))
		abort();
	is_str(violation, NULL, "each is released once");
	for (int i = 0; i < CONNS; i++)
		free_subject(subjects[i]);
	is_int(net_timers(loop)->count, 0, "no timer is left");
	net_loop_free(loop);
}

int
main(void)
{
	do
		with_backend();
	while (next_backend());
	return done_testing();
}
