/*
 * listen_test.c: listening, accepting and connecting over real loopback and Unix sockets.
 */
#include "net_test.h"

#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>

static NetLoop *loop;
static Log log_to_file;
static char dir[] = "/tmp/listen_test.XXXXXX";
static char log_path[64];
static char socket_path[64];

#define UNIX_PORT 7777

/* --- what listeners accept --- */

typedef struct Accepted
{
	int count;
	int fds[400];
	NetPeer peer; /* of the last one */
	bool close_at_once;
	bool close_listener;
} Accepted;

static Accepted accepted;

static void
on_accept(NetListener *listener, int fd, const NetPeer *peer)
{
	accepted.peer = *peer;
	if (accepted.close_at_once || accepted.count >= 400)
		close(fd);
	else
		accepted.fds[accepted.count] = fd;
	accepted.count++;
	if (accepted.close_listener)
		net_listener_close(listener);
}

static void
forget_accepted(void)
{
	for (int i = 0; i < accepted.count && !accepted.close_at_once; i++)
		close(accepted.fds[i]);
	accepted = (Accepted){0};
}

static void
turn(void)
{
	if (!net_loop_once(loop, 0))
		abort();
}

static int
port_of(const NetListener *listener)
{
	return atoi(strrchr(listener->name, ':') + 1);
}

static bool
listen_tcp(NetListener *listener, const char *host, int port, bool reuse_port, char *error)
{
	*listener = (NetListener){.on_accept = on_accept};
	return net_listen_tcp(loop, listener, host, port, 128, reuse_port, error, 200);
}

static bool
listen_unix(NetListener *listener, const char *directory, char *error)
{
	*listener = (NetListener){.on_accept = on_accept};
	error[0] = '\0';
	return net_listen_unix(loop, listener, directory, UNIX_PORT, 0750, 128, error, 200);
}

static void
connect_probe(Probe *probe, const char *host, int port)
{
	NetAddress to;

	if (!net_address_parse(host, port, &to) || !net_connect(loop, &probe->conn, &to, NULL, &probe_handler))
		abort();
}

static int
int_option(int fd, int level, int option)
{
	int value = -1;
	socklen_t len = sizeof(value);

	getsockopt(fd, level, option, &value, &len);
	return value;
}

/* --- TCP --- */

