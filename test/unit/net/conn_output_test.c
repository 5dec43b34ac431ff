/*
 * conn_output_test.c: writing, backlog, broken connections, closing with and without flushing.
 */
#include "net_test.h"

#include <sys/ioctl.h>

static NetLoop *loop;

static void
turn(void)
{
	if (!net_loop_once(loop, 0))
		abort();
	let_write(loop);
}

/* Read what is there. */
static size_t
drain(int fd, Buf *into)
{
	char bytes[65536];
	size_t total = 0;
	ssize_t n;

	while ((n = read(fd, bytes, sizeof(bytes))) > 0)
	{
		if (into != NULL && !buf_append(into, bytes, (size_t) n))
			abort();
		total += (size_t) n;
	}
	return total;
}

/* Fill the connection until there is a backlog. */
static size_t
fill(Probe *probe)
{
	char bytes[20000];
	size_t sent = 0;

	memset(bytes, 'f', sizeof(bytes));
	while (net_backlog(&probe->conn) == 0)
	{
		net_send_bytes(&probe->conn, bytes, sizeof(bytes));
		sent += sizeof(bytes);
	}
	return sent;
}

static void
writes_at_once(void)
{
	Probe probe = {0};
	int peer = probe_pair(loop, &probe);
	struct iovec iov[3] = {{"one ", 4}, {"", 0}, {"two", 3}};
	char bytes[16] = {0};

	net_send(&probe.conn, iov, 3);
	let_write(loop);
	ok(read(peer, bytes, sizeof(bytes)) == 7 && strcmp(bytes, "one two") == 0,
	   "the pieces are written at once");
	is_int((long long) net_backlog(&probe.conn), 0, "and nothing is queued");
	net_send(&probe.conn, iov, 0);
	net_send_bytes(&probe.conn, "", 0);
	ok(read(peer, bytes, sizeof(bytes)) < 0 && errno == EAGAIN, "nothing writes nothing");
	turn();
	is_int(probe.drained, 0, "on_drained comes only after a backlog");
	probe_finish(loop, &probe);
	close(peer);
}

static void
queues_what_the_kernel_does_not_take(void)
{
	Probe probe = {0};
	int peer = probe_pair(loop, &probe);
	size_t sent = fill(&probe);
	Buf got = {0};
	struct iovec tail[2] = {{"tail ", 5}, {"end", 3}};

	net_send(&probe.conn, tail, 2);
	turn();
	is_int(probe.drained, 0, "a peer that does not read leaves the backlog");
	ok(count_turns(loop, 50000) <= 2, "which does not make the loop spin");
	for (int i = 0; i < 1000 && probe.drained == 0; i++)
	{
		drain(peer, &got);
		turn();
	}
	drain(peer, &got);
	is_int(probe.drained, 1, "on_drained comes once, when all is written");
	ok(buf_len(&got) == sent + 8 && memcmp(buf_ptr(&got) + sent, "tail end", 8) == 0,
	   "and all of it has come, in order");
	ok(probe.conn._out.data == NULL, "the output buffer is given back");
	ok(count_turns(loop, 50000) <= 2, "and the loop is quiet again");
	buf_free(&got);
	probe_finish(loop, &probe);
	close(peer);
}

static void
more_pieces_than_the_kernel_takes(void)
{
	enum
	{
		PIECES = 3000
	};
	static struct iovec iov[PIECES];
	static char text[PIECES];
	Probe probe = {0};
	int peer = probe_pair(loop, &probe);
	Buf got = {0};

	for (int i = 0; i < PIECES; i++)
	{
		text[i] = (char) ('a' + i % 26);
		iov[i] = (struct iovec){&text[i], 1};
	}
	net_send(&probe.conn, iov, PIECES);
	for (int i = 0; i < 10; i++)
	{
		turn();
		drain(peer, &got);
	}
	ok(buf_len(&got) == PIECES && memcmp(buf_ptr(&got), text, PIECES) == 0,
	   "three thousand pieces arrive in order");
	buf_free(&got);
	probe_finish(loop, &probe);
	close(peer);
}

/* The pause of the reading side must not lose the wish to write. */
static void
backlog_drains_while_input_is_paused(void)
{
	Probe probe = {0};
	int peer = probe_pair(loop, &probe);

	net_pause(&probe.conn);
	put(peer, "unread");
	turn(); /* the interest in input is dropped */
	fill(&probe);
	for (int i = 0; i < 1000 && probe.drained == 0; i++)
	{
		drain(peer, NULL);
		turn();
	}
	is_int(probe.drained, 1, "a paused connection still writes its backlog");
	is_int(probe.inputs, 0, "and reads nothing");
	net_resume(&probe.conn);
	turn();
	turn();
	ok(probe_got(&probe, "unread"), "until it is resumed");
	probe_finish(loop, &probe);
	close(peer);
}

