/*
 * shortage_test.c: when things are short: memory of ours, and with io_uring buffers and places of the ring and memory of the kernel's.
 *
 * Buf stands here instead of base/buf.c, so that memory can run out; the calls into the kernel pass by here too.
 */
#include "net_test.h"

#include <dlfcn.h>
#include <liburing.h>
#include <sys/resource.h>

/* More than there are places for completions. */
#define CROWD 4500

static NetLoop *loop;
static bool no_memory; /* of ours */
static int refusals;   /* so many calls the kernel refuses for want of memory of its own */
static bool broken;	   /* it has lost completions */

bool
buf_reserve(Buf *buf, size_t n)
{
	size_t len = buf_len(buf);
	uint8_t *data;

	if (no_memory || (data = malloc(len + n)) == NULL)
		return false;
	if (len > 0)
		memcpy(data, buf_ptr(buf), len);
	free(buf->data);
	*buf = (Buf){.data = data, .end = len, .cap = len + n};
	return true;
}

void
buf_release(Buf *buf)
{
	free(buf->data);
	*buf = (Buf){0};
}

static bool
refuses(void)
{
	return refusals > 0 && refusals-- > 0;
}

int
io_uring_submit_and_get_events(struct io_uring *ring)
{
	static int (*real)(struct io_uring *);

	if (real == NULL)
		*(void **) &real = dlsym(RTLD_NEXT, "io_uring_submit_and_get_events");
	return refuses() ? -ENOMEM : real(ring);
}

int
io_uring_submit_and_wait(struct io_uring *ring, unsigned n)
{
	static int (*real)(struct io_uring *, unsigned);

	if (real == NULL)
		*(void **) &real = dlsym(RTLD_NEXT, "io_uring_submit_and_wait");
	return broken ? -EBADR : real(ring, n);
}

int
io_uring_submit(struct io_uring *ring)
{
	static int (*real)(struct io_uring *);

	if (real == NULL)
		*(void **) &real = dlsym(RTLD_NEXT, "io_uring_submit");
	return refuses() ? -ENOMEM : real(ring);
}

/* --- --- */

/* Everything that has happened is in the ring, and nobody has been told. */
static void
fetch(void)
{
	if (!net_ring_wait(loop, 0))
		abort();
}

static void
turn(void)
{
	if (!net_loop_once(loop, 0))
		abort();
}

static size_t
use_none(Probe *probe, const uint8_t *data, size_t len)
{
	(void) probe;
	(void) data;
	(void) len;
	return 0;
}

/* Bytes that cannot be held are lost, and what comes behind them would be misread. */
static void
nothing_follows_lost_input(bool fetched)
{
	static char many[NET_READ_SIZE + 1];
	Probe probe = {.use = use_none};
	int peer = probe_pair(loop, &probe);

	memset(many, '-', NET_READ_SIZE);
	put(peer, many);
	put(peer, "drop table t");
	if (fetched)
		fetch();
	no_memory = true;
	turn();
	no_memory = false;
	probe.use = NULL;
	put(peer, "drop table t");
	ok(turn_until(loop, &probe.ended, 1), "a connection whose input cannot be held comes to an end");
	ok(probe.why == NET_END_ERROR && probe.error == ENOMEM, "... for want of memory");
	is_int(probe.inputs, 1, "... and is shown nothing of what follows");
	probe_finish(loop, &probe);
	close(peer);
}

static char order[64];

static size_t
note_input(Probe *probe, const uint8_t *data, size_t len)
{
	(void) data;
	if (strlen(order) + 1 < sizeof(order))
		order[strlen(order)] = (char) ('a' + probe->arg);
	return len;
}

static void
note_timer(Timer *timer, usec_t now)
{
	(void) timer;
	(void) now;
	order[strlen(order)] = '!';
}

