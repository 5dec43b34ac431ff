/*
 * loop_test.c: time, order within an iteration, stopping; watching foreign descriptors.
 */
#include "net_test.h"

#include "net/loop.h"

static NetLoop *loop;

/* --- time --- */

static usec_t fired_at;
static usec_t fired_now;
static int fires;

static void
note_fire(Timer *timer, usec_t now)
{
	(void) timer;
	fires++;
	fired_now = now;
	fired_at = clock_now();
}

/* The smallest lateness of some tries, as many as it takes to be below enough: what the loop adds, rather than what a busy machine does. */
static usec_t
best_lateness(usec_t wait, usec_t enough)
{
	usec_t best = DEADLINE_NONE;

	for (int i = 0; i < 10 || (i < 5000 && best >= enough); i++)
	{
		Timer timer = {.fire = note_fire};
		usec_t at = clock_now() + wait;

		fires = 0;
		timer_arm(net_timers(loop), &timer, at);
		if (!turn_until(loop, &fires, 1) || fired_at < at)
			return -1;
		best = fired_at - at < best ? fired_at - at : best;
	}
	return best;
}

static void
timers_are_exact(void)
{
	usec_t late = best_lateness(3300, 500);
	int alarm_fd;

	ok(late >= 0, "a timer never fires early");
	ok(late < 500, "and within half a millisecond on time");
	ok(fired_now == net_now(loop), "with the time of the iteration");
	alarm_fd = loop->alarm_fd;
	loop->alarm_fd = -1;
	loop->alarm_at = DEADLINE_NONE;
	late = best_lateness(3300, 5000);
	ok(late >= 0 && late < 5000, "without an alarm it is late by a rounded millisecond, never early");
	loop->alarm_fd = alarm_fd;
}

static void
waits_no_longer_than_asked(void)
{
	usec_t start = clock_now();
	usec_t waited = DEADLINE_NONE;

	ok(net_loop_once(loop, 20 * USEC_PER_MSEC), "an iteration without events");
	ok(clock_now() - start >= 19 * USEC_PER_MSEC, "waits as long as it may");
	/* Once is enough: the machine does not make it any faster. */
	for (int i = 0; i < 100 && waited >= 200 * USEC_PER_MSEC; i++)
	{
		start = clock_now();
		if (!net_loop_once(loop, 0))
			break;
		waited = clock_now() - start;
	}
	ok(waited < 200 * USEC_PER_MSEC, "or not at all");
	ok(net_now(loop) >= start, "and reads the clock");
}

/* Work done in an iteration counts: the sleep must be computed from the clock, not from the iteration's
 * start. */
static void
slow_turn(void *arg, usec_t now)
{
	(void) now;
	if (*(int *) arg == 0)
	{
		*(int *) arg = 1;
		usleep(30000);
	}
}

static void
work_in_an_iteration_does_not_delay_timers(void)
{
	usec_t best = DEADLINE_NONE;

	for (int i = 0; i < 5 || (i < 500 && best >= 20 * USEC_PER_MSEC); i++)
	{
		Timer timer = {.fire = note_fire};
		usec_t at = clock_now() + 40 * USEC_PER_MSEC;
		int done = 0;

		fires = 0;
		net_loop_on_turn(loop, slow_turn, &done);
		timer_arm(net_timers(loop), &timer, at);
		if (!net_loop_once(loop, 0))
			abort();
		while (fires == 0)
			if (!net_loop_once(loop, USEC_PER_SEC))
				abort();
		best = fired_at - at < best ? fired_at - at : best;
	}
	net_loop_on_turn(loop, NULL, NULL);
	ok(best >= 0 && best < 20 * USEC_PER_MSEC, "thirty milliseconds of work are not added to the wait");
}

/* --- order and stopping --- */

static char order[16];

static void
add_letter(char letter)
{
	size_t n = strlen(order);

	if (n + 1 < sizeof(order))
		order[n] = letter;
}

static size_t
letter_input(Probe *probe, const uint8_t *data, size_t len)
{
	(void) probe;
	(void) data;
	add_letter('i');
	return len;
}

static void
letter_timer(Timer *timer, usec_t now)
{
	(void) timer;
	(void) now;
	add_letter('t');
}