static void
tcp_connection(void)
{
	NetListener listener;
	Probe client = {0};
	Probe server = {0};
	NetPeer local;
	NetHealth health;
	char error[200];
	char a[80];
	char b[80];

	ok(listen_tcp(&listener, "127.0.0.1", 0, false, error), "listening on a port of the system's choice");
	ok(port_of(&listener) > 0 && strncmp(listener.name, "127.0.0.1:", 10) == 0,
	   "the name tells address and port");
	net_listener_set_options(&listener, &(NetSocketOptions){.keepalive = true, .keepidle_s = 77, .keepcnt = 4, .keepintvl_s = 55, .user_timeout_ms = 12345});
	connect_probe(&client, "127.0.0.1", port_of(&listener));
	is_int(client.connected, 0, "connecting calls nobody at once");
	net_send_bytes(&client.conn, "early", 5);
	ok(turn_until(loop, &client.connected, 1) && turn_until(loop, &accepted.count, 1),
	   "connected and accepted");
	if (!net_adopt(loop, &server.conn, accepted.fds[0], &probe_handler))
		abort();
	ok(turn_until(loop, &server.inputs, 1) && probe_got(&server, "early"),
	   "what was sent while connecting arrives");
	net_send_bytes(&server.conn, "answer", 6);
	ok(turn_until(loop, &client.inputs, 1) && probe_got(&client, "answer"), "and the answer");
	ok(net_local_peer(&client.conn, &local), "our own end is known");
	is_str(net_peer_name(&accepted.peer, a, sizeof(a)), net_peer_name(&local, b, sizeof(b)),
		   "it is the peer that was accepted");
	is_int(int_option(server.conn.fd, IPPROTO_TCP, TCP_NODELAY), 1, "accepted sockets do not delay");
	is_int(int_option(client.conn.fd, IPPROTO_TCP, TCP_NODELAY), 1, "nor do connected ones");
	is_int(int_option(server.conn.fd, IPPROTO_TCP, TCP_KEEPIDLE), 77, "the listener's options are applied");
	is_int(int_option(server.conn.fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 12345, "all of them");
	is_int(int_option(server.conn.fd, IPPROTO_TCP, TCP_KEEPCNT), 4, "the number of probes");
	is_int(int_option(server.conn.fd, IPPROTO_TCP, TCP_KEEPINTVL), 55, "and the time between them");
	ok((fcntl(server.conn.fd, F_GETFD) & FD_CLOEXEC) != 0 &&
		   (fcntl(server.conn.fd, F_GETFL) & O_NONBLOCK) != 0,
	   "accepted sockets are close-on-exec and do not block");
	ok(net_health(&client.conn, &health) && health.rtt_us > 0, "the kernel's round trip time is known");
	accepted.count = 0;
	net_close(&server.conn);
	ok(turn_until(loop, &client.ended, 1) && client.why == NET_END_EOF, "the peer's close is seen");
	probe_finish(loop, &client);
	probe_finish(loop, &server);
	ok(!net_local_peer(&client.conn, &local) && !net_health(&client.conn, &health),
	   "a closed one tells nothing");
	net_listener_close(&listener);
	net_listener_close(&listener);
	forget_accepted();
}

/* Options are the listener's own, which accepted sockets have from it: those that are taken back must be as if they had never been set. */
static void
changed_options(void)
{
	static const int timing[] = {TCP_KEEPCNT, TCP_KEEPIDLE, TCP_KEEPINTVL};
	const NetSocketOptions given = {.keepalive = true, .keepidle_s = 77, .keepcnt = 4, .keepintvl_s = 55, .user_timeout_ms = 12345, .buffer_bytes = 40000};
	NetListener listener = {.fd = -1, .on_accept = on_accept, .socket_options = given};
	int fresh = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char error[200];
	Probe probes[2] = {0};

	if (!net_listen_tcp(loop, &listener, "127.0.0.1", 0, 16, false, error, sizeof(error)))
		bail_out(error);
	for (int i = 0; i < 2; i++)
	{
		connect_probe(&probes[i], "127.0.0.1", port_of(&listener));
		ok(turn_until(loop, &accepted.count, i + 1), "accepted");
		if (i == 0)
			net_listener_set_options(&listener, &(NetSocketOptions){0});
	}
	is_int(int_option(accepted.fds[0], IPPROTO_TCP, TCP_KEEPIDLE), 77, "options that were there before it listened count");
	is_int(int_option(accepted.fds[0], SOL_SOCKET, SO_KEEPALIVE), 1, "... keepalive among them");
	is_int(int_option(accepted.fds[0], SOL_SOCKET, SO_RCVBUF), 80000, "... and buffers, which the kernel doubles");
	for (int i = 0; i < 3; i++)
		is_int(int_option(accepted.fds[1], IPPROTO_TCP, timing[i]), int_option(fresh, IPPROTO_TCP, timing[i]), "what is taken back is the system's again");
	is_int(int_option(accepted.fds[1], SOL_SOCKET, SO_KEEPALIVE), 0, "... no keepalive");
	is_int(int_option(accepted.fds[1], IPPROTO_TCP, TCP_USER_TIMEOUT), 0, "... no timeout");
	ok(int_option(accepted.fds[1], SOL_SOCKET, SO_RCVBUF) != 80000, "... and buffers of the system's size");
	is_int(int_option(accepted.fds[1], IPPROTO_TCP, TCP_NODELAY), 1, "... but it still does not delay");
	for (int i = 0; i < 2; i++)
	{
		net_close(&probes[i].conn);
		probe_finish(loop, &probes[i]);
	}
	net_listener_close(&listener);
	forget_accepted();
	close(fresh);
}

static void
refused_connection(void)
{
	NetListener listener;
	Probe probe = {0};
	Probe nowhere = {0};
	char error[200];
	int port;

	if (!listen_tcp(&listener, "127.0.0.1", 0, false, error))
		abort();
	port = port_of(&listener);
	net_listener_close(&listener);
	connect_probe(&probe, "127.0.0.1", port);
	net_send_bytes(&probe.conn, "hello", 5);
	is_int(probe.ended, 0, "a refused connection calls nobody at once");
	ok(turn_until(loop, &probe.ended, 1), "but soon");
	ok(probe.why == NET_END_CONNECT_FAILED && probe.error == ECONNREFUSED && probe.connected == 0,
	   "with the reason");
	probe_finish(loop, &probe);
	connect_probe(&nowhere, "/nonexistent", 1);
	ok(turn_until(loop, &nowhere.ended, 1) && nowhere.error == ENOENT, "a missing Unix socket likewise");
	is_int(nowhere.why, NET_END_CONNECT_FAILED, "as a failed connect");
	probe_finish(loop, &nowhere);
}

static void
connect_is_abandoned(void)
{
	NetListener listener;
	Probe probe = {0};
	char error[200];

	if (!listen_tcp(&listener, "127.0.0.1", 0, false, error))
		abort();
	connect_probe(&probe, "127.0.0.1", port_of(&listener));
	net_close(&probe.conn);
	turn();
	turn();
	ok(probe.connected == 0 && probe.ended == 0 && probe.released == 1,
	   "a connect that is given up is only released");
	net_listener_close(&listener);
	forget_accepted();
}

static void
no_descriptor_for_connecting(void)
{
	struct rlimit old;
	struct rlimit none;
	Probe probe = {0};
	NetAddress to;
	bool started;

	if (!net_address_parse("127.0.0.1", 1, &to) || getrlimit(RLIMIT_NOFILE, &old) < 0)
		abort();
	none = (struct rlimit){.rlim_cur = 0, .rlim_max = old.rlim_max};
	setrlimit(RLIMIT_NOFILE, &none);
	started = net_connect(loop, &probe.conn, &to, NULL, &probe_handler);
	ok(!started && errno == EMFILE, "without a descriptor connecting fails at once");
	setrlimit(RLIMIT_NOFILE, &old);
	ok(!net_is_open(&probe.conn), "the connection is not open");
	probe_finish(loop, &probe);
}

static void
star_takes_both_families(void)
{
	NetListener listener;
	Probe four = {0};
	Probe six = {0};
	char error[200];
	bool has_six;

	ok(listen_tcp(&listener, "*", 0, false, error), "listening on every address");
	has_six = listener.family == AF_INET6;
	connect_probe(&four, "127.0.0.1", port_of(&listener));
	ok(turn_until(loop, &accepted.count, 1) && accepted.peer.family == AF_INET,
	   "an IPv4 client is an IPv4 peer");
	if (has_six)
	{
		connect_probe(&six, "::1", port_of(&listener));
		ok(turn_until(loop, &six.connected, 1) && turn_until(loop, &accepted.count, 2) &&
			   accepted.peer.family == AF_INET6,
		   "an IPv6 client an IPv6 peer");
		probe_finish(loop, &six);
	}
	probe_finish(loop, &four);
	net_listener_close(&listener);
	forget_accepted();
}

static void
listening_fails_with_a_reason(void)
{
	NetListener listener;
	NetListener other;
	char error[200];

	if (!listen_tcp(&listener, "127.0.0.1", 0, false, error))
		abort();
	ok(!listen_tcp(&other, "127.0.0.1", port_of(&listener), false, error), "a port in use is refused");
	ok(strstr(error, "Address already in use") != NULL, "with the reason");
	ok(other.fd == -1, "and no descriptor");
	net_listener_close(&other);
	net_listener_close(&listener);
	ok(!listen_tcp(&other, "no such host!", 1, false, error) && error[0] != '\0', "a name without address");
	ok(!listen_tcp(&other, "127.0.0.1", 70000, false, error), "an impossible port");
	ok(!listen_tcp(&other, "/tmp", 1, false, error), "a path is no TCP address");
	ok(!listen_tcp(&other, "192.0.2.1", 0, false, error), "an address that is not ours");
}

static void
reuse_port_shares(void)
{
	NetListener one;
	NetListener two;
	char error[200];

	ok(listen_tcp(&one, "127.0.0.1", 0, true, error) &&
		   listen_tcp(&two, "127.0.0.1", port_of(&one), true, error),
	   "with reuse_port two may listen on one port");
	net_listener_close(&one);
	net_listener_close(&two);
}

/* --- storms --- */

static void
accepts_in_batches(void)
{
	enum
	{
		CLIENTS = 100
	};
	static int fds[CLIENTS];
	NetListener listener;
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	char error[200];

	if (!listen_tcp(&listener, "127.0.0.1", 0, false, error))
		abort();
	sin.sin_port = htons((uint16_t) port_of(&listener));
	for (int i = 0; i < CLIENTS; i++)
		if ((fds[i] = socket(AF_INET, SOCK_STREAM, 0)) < 0 ||
			connect(fds[i], (struct sockaddr *) &sin, sizeof(sin)) < 0)
			abort();
	turn();
	/* fewer where the machine is so busy that their time is over before */
	ok(accepted.count > 0 && accepted.count <= 16, "a storm is accepted in bounded batches");
	for (int i = 0; i < CLIENTS && accepted.count < CLIENTS; i++)
		turn();
	is_int(accepted.count, CLIENTS, "one after the other");
	for (int i = 0; i < CLIENTS; i++)
		close(fds[i]);
	net_listener_close(&listener);
	forget_accepted();
}

static void
pausing_a_listener(void)
{
	NetListener listener;
	Probe probe = {0};
	char error[200];

	if (!listen_tcp(&listener, "127.0.0.1", 0, false, error))
		abort();
	net_listener_pause(&listener, true);
	connect_probe(&probe, "127.0.0.1", port_of(&listener));
	turn_until(loop, &probe.connected, 1);
	turn_for(loop, 20 * USEC_PER_MSEC);
	is_int(accepted.count, 0, "a paused listener accepts nobody");
	net_listener_pause(&listener, false);
	ok(turn_until(loop, &accepted.count, 1), "until it goes on");
	probe_finish(loop, &probe);
	net_listener_close(&listener);
	forget_accepted();
}

static int
count_lines(const char *path, const char *with)
{
	char line[1000];
	FILE *file = fopen(path, "r");
	int count = 0;

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		count += strstr(line, with) != NULL;
	if (file != NULL)
		fclose(file);
	return count;
}

/* With no descriptor left the kernel would report the waiting connection for ever. */
static void
descriptors_run_out(void)
{
	struct rlimit old;
	struct rlimit few;
	NetListener listener;
	Probe probe = {0};
	char error[200];
	int turns;
	int complaints = count_lines(log_path, "could not accept a connection on 127.0.0.1:");

	if (!listen_tcp(&listener, "127.0.0.1", 0, false, error) || getrlimit(RLIMIT_NOFILE, &old) < 0)
		abort();
	accepted.close_at_once = true;
	connect_probe(&probe, "127.0.0.1", port_of(&listener));
	few = (struct rlimit){.rlim_cur = 0, .rlim_max = old.rlim_max};
	setrlimit(RLIMIT_NOFILE, &few);
	turns = count_turns(loop, 400 * USEC_PER_MSEC);
	ok(turns >= 2 && turns < 40, "without descriptors the listener rests and tries again, it does not spin");
	is_int(accepted.count, 0, "nobody is accepted");
	setrlimit(RLIMIT_NOFILE, &old);
	is_int(count_lines(log_path, "could not accept a connection on 127.0.0.1:"), complaints + 1,
		   "the log says so, once a second");
	ok(turn_until(loop, &accepted.count, 1), "with descriptors again the client is accepted");
	net_listener_close(&listener);
	is_int(net_timers(loop)->count, 0, "a closed listener leaves no timer behind");
	probe_finish(loop, &probe);
	forget_accepted();
}

static void
closing_inside_on_accept(void)
{
	NetListener listener;
	Probe one = {0};
	Probe two = {0};
	char error[200];

	if (!listen_tcp(&listener, "127.0.0.1", 0, false, error))
		abort();
	accepted.close_listener = true;
	connect_probe(&one, "127.0.0.1", port_of(&listener));
	connect_probe(&two, "127.0.0.1", port_of(&listener));
	turn_until(loop, &accepted.count, 1);
	turn();
	is_int(accepted.count, 1, "a listener closed inside on_accept accepts no more");
	probe_finish(loop, &one);
	probe_finish(loop, &two);
	forget_accepted();
}

/* --- Unix sockets --- */

static void
unix_connection(void)
{
	NetListener listener;
	Probe probe = {0};
	NetHealth health;
	NetPeer local;
	struct stat st;
	char error[200];
	char expected[100];

	ok(listen_unix(&listener, dir, error), "listening on a Unix socket");
	snprintf(expected, sizeof(expected), "unix:%s", socket_path);
	is_str(listener.name, expected, "the name tells where");
	ok(stat(socket_path, &st) == 0 && (st.st_mode & 07777) == 0750, "the file has the mode asked for");
	connect_probe(&probe, dir, UNIX_PORT);
	ok(turn_until(loop, &probe.connected, 1) && turn_until(loop, &accepted.count, 1),
	   "connected and accepted");
	ok(accepted.peer.family == AF_UNIX && accepted.peer.pid == (uint32_t) getpid() &&
		   accepted.peer.uid == getuid(),
	   "the peer's process and user are known");
	ok(!net_health(&probe.conn, &health), "there is no network to measure");
	ok(net_local_peer(&probe.conn, &local) && local.family == AF_UNIX, "and the local end is a Unix socket");
	probe_finish(loop, &probe);
	net_listener_close(&listener);
	ok(stat(socket_path, &st) < 0 && errno == ENOENT, "closing removes the file");
	forget_accepted();
}

static void
live_socket_is_not_stolen(void)
{
	NetListener first;
	NetListener second;
	struct stat st;
	char error[200];

	if (!listen_unix(&first, dir, error))
		abort();
	ok(!listen_unix(&second, dir, error), "a socket that somebody listens on is not taken");
	is_str(error, "unix socket is in use", "and the message says so");
	net_listener_close(&second);
	ok(stat(socket_path, &st) == 0, "its file stays");
	net_listener_close(&first);
}

static void
stale_socket_is_replaced(void)
{
	NetListener first;
	NetListener second;
	struct stat st;
	char error[200];

	if (!listen_unix(&first, dir, error))
		abort();
	first.keep_file = true;
	net_listener_close(&first);
	ok(stat(socket_path, &st) == 0, "keep_file leaves the file");
	ok(listen_unix(&second, dir, error), "a socket file nobody listens on is replaced");
	net_listener_close(&second);
}

static void
foreign_files_stay(void)
{
	NetListener first;
	NetListener second;
	struct stat st;
	char error[200];
	int fd;

	if (!listen_unix(&first, dir, error))
		abort();
	unlink(socket_path);
	if (!listen_unix(&second, dir, error))
		abort();
	net_listener_close(&first);
	ok(stat(socket_path, &st) == 0, "a listener removes no file that took the place of its own");
	net_listener_close(&second);
	ok(stat(socket_path, &st) < 0, "but its own");
	fd = open(socket_path, O_CREAT | O_WRONLY, 0600);
	put(fd, "data");
	close(fd);
	ok(!listen_unix(&first, dir, error) && strstr(error, "no socket") != NULL,
	   "a file that is no socket is in the way");
	ok(stat(socket_path, &st) == 0 && st.st_size == 4, "and is not touched");
	unlink(socket_path);
	ok(!listen_unix(&first, "/nonexistent", error) && strstr(error, "No such file") != NULL,
	   "no directory, no socket");
	ok(!listen_unix(&first,
					"/an/absurdly/long/directory/name/that/goes/on/and/on/until/no/socket/address/could/ever/"
					"hold/it/whole",
					error) &&
		   strstr(error, "too long") != NULL,
	   "nor with too long a path");
}

static void
abstract_namespace(void)
{
	NetListener listener;
	NetListener second;
	Probe probe = {0};
	char name[64];
	char expected[100];
	char error[200];

	snprintf(name, sizeof(name), "@listen_test.%d", (int) getpid());
	snprintf(expected, sizeof(expected), "unix:%s/.s.PGSQL.%d", name, UNIX_PORT);
	ok(listen_unix(&listener, name, error), "listening in the abstract namespace");
	is_str(listener.name, expected, "the name shows it");
	ok(!listen_unix(&second, name, error) && strcmp(error, "unix socket is in use") == 0, "only one can");
	connect_probe(&probe, name, UNIX_PORT);
	ok(turn_until(loop, &probe.connected, 1) && turn_until(loop, &accepted.count, 1), "and connecting works");
	probe_finish(loop, &probe);
	net_listener_close(&listener);
	forget_accepted();
}

static void
listening_descriptor_is_taken_over(void)
{
	NetListener listener = {.on_accept = on_accept};
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	Probe probe = {0};
	char error[200];
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	if (bind(fd, (struct sockaddr *) &sin, sizeof(sin)) < 0 || listen(fd, 5) < 0)
		abort();
	ok(net_listen_fd(loop, &listener, fd, error, sizeof(error)),
	   "a socket that listens already is taken over");
	connect_probe(&probe, "127.0.0.1", port_of(&listener));
	ok(turn_until(loop, &accepted.count, 1), "and accepts");
	probe_finish(loop, &probe);
	net_listener_close(&listener);
	forget_accepted();
}

static void
with_backend(void)
{
	NetListener zeroed = {0};

	loop = test_loop(&log_to_file);
	tcp_connection();
	changed_options();
	refused_connection();
	connect_is_abandoned();
	no_descriptor_for_connecting();
	star_takes_both_families();
	listening_fails_with_a_reason();
	reuse_port_shares();
	accepts_in_batches();
	pausing_a_listener();
	descriptors_run_out();
	closing_inside_on_accept();
	unix_connection();
	live_socket_is_not_stolen();
	stale_socket_is_replaced();
	foreign_files_stay();
	abstract_namespace();
	listening_descriptor_is_taken_over();
	net_listener_close(&zeroed);
	ok(fcntl(0, F_GETFD) >= 0, "closing a listener that never listened touches no descriptor");
	net_loop_free(loop);
}

int
main(void)
{
	if (mkdtemp(dir) == NULL)
		return 1;
	snprintf(log_path, sizeof(log_path), "%s/log", dir);
	snprintf(socket_path, sizeof(socket_path), "%s/.s.PGSQL.%d", dir, UNIX_PORT);
	log_init(&log_to_file);
	log_to_file.to_stderr = false;
	if (!log_open_file(&log_to_file, log_path))
		return 1;
	do
		with_backend();
	while (next_backend());
	log_close(&log_to_file);
	unlink(log_path);
	rmdir(dir);
	return done_testing();
}
