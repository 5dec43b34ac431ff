/*
 * conn_input_test.c: presenting, holding, pausing, and how connections end.
 */
#include "net_test.h"

static NetLoop *loop;

static size_t
use_none(Probe *probe, const uint8_t *data, size_t len)
{
	(void) probe;
	(void) data;
	(void) len;
	return 0;
}

/* Whole lines only. */
static size_t
use_lines(Probe *probe, const uint8_t *data, size_t len)
{
	(void) probe;
	while (len > 0 && data[len - 1] != '\n')
		len--;
	return len;
}

static size_t
use_one_and_pause(Probe *probe, const uint8_t *data, size_t len)
{
	(void) data;
	net_pause(&probe->conn);
	return len > 0 ? 1 : 0;
}

static size_t
use_one_pause_resume(Probe *probe, const uint8_t *data, size_t len)
{
	size_t used = use_one_and_pause(probe, data, len);

	net_resume(&probe->conn);
	return used;
}

static size_t
close_inside(Probe *probe, const uint8_t *data, size_t len)
{
	net_close(&probe->conn);
	/* the bytes stay readable */
	for (size_t i = 0; i < len; i++)
		probe->arg += data[i];
	return len / 2;
}

static void
turn(void)
{
	if (!net_loop_once(loop, 0))
		abort();
	/* the ring shows what is there in one or two */
	if (loop->ring != NULL && !net_loop_once(loop, 0))
		abort();
}

static void
presents_what_comes(void)
{
	Probe probe = {0};
	int peer = probe_pair(loop, &probe);

	turn();
	is_int(probe.inputs, 0, "nothing comes of nothing");
	put(peer, "hello");
	turn();
	ok(probe_got(&probe, "hello"), "bytes are presented");
	put(peer, " world");
	turn();
	ok(probe_got(&probe, "hello world"), "and more bytes");
	ok(probe.conn._in.data == NULL, "an idle connection owns no input buffer");
	probe_finish(loop, &probe);
	close(peer);
}

static void
holds_what_is_not_used(void)
{
	Probe probe = {.use = use_lines};
	int peer = probe_pair(loop, &probe);

	put(peer, "one\ntw");
	turn();
	ok(probe_got(&probe, "one\n"), "a whole line is used");
	is_int((long long) net_held(&probe.conn), 2, "the rest is held");
	ok(probe.conn._in.cap <= 64, "in little memory");
	turn();
	turn();
	is_int(probe.inputs, 1, "and not presented again until more comes");
	put(peer, "o\nthree\n");
	turn();
	is_int((long long) probe.last_len, 10, "then together with what follows");
	ok(probe_got(&probe, "one\ntwo\nthree\n"), "in order");
	ok(probe.conn._in.data == NULL, "after which nothing is held");
	probe_finish(loop, &probe);
	close(peer);
}

/* One line of 300,000 bytes, in pieces: held input far larger than the loop's buffer. */
static void
holds_large_messages(void)
{
	Probe probe = {.use = use_lines};
	int peer = probe_pair(loop, &probe);
	size_t size = 300000;
	size_t sent = 0;
	uint8_t *line = malloc(size);
	bool intact = true;

	for (size_t i = 0; i < size; i++)
		line[i] = (uint8_t) ('a' + i % 23);
	line[size - 1] = '\n';
	while (sent < size)
	{
		ssize_t n = write(peer, line + sent, size - sent > 7000 ? 7000 : size - sent);

		if (n > 0)
			sent += (size_t) n;
		if (sent < size)
			intact &= buf_len(&probe.got) == 0;
		turn();
	}
	turn();
	ok(intact, "nothing is used before the message is whole");
	ok(buf_len(&probe.got) == size && memcmp(buf_ptr(&probe.got), line, size) == 0, "then all of it, intact");
	ok(probe.conn._in.data == NULL, "and its buffer is given back");
	free(line);
	probe_finish(loop, &probe);
	close(peer);
}

/* After a large message only a little is left: it must not keep the large buffer. */
static void
held_rest_is_small(void)
{
	Probe probe = {.use = use_lines};
	int peer = probe_pair(loop, &probe);
	char part[8000];

	memset(part, 'x', sizeof(part));
	for (int i = 0; i < 12; i++)
	{
		if (write(peer, part, sizeof(part)) != (ssize_t) sizeof(part))
			abort();
		turn();
	}
	ok(probe.conn._in.cap >= 12 * sizeof(part), "a large partial message is held");
	put(peer, "\nrest");
	turn();
	is_int((long long) net_held(&probe.conn), 4, "of the next one little");
	ok(probe.conn._in.cap <= 64, "in little memory");
	probe_finish(loop, &probe);
	close(peer);
}