/* What the server says last must reach us though our own write has failed already. */
static void
failed_write_presents_the_last_words_first(void)
{
	Probe probe = {0};
	int peer = probe_pair(loop, &probe);

	put(peer, "FATAL: going down");
	close(peer);
	net_send_bytes(&probe.conn, "query", 5);
	is_int(probe.ended, 0, "the failed write calls nobody");
	is_int((long long) net_backlog(&probe.conn), 0, "and queues nothing");
	net_send_bytes(&probe.conn, "another", 7);
	turn();
	turn();
	ok(probe_got(&probe, "FATAL: going down"), "the peer's last words are presented");
	ok(probe.ended == 1 && probe.why == NET_END_ERROR && probe.error == EPIPE,
	   "then the failure is reported");
	turn();
	is_int(probe.ended, 1, "once");
	probe_finish(loop, &probe);
}

static void
failed_write_while_paused(void)
{
	Probe server = {0};
	Probe client = {.conn.early_hangup = true};
	int server_peer = probe_pair(loop, &server);
	int client_peer = probe_pair(loop, &client);

	net_pause(&server.conn);
	net_pause(&client.conn);
	put(server_peer, "FATAL");
	put(client_peer, "unread");
	close(server_peer);
	close(client_peer);
	net_send_bytes(&server.conn, "x", 1);
	net_send_bytes(&client.conn, "x", 1);
	turn();
	turn();
	ok(client.ended == 1 && client.why == NET_END_ERROR,
	   "with early_hangup a broken connection ends though paused");
	is_int(server.ended, 0, "without, it waits");
	ok(count_turns(loop, 50000) <= 2, "and does not make the loop spin");
	net_resume(&server.conn);
	turn();
	turn();
	ok(probe_got(&server, "FATAL"), "to be read to the end");
	ok(server.ended == 1 && server.why == NET_END_ERROR, "and ends then");
	probe_finish(loop, &server);
	probe_finish(loop, &client);
}

static void
backlog_of_a_lost_peer(void)
{
	Probe probe = {0};
	int peer = probe_pair(loop, &probe);

	fill(&probe);
	close(peer);
	for (int i = 0; i < 5; i++)
		turn();
	is_int(probe.ended, 1, "a peer that goes while there is a backlog ends the connection");
	is_int(probe.drained, 0, "without on_drained");
	probe_finish(loop, &probe);
}

/* --- closing in peace --- */

static void
flushed_close_delivers_everything(void)
{
	Probe probe = {0};
	int peer = probe_pair(loop, &probe);
	size_t sent = fill(&probe);
	size_t got = 0;
	char byte;

	put(peer, "never read");
	net_send_bytes(&probe.conn, "goodbye", 7);
	net_close_flushed(&probe.conn, 5 * USEC_PER_SEC);
	net_send_bytes(&probe.conn, "too late", 8);
	for (int i = 0; i < 1000 && got < sent + 7; i++)
	{
		turn();
		got += drain(peer, NULL);
	}
	ok(got == sent + 7, "everything queued before is delivered, nothing after");
	turn();
	ok(read(peer, &byte, 1) == 0, "then the end, no reset");
	is_int(probe.released, 0, "the connection waits for its peer");
	close(peer);
	turn();
	is_int(probe.released, 1, "and is released when that has closed");
	ok(probe.inputs == 0 && probe.ended == 0 && probe.drained == 0, "no other event came");
	ok(!net_is_open(&probe.conn), "it is closed");
}

static void
flushed_close_is_bounded(void)
{
	Probe silent = {0};
	Probe deaf = {0};
	int silent_peer = probe_pair(loop, &silent);
	int deaf_peer = probe_pair(loop, &deaf);
	usec_t start = clock_now();

	fill(&deaf);
	net_send_bytes(&silent.conn, "bye", 3);
	net_close_flushed(&silent.conn, 60 * USEC_PER_MSEC);
	net_close_flushed(&deaf.conn, 60 * USEC_PER_MSEC);
	ok(turn_until(loop, &silent.released, 1) && turn_until(loop, &deaf.released, 1),
	   "a peer that does not close, or does not read, is not waited for without end");
	ok(clock_now() - start >= 60 * USEC_PER_MSEC, "but as long as said");
	ok(clock_now() - start < 60 * USEC_PER_SEC, "and not for ever");
	close(silent_peer);
	close(deaf_peer);
}

static void
flushed_close_without_patience(void)
{
	Probe probe = {0};
	Probe unopened = {.conn = {.loop = loop, .handler = &probe_handler}};
	int peer = probe_pair(loop, &probe);

	net_close_flushed(&probe.conn, 0);
	net_close_flushed(&unopened.conn, USEC_PER_SEC);
	turn();
	is_int(probe.released, 1, "no linger means close now");
	is_int(unopened.released, 1, "a connection that never was open is released as well");
	ok(fcntl(0, F_GETFD) >= 0, "and descriptor 0 is not touched");
	close(peer);
}