static void
letter_turn(void *arg, usec_t now)
{
	(void) now;
	add_letter('o');
	net_close(arg);
}

static void
events_timers_turn_release(void)
{
	Probe probe = {.use = letter_input};
	Timer timer = {.fire = letter_timer};
	int peer = probe_pair(loop, &probe);

	memset(order, 0, sizeof(order));
	put(peer, "x");
	timer_arm(net_timers(loop), &timer, clock_now() - 1);
	net_loop_on_turn(loop, letter_turn, &probe.conn);
	if (!net_loop_once(loop, 0))
		abort();
	net_loop_on_turn(loop, NULL, NULL);
	is_str(order, "ito", "input before timers, the owner's turn last");
	is_int(probe.released, 1, "what the turn closes is released in the same iteration");
	buf_free(&probe.got);
	close(peer);
}

static void
stop_on_timer(Timer *timer, usec_t now)
{
	(void) timer;
	(void) now;
	net_loop_stop(loop);
}

static void
running_and_stopping(void)
{
	Timer timer = {.fire = stop_on_timer};
	usec_t start = clock_now();

	timer_arm(net_timers(loop), &timer, start + 10 * USEC_PER_MSEC);
	ok(net_loop_run(loop), "the loop runs until it is stopped");
	ok(clock_now() - start < 60 * USEC_PER_SEC, "and then returns");
	net_loop_stop(loop);
	ok(net_loop_run(loop), "stopped before it runs it returns at once");
	timer_arm(net_timers(loop), &timer, clock_now() + 10 * USEC_PER_MSEC);
	ok(net_loop_run(loop), "and can run again");
}

/* --- watches --- */

typedef struct Watched
{
	NetWatch watch;
	int readable;
	int writable;
	NetWatch *stop_other; /* unwatched and wiped in the callback */
} Watched;

static void
on_watch(NetWatch *watch, bool readable, bool writable)
{
	Watched *watched = watch->owner;

	watched->readable += readable;
	watched->writable += writable;
	if (watched->stop_other != NULL)
	{
		net_unwatch(watched->stop_other);
		memset(watched->stop_other, 0xff, sizeof(NetWatch));
		watched->stop_other = NULL;
	}
}

static void
watched_init(Watched *watched)
{
	*watched = (Watched){.watch = {.on_ready = on_watch, .owner = watched}};
}

static void
turn(void)
{
	if (!net_loop_once(loop, 0))
		abort();
}