static void
pausing_stops_input(void)
{
	Probe probe = {0};
	int peer = probe_pair(loop, &probe);

	net_pause(&probe.conn);
	put(peer, "abc");
	turn();
	turn();
	is_int(probe.inputs, 0, "nothing is presented while paused");
	ok(count_turns(loop, 50000) <= 2, "and the waiting bytes do not make the loop spin");
	net_resume(&probe.conn);
	turn();
	turn();
	ok(probe_got(&probe, "abc"), "after resuming it is");
	put(peer, "def");
	turn();
	ok(probe_got(&probe, "abcdef"), "and reading goes on");
	probe_finish(loop, &probe);
	close(peer);
}

static void
resuming_presents_held_bytes(void)
{
	Probe probe = {.use = use_one_and_pause};
	int peer = probe_pair(loop, &probe);

	put(peer, "abc");
	turn();
	ok(probe_got(&probe, "a") && net_held(&probe.conn) == 2, "one byte is used, two are held");
	turn();
	is_int(probe.inputs, 1, "paused");
	net_resume(&probe.conn);
	is_int(probe.inputs, 1, "resuming calls nobody at once");
	turn();
	ok(probe_got(&probe, "ab"), "the loop presents held bytes without new ones");
	probe.use = NULL;
	put(peer, "d");
	net_resume(&probe.conn);
	turn();
	turn();
	ok(probe_got(&probe, "abcd"), "held ones first, new ones behind");
	ok(probe.conn._in.data == NULL, "and the buffer is given back");
	probe_finish(loop, &probe);
	close(peer);
}

static void
pause_and_resume_inside_on_input(void)
{
	Probe probe = {.use = use_one_pause_resume};
	int peer = probe_pair(loop, &probe);

	put(peer, "abcdef");
	for (int i = 0; i < 8; i++)
		turn();
	ok(probe_got(&probe, "abcdef"), "pausing and resuming inside on_input presents the rest again");
	probe_finish(loop, &probe);
	close(peer);
}

static void
close_inside_on_input(void)
{
	Probe probe = {.use = close_inside};
	int peer = probe_pair(loop, &probe);
	char byte;

	put(peer, "abc");
	turn();
	is_int((long long) probe.arg, 'a' + 'b' + 'c', "the bytes are readable after net_close inside on_input");
	is_int(probe.released, 1, "and it is released at the end of the same iteration");
	is_int(probe.ended, 0, "without on_end");
	ok(read(peer, &byte, 1) == 0, "the peer sees the end");
	net_send_bytes(&probe.conn, "x", 1);
	net_pause(&probe.conn);
	net_resume(&probe.conn);
	turn();
	is_int(probe.inputs, 1, "nothing happens to a closed connection");
	buf_free(&probe.got);
	close(peer);
}

/* Held input is presented from the conn's own buffer: that must survive net_close as well. */
static void
close_inside_on_held_input(void)
{
	Probe probe = {.use = use_one_and_pause};
	int peer = probe_pair(loop, &probe);

	put(peer, "abc");
	turn();
	probe.use = close_inside;
	net_resume(&probe.conn);
	turn();
	is_int((long long) probe.arg, 'b' + 'c', "held bytes are readable after net_close inside on_input");
	is_int(probe.released, 1, "and it is released");
	buf_free(&probe.got);
	close(peer);
}

static void
end_comes_after_the_data(void)
{
	Probe probe = {0};
	int peer = probe_pair(loop, &probe);

	put(peer, "last words");
	close(peer);
	turn();
	turn();
	ok(probe_got(&probe, "last words"), "data before the end is presented");
	ok(probe.ended == 1 && probe.why == NET_END_EOF, "then the end");
	turn();
	turn();
	is_int(probe.ended, 1, "once");
	ok(count_turns(loop, 50000) <= 2, "and a connection that is not closed yet does not make the loop spin");
	probe_finish(loop, &probe);
}