/* Three with input, the one in the middle leaves the loop. */
static void
others_keep_their_place(bool short_of_memory)
{
	Probe probes[3] = {{.use = note_input}, {.use = note_input, .arg = 1}, {.use = note_input, .arg = 2}};
	Timer timer = {.fire = note_timer};
	NetLoop *other = test_loop(NULL);
	int peers[3];

	memset(order, 0, sizeof(order));
	for (int i = 0; i < 3; i++)
		peers[i] = probe_pair(loop, &probes[i]);
	for (int round = 0; round < 2; round++)
	{
		put(peers[0], "one");
		put(peers[1], "two");
		put(peers[2], "three");
		fetch();
	}
	no_memory = short_of_memory;
	net_detach(&probes[1].conn);
	no_memory = false;
	is_str(order, "", "nobody is called when one leaves the ring");
	net_attach(other, &probes[1].conn);
	timer_arm(net_timers(loop), &timer, 1);
	turn();
	is_str(order, "acac!", "the others have their turns in order, before timers");
	ok(probe_got(&probes[0], "oneone") && probe_got(&probes[2], "threethree"), "and all their bytes");
	if (short_of_memory)
	{
		ok(turn_until(other, &probes[1].ended, 1) && probes[1].why == NET_END_ERROR && probes[1].error == ENOMEM,
		   "who left comes to an end, since there was no memory for its bytes");
	}
	else
		ok(turn_until(other, &probes[1].inputs, 1) && probe_got(&probes[1], "twotwo"), "who left has its bytes with it");
	probe_finish(loop, &probes[0]);
	probe_finish(other, &probes[1]);
	probe_finish(loop, &probes[2]);
	for (int i = 0; i < 3; i++)
		close(peers[i]);
	net_loop_free(other);
}

static void
closing_one_leaves_the_others(void)
{
	Probe probes[3] = {{.use = note_input}, {.use = note_input, .arg = 1}, {.use = note_input, .arg = 2}};
	int peers[3];

	memset(order, 0, sizeof(order));
	for (int i = 0; i < 3; i++)
		peers[i] = probe_pair(loop, &probes[i]);
	turn();
	for (int i = 0; i < 3; i++)
		put(peers[i], "bytes");
	fetch();
	no_memory = true;
	net_close(&probes[1].conn);
	net_ring_let_go(loop);
	no_memory = false;
	turn();
	is_str(order, "ac", "who is closed is told nothing, the others are");
	for (int i = 0; i < 3; i++)
	{
		probe_finish(loop, &probes[i]);
		close(peers[i]);
	}
}

/* --- crowds --- */

static Probe *crowd;
static int *crowd_peers;
static int crowd_size;

static void
gather(int size)
{
	crowd = calloc((size_t) size, sizeof(Probe));
	crowd_peers = calloc((size_t) size, sizeof(int));
	crowd_size = size;
	for (int i = 0; i < size; i++)
		crowd_peers[i] = probe_pair(loop, &crowd[i]);
	turn();
}

static void
all_say(const char *text)
{
	for (int i = 0; i < crowd_size; i++)
		put(crowd_peers[i], text);
}

static int
how_many_got(const char *text)
{
	int count = 0;

	for (int i = 0; i < crowd_size; i++)
		count += probe_got(&crowd[i], text);
	return count;
}

/* ... for want of memory */
static int
how_many_ended(void)
{
	int count = 0;

	for (int i = 0; i < crowd_size; i++)
		count += crowd[i].ended == 1 && crowd[i].why == NET_END_ERROR && crowd[i].error == ENOMEM;
	return count;
}

static void
turn_until_got(const char *text, int wanted)
{
	usec_t until = clock_now() + 60 * USEC_PER_SEC;

	while (how_many_got(text) + how_many_ended() < wanted && clock_now() < until)
		if (!net_loop_once(loop, 20 * USEC_PER_MSEC))
			abort();
}

static void
dissolve(void)
{
	int released = 0;

	for (int i = 0; i < crowd_size; i++)
		net_close(&crowd[i].conn);
	turn();
	for (int i = 0; i < crowd_size; i++)
	{
		released += crowd[i].released == 1 && !crowd[i].nested;
		buf_free(&crowd[i].got);
		close(crowd_peers[i]);
	}
	is_int(released, crowd_size, "each is released once");
	free(crowd);
	free(crowd_peers);
}

/* The kernel ends the requests that it finds no buffer for. */
static void
buffers_run_out(void)
{
	gather(NET_RING_BUFFERS * 4);
	all_say("first ");
	turn_until_got("first ", crowd_size);
	is_int(how_many_got("first "), crowd_size, "four times as many talk at once as there are buffers: all are heard");
	all_say("second");
	turn_until_got("first second", crowd_size);
	is_int(how_many_got("first second"), crowd_size, "... again");
	dissolve();
}