static void
watching_a_descriptor(void)
{
	Watched watched;
	int fds[2];
	int pair[2];

	watched_init(&watched);
	if (pipe(fds) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		abort();
	net_unwatch(&watched.watch); /* never started: nothing to do */
	ok(net_watch(loop, &watched.watch, fds[0], true, false), "a pipe can be watched");
	turn();
	is_int(watched.readable, 0, "an empty one is not readable");
	put(fds[1], "x");
	turn();
	turn();
	is_int(watched.readable, 2, "a full one is, again and again");
	is_int(watched.writable, 0, "what was not asked for is not reported");
	ok(net_watch_change(&watched.watch, false, false), "no interest");
	turn();
	is_int(watched.readable, 2, "means no events");
	ok(net_watch_change(&watched.watch, true, false), "interest again");
	turn();
	is_int(watched.readable, 3, "means events again");
	close(fds[1]);
	net_unwatch(&watched.watch);
	turn();
	is_int(watched.readable, 3, "after unwatching none comes");
	close(fds[0]);

	ok(net_watch(loop, &watched.watch, pair[0], true, true), "a socket, both ways");
	turn();
	ok(watched.readable == 3 && watched.writable == 1, "is writable");
	close(pair[1]);
	turn();
	ok(watched.readable == 4 && watched.writable == 2, "a hang-up counts as both");
	net_unwatch(&watched.watch);
	close(pair[0]);
}

/* libpq closes its socket and opens another while it is being watched; the number is often the same. */
static void
watched_descriptor_is_replaced(void)
{
	Watched watched;
	int fds[2];
	int again[2];

	watched_init(&watched);
	if (pipe(fds) < 0 || !net_watch(loop, &watched.watch, fds[0], true, false))
		abort();
	close(fds[0]);
	close(fds[1]);
	if (pipe(again) < 0)
		abort();
	is_int(again[0], fds[0], "the descriptor's number is used again");
	ok(net_watch_change(&watched.watch, true, false), "changing the watch watches the new descriptor");
	put(again[1], "x");
	turn();
	is_int(watched.readable, 1, "and its events come");
	net_unwatch(&watched.watch);
	close(again[0]);
	close(again[1]);
}

/* Both are ready in the same iteration; whichever comes first wipes the other. */
static void
unwatching_drops_pending_events(void)
{
	Watched a;
	Watched b;
	int fds[2];
	int others[2];

	watched_init(&a);
	watched_init(&b);
	if (pipe(fds) < 0 || pipe(others) < 0 || !net_watch(loop, &a.watch, fds[0], true, false) ||
		!net_watch(loop, &b.watch, others[0], true, false))
		abort();
	a.stop_other = &b.watch;
	b.stop_other = &a.watch;
	put(fds[1], "x");
	put(others[1], "x");
	turn();
	is_int(a.readable + b.readable, 1, "an event for a watch that is gone is not delivered");
	net_unwatch(a.readable ? &a.watch : &b.watch);
	close(fds[0]);
	close(fds[1]);
	close(others[0]);
	close(others[1]);
}

static void
unwatchable_descriptors(void)
{
	Watched watched;
	int fd = open("/", O_RDONLY | O_DIRECTORY);

	watched_init(&watched);
	ok(!net_watch(loop, &watched.watch, fd, true, false), "a directory cannot be watched");
	close(fd);
	ok(!net_watch(loop, &watched.watch, -1, true, false), "nor can nothing");
}

/* --- the background --- */

#define CROWD 60

static int busy_turns;
static int foreground_after; /* how many of the background were served before it */

static size_t
slow_use(Probe *probe, const uint8_t *data, size_t len)
{
	usec_t end = clock_now() + 200;

	(void) probe;
	(void) data;
	while (clock_now() < end)
		continue;
	busy_turns++;
	return len;
}

static size_t
quick_use(Probe *probe, const uint8_t *data, size_t len)
{
	(void) probe;
	(void) data;
	foreground_after = busy_turns;
	return len;
}

/* Many connections in the background have something to say, and one in front says it last. */
static void
the_background_waits_and_is_served(void)
{
	Probe crowd[CROWD] = {0};
	Probe front = {.use = quick_use};
	int others[CROWD];
	int other;
	int served = 0;

	busy_turns = foreground_after = 0;
	for (int i = 0; i < CROWD; i++)
	{
		crowd[i].use = slow_use;
		crowd[i].conn.background = true;
		others[i] = probe_pair(loop, &crowd[i]);
	}
	other = probe_pair(loop, &front);
	for (int i = 0; i < CROWD; i++)
		if (write(others[i], "x", 1) != 1)
			abort();
	if (write(other, "x", 1) != 1 || !net_loop_once(loop, 0))
		abort();
	is_int(foreground_after, 0, "a connection in front is served before the whole background");
	ok(busy_turns > 0, "which gets something of each turn");
	ok(busy_turns < CROWD, "... but a bounded time");
	for (int i = 0; i < 10000 && busy_turns < CROWD; i++)
		if (!net_loop_once(loop, USEC_PER_SEC))
			abort();
	is_int(busy_turns, CROWD, "all of it is served in the end, though epoll tells once");
	close(others[0]);
	for (int i = 0; i < 100 && crowd[0].ended == 0; i++)
		if (!net_loop_once(loop, USEC_PER_SEC))
			abort();
	is_int(crowd[0].ended, 1, "and hears of the end");
	for (int i = 0; i < CROWD; i++)
	{
		net_close(&crowd[i].conn);
		if (i > 0)
			close(others[i]);
	}
	net_close(&front.conn);
	close(other);
	if (!net_loop_once(loop, 0))
		abort();
	for (int i = 0; i < CROWD; i++)
	{
		served += crowd[i].released;
		buf_free(&crowd[i].got);
	}
	buf_free(&front.got);
	is_int(served + front.released, CROWD + 1, "all are released");
}

static int late_turns;

static void
slow_watch(NetWatch *watch, bool readable, bool writable)
{
	char byte;

	(void) readable;
	(void) writable;
	late_turns += read(watch->fd, &byte, 1) == 1;
}

/* A watch that others are to come before, one of the same iteration, and a crowd whose work takes all the time that the background has. */
static void
a_watch_in_the_background_waits_and_is_served(void)
{
	Probe crowd[CROWD] = {0};
	NetWatch watch = {.on_ready = slow_watch, .background = true};
	Probe front = {.use = quick_use};
	int others[CROWD];
	int other;
	int ends[2];

	busy_turns = late_turns = 0;
	if (pipe(ends) < 0 || !net_watch(loop, &watch, ends[0], true, false))
		abort();
	put(ends[1], "abcde");
	for (int i = 0; i < CROWD; i++)
	{
		crowd[i].use = slow_use;
		crowd[i].conn.background = true;
		others[i] = probe_pair(loop, &crowd[i]);
		put(others[i], "x");
	}
	other = probe_pair(loop, &front);
	foreground_after = -1;
	put(other, "x");
	turn();
	is_int(foreground_after, 0, "a connection in front comes before a watch in the background");
	is_int(late_turns, 1, "which has one turn in an iteration all the same, whatever else the background wants");
	ok(busy_turns > 0 && busy_turns < CROWD, "... and the others theirs");
	for (int i = 0; i < 4; i++)
		turn();
	is_int(late_turns, 5, "and the next in the next, until there is nothing left");
	net_unwatch(&watch);
	for (int i = 0; i < CROWD; i++)
	{
		net_close(&crowd[i].conn);
		close(others[i]);
	}
	net_close(&front.conn);
	close(other);
	turn();
	for (int i = 0; i < CROWD; i++)
		buf_free(&crowd[i].got);
	buf_free(&front.got);
	close(ends[0]);
	close(ends[1]);
}

/* Whoever has something to do waits in order, and going to the front or closing takes him out of the list. */
static void
leaving_the_background(void)
{
	Probe crowd[CROWD] = {0};
	int others[CROWD];

	busy_turns = 0;
	for (int i = 0; i < CROWD; i++)
	{
		crowd[i] = (Probe){.use = slow_use};
		crowd[i].conn.background = true;
		others[i] = probe_pair(loop, &crowd[i]);
		put(others[i], "x");
	}
	turn();
	ok(crowd[CROWD - 1].inputs == 0 && crowd[CROWD - 2].inputs == 0 && crowd[CROWD - 3].inputs == 0, "the last of the crowd still wait");
	net_close(&crowd[CROWD - 1].conn);
	crowd[CROWD - 2].conn.background = false;
	net_detach(&crowd[CROWD - 3].conn);
	net_attach(loop, &crowd[CROWD - 3].conn);
	for (int i = 0; i < 10000 && busy_turns < CROWD - 1; i++)
		turn();
	is_int(crowd[CROWD - 1].inputs, 0, "one that was closed meanwhile gets nothing");
	is_int(crowd[CROWD - 2].inputs, 1, "one that has left the background is served");
	is_int(crowd[CROWD - 3].inputs, 1, "... and one that went to another loop and came back");
	for (int i = 0; i < CROWD; i++)
	{
		net_close(&crowd[i].conn);
		close(others[i]);
	}
	turn();
	for (int i = 0; i < CROWD; i++)
		buf_free(&crowd[i].got);
}

static void
with_backend(void)
{
	loop = test_loop(NULL);
	timers_are_exact();
	waits_no_longer_than_asked();
	work_in_an_iteration_does_not_delay_timers();
	events_timers_turn_release();
	running_and_stopping();
	watching_a_descriptor();
	watched_descriptor_is_replaced();
	unwatching_drops_pending_events();
	unwatchable_descriptors();
	the_background_waits_and_is_served();
	a_watch_in_the_background_waits_and_is_served();
	leaving_the_background();
	net_loop_free(loop);
	net_loop_free(NULL);
}

int
main(void)
{
	do
		with_backend();
	while (next_backend());
	return done_testing();
}