static void
paused_without_early_hangup_waits(void)
{
	Probe probe = {0};
	int peer = probe_pair(loop, &probe);

	net_pause(&probe.conn);
	put(peer, "FATAL");
	close(peer);
	turn();
	turn();
	ok(probe.inputs == 0 && probe.ended == 0, "a paused connection hears nothing of its peer's end");
	ok(count_turns(loop, 50000) <= 2, "and does not make the loop spin");
	net_resume(&probe.conn);
	turn();
	turn();
	turn();
	ok(probe_got(&probe, "FATAL"), "after resuming it reads to the end");
	ok(probe.ended == 1 && probe.why == NET_END_EOF, "and ends");
	probe_finish(loop, &probe);
}

static void
paused_with_early_hangup_ends_at_once(void)
{
	Probe probe = {.conn.early_hangup = true};
	int peer = probe_pair(loop, &probe);

	net_pause(&probe.conn);
	put(peer, "unread");
	turn();
	is_int(probe.ended, 0, "unread bytes alone are no hang-up");
	close(peer);
	turn();
	ok(probe.ended == 1 && probe.why == NET_END_EOF,
	   "the end is reported in spite of pause and unread bytes");
	is_int(probe.inputs, 0, "which are not presented");
	probe_finish(loop, &probe);
}

static void
half_close_is_a_hangup_too(void)
{
	Probe probe = {.conn.early_hangup = true};
	int peer = probe_pair(loop, &probe);

	net_pause(&probe.conn);
	shutdown(peer, SHUT_WR);
	turn();
	ok(probe.ended == 1 && probe.why == NET_END_EOF, "a peer that will send no more has hung up");
	probe_finish(loop, &probe);
	close(peer);
}

static void
using_nothing_means_more_is_needed(void)
{
	Probe probe = {.use = use_none};
	int peer = probe_pair(loop, &probe);

	put(peer, "ab");
	turn();
	put(peer, "cd");
	turn();
	ok(probe.inputs == 2 && probe.last_len == 4, "bytes that were not used are presented with the next ones");
	ok(count_turns(loop, 50000) <= 2, "and do not make the loop spin");
	close(peer);
	turn();
	ok(probe.ended == 1 && probe.inputs == 2, "an incomplete message is not presented again at the end");
	probe_finish(loop, &probe);
}

static void
close_from_on_end(Probe *probe)
{
	net_close(&probe->conn);
}

static void
closing_in_on_end(void)
{
	Probe probe = {.after_end = close_from_on_end};
	int peer = probe_pair(loop, &probe);

	close(peer);
	turn();
	ok(probe.ended == 1 && probe.released == 1, "closing inside on_end releases in the same iteration");
	net_close(&probe.conn);
	turn();
	is_int(probe.released, 1, "closing again does nothing");
}

static void
busy_peer_does_not_starve_others(void)
{
	Probe busy = {0};
	Probe quiet = {0};
	int busy_peer = probe_pair(loop, &busy);
	int quiet_peer = probe_pair(loop, &quiet);
	char bytes[65536] = {0};
	size_t sent = 0;
	ssize_t n;

	while ((n = write(busy_peer, bytes, sizeof(bytes))) > 0)
		sent += (size_t) n;
	put(quiet_peer, "me too");
	if (!net_loop_once(loop, 0))
		abort();
	if (loop->ring == NULL)
		ok(busy.inputs == 1 && buf_len(&busy.got) <= NET_READ_SIZE, "one read an iteration");
	else
		ok(buf_len(&busy.got) <= NET_RING_BYTES, "no more in an iteration than the ring has buffers for");
	ok(probe_got(&quiet, "me too"), "so that everybody has a turn");
	for (int i = 0; i < 100 && buf_len(&busy.got) < sent; i++)
		turn();
	ok(buf_len(&busy.got) == sent, "the rest comes in the next iterations");
	probe_finish(loop, &busy);
	probe_finish(loop, &quiet);
	close(busy_peer);
	close(quiet_peer);
}

static void
with_backend(void)
{
	loop = test_loop(NULL);
	presents_what_comes();
	holds_what_is_not_used();
	holds_large_messages();
	held_rest_is_small();
	pausing_stops_input();
	resuming_presents_held_bytes();
	pause_and_resume_inside_on_input();
	close_inside_on_input();
	close_inside_on_held_input();
	end_comes_after_the_data();
	paused_without_early_hangup_waits();
	paused_with_early_hangup_ends_at_once();
	half_close_is_a_hangup_too();
	using_nothing_means_more_is_needed();
	closing_in_on_end();
	busy_peer_does_not_starve_others();
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