/* TCP resets a connection that is closed over unread input; the message must get through all the same. */
static void
flushed_close_over_tcp(void)
{
	Probe probe = {0};
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sin);
	int listening = socket(AF_INET, SOCK_STREAM, 0);
	int peer = socket(AF_INET, SOCK_STREAM, 0);
	char bytes[64] = {0};
	ssize_t n;

	if (bind(listening, (struct sockaddr *) &sin, sizeof(sin)) < 0 || listen(listening, 1) < 0 ||
		getsockname(listening, (struct sockaddr *) &sin, &len) < 0 ||
		connect(peer, (struct sockaddr *) &sin, sizeof(sin)) < 0 ||
		!net_adopt(loop, &probe.conn, accept(listening, NULL, NULL), &probe_handler))
		abort();
	put(peer, "a startup packet that nobody reads");
	net_send_bytes(&probe.conn, "sorry", 5);
	net_close_flushed(&probe.conn, 5 * USEC_PER_SEC);
	turn();
	put(peer, "and another");
	turn();
	n = read(peer, bytes, sizeof(bytes));
	ok(n == 5 && strcmp(bytes, "sorry") == 0, "over TCP the last message is read");
	ok(read(peer, bytes, sizeof(bytes)) == 0, "and then an orderly end");
	close(peer);
	ok(turn_until(loop, &probe.released, 1), "released after the peer");
	close(listening);
}

/* --- streams --- */

#define STREAM_BYTES (6 * 1024 * 1024)

typedef struct Relay
{
	Probe from;
	Probe to;
	size_t largest_backlog;
} Relay;

static Relay relay;

static size_t
relay_use(Probe *probe, const uint8_t *data, size_t len)
{
	(void) probe;
	net_send_bytes(&relay.to.conn, data, len);
	if (net_backlog(&relay.to.conn) > relay.largest_backlog)
		relay.largest_backlog = net_backlog(&relay.to.conn);
	if (net_backlog(&relay.to.conn) > 0)
		net_pause(&relay.from.conn);
	return len;
}

static uint8_t
stream_byte(size_t i)
{
	return (uint8_t) (i * 31 + (i >> 10));
}

/* A fast producer, a reader in fits and starts: every byte arrives, in order, and memory stays bounded. */
static void
relays_under_back_pressure(void)
{
	static uint8_t chunk[50000];
	int source;
	int sink;
	size_t sent = 0;
	size_t got = 0;
	bool intact = true;
	int resumed = 0;

	relay = (Relay){0};
	source = probe_pair(loop, &relay.from);
	sink = probe_pair(loop, &relay.to);
	relay.from.use = relay_use;
	srandom(5);
	for (int i = 0; i < 200000 && got < STREAM_BYTES; i++)
	{
		size_t want = (size_t) random() % sizeof(chunk);
		ssize_t n;

		want = want < STREAM_BYTES - sent ? want : STREAM_BYTES - sent;
		for (size_t k = 0; k < want; k++)
			chunk[k] = stream_byte(sent + k);
		if (want > 0 && (n = write(source, chunk, want)) > 0)
			sent += (size_t) n;
		turn();
		buf_free(&relay.from.got);
		if (random() % 3 == 0 && (n = read(sink, chunk, (size_t) random() % sizeof(chunk))) > 0)
		{
			for (ssize_t k = 0; k < n; k++)
				intact &= chunk[k] == stream_byte(got + (size_t) k);
			got += (size_t) n;
		}
		if (relay.to.drained > resumed)
		{
			resumed = relay.to.drained;
			net_resume(&relay.from.conn);
		}
	}
	ok(got == STREAM_BYTES, "six megabytes pass through");
	ok(intact, "every byte in its place");
	ok(resumed > 10, "with many pauses");
	ok(relay.largest_backlog <= NET_READ_SIZE, "and never more than one read in memory");
	probe_finish(loop, &relay.from);
	probe_finish(loop, &relay.to);
	close(source);
	close(sink);
}

static void
lingering_connections_end_with_the_loop(void)
{
	NetLoop *other = test_loop(NULL);
	Probe probe = {0};
	int peer = probe_pair(other, &probe);

	net_close_flushed(&probe.conn, 60 * USEC_PER_SEC);
	net_loop_free(other);
	is_int(probe.released, 1, "freeing the loop releases what lingers");
	close(peer);
}

static void
with_backend(void)
{
	loop = test_loop(NULL);
	writes_at_once();
	queues_what_the_kernel_does_not_take();
	more_pieces_than_the_kernel_takes();
	backlog_drains_while_input_is_paused();
	failed_write_presents_the_last_words_first();
	failed_write_while_paused();
	backlog_of_a_lost_peer();
	flushed_close_delivers_everything();
	flushed_close_is_bounded();
	flushed_close_without_patience();
	flushed_close_over_tcp();
	relays_under_back_pressure();
	lingering_connections_end_with_the_loop();
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