static bool
may_open(int descriptors)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return false;
	if (limit.rlim_cur < (rlim_t) descriptors && limit.rlim_max >= (rlim_t) descriptors)
	{
		limit.rlim_cur = (rlim_t) descriptors;
		(void) setrlimit(RLIMIT_NOFILE, &limit);
	}
	return limit.rlim_cur >= (rlim_t) descriptors;
}

/* What one that leaves waits for stands behind what all others have not been told. */
static void
places_run_out(bool short_of_memory)
{
	NetLoop *other;
	int failed;

	if (!may_open(2 * CROWD + 100))
	{
		diag("not with %d connections: the limit of descriptors is too low", CROWD);
		return;
	}
	other = test_loop(NULL);
	gather(CROWD);
	all_say("x");
	fetch();
	no_memory = short_of_memory;
	net_detach(&crowd[CROWD - 1].conn);
	no_memory = false;
	is_int(how_many_got(""), CROWD, "nobody is called when one leaves a ring that is full");
	net_attach(other, &crowd[CROWD - 1].conn);
	(void) turn_until(other, &crowd[CROWD - 1].inputs, 1);
	ok(probe_got(&crowd[CROWD - 1], "x"), "who left is heard");
	turn_until_got("x", CROWD);
	failed = how_many_ended();
	ok(short_of_memory ? failed > 0 && failed <= NET_RING_BUFFERS : failed == 0, "%d whose bytes there was no memory for have come to their end", failed);
	is_int(how_many_got("x") + failed, CROWD, "all others are heard");
	all_say("y");
	turn_until_got("xy", CROWD - 1);
	is_int(how_many_got("xy"), CROWD - failed - 1, "... and go on");
	net_close(&crowd[CROWD - 1].conn);
	if (!net_loop_once(other, 0))
		abort();
	dissolve();
	net_loop_free(other);
}

/* --- the kernel's memory --- */

static void
kernel_refuses(void)
{
	Probe probe = {0};
	int peer = probe_pair(loop, &probe);
	char got[16] = "";

	put(peer, "in");
	net_send_bytes(&probe.conn, "out", 3);
	refusals = 3;
	for (int i = 0; i < 3; i++)
		turn();
	ok(refusals == 0, "the kernel takes nothing for a while");
	put(peer, " and in");
	ok(turn_until(loop, &probe.inputs, 1), "then it does");
	turn();
	ok(probe_got(&probe, "in and in"), "nothing that came is lost");
	is_int(read(peer, got, sizeof(got)), 3, "nor what was sent");
	is_str(got, "out", "... which comes once");
	net_send_bytes(&probe.conn, "more", 4);
	refusals = 1;
	net_ring_push(loop);
	turn();
	memset(got, 0, sizeof(got));
	is_int(read(peer, got, sizeof(got)), 4, "what was to be written at once is, too");
	is_str(got, "more", "... once");
	refusals = 2;
	probe_finish(loop, &probe);
	refusals = 0;
	close(peer);
}

/* What is lost cannot be had any more: the loop says so, and why. */
static void
completions_are_lost(void)
{
	broken = true;
	errno = 0;
	ok(!net_loop_run(loop), "a loop whose completions are lost ends");
	is_int(errno, EBADR, "... and tells why");
	broken = false;
}

int
main(void)
{
	char why[160];

	loop = test_loop(NULL);
	nothing_follows_lost_input(false);
	net_loop_free(loop);
	if (!net_uring_works(why, sizeof(why)))
	{
		diag("not with io_uring, which is refused: %s", why);
		return done_testing();
	}
	test_backend = NET_BACKEND_URING;
	loop = test_loop(NULL);
	nothing_follows_lost_input(false);
	nothing_follows_lost_input(true);
	others_keep_their_place(false);
	others_keep_their_place(true);
	closing_one_leaves_the_others();
	buffers_run_out();
	places_run_out(false);
	places_run_out(true);
	kernel_refuses();
	completions_are_lost();
	net_loop_free(loop);
	return done_testing();
}
