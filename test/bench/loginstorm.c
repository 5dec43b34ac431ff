/*
 * loginstorm.c: many logins at once, and what becomes of the traffic meanwhile.
 *
 *   loginstorm --port P --traffic-conninfo C --logins N --storms Z --at-once M --users PATTERN --count K --password W [--tls] [--seconds S]
 *
 * Traffic: 8 connections that ask `select 1` at a fixed rate, latency counted from the time a request was due.  First for S seconds
 * alone, then while N logins run, M at a time; Z times both.  A login is TCP, perhaps TLS, SCRAM-SHA-256, ReadyForQuery, close; its user
 * is PATTERN with %d replaced by a number below K.  The logins use the sidecar's own SCRAM and keep derived keys, and run only when
 * nothing else wants the processor (SCHED_IDLE): real clients spend their own processors, not the pooler's.  They are a process of
 * their own: the traffic's threads must not wait for a lock (of malloc, say) that a thread holds which does not get to run.
 *
 * Prints one line of key=value pairs.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <getopt.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "wire/auth_scram.h"
#include "wire/backend.h"
#include "wire/frontend.h"
#include "wire/msg.h"
#include "wire/startup.h"

#define TRAFFIC 8
#define TRAFFIC_GAP_S 0.01
#define SAMPLES_MAX 200000

typedef struct Samples
{
	double ms[SAMPLES_MAX];
	int n;
} Samples;

static struct
{
	const char *conninfo, *users, *password;
	int port, logins, storms, at_once, count;
	double seconds;
	SSL_CTX *tls;
} options = {.logins = 2000, .storms = 1, .at_once = 200, .count = 1, .seconds = 3, .users = "u%d", .password = "secret"};

static Samples alone, beside; /* the traffic's latencies without a storm, and with one */
static Samples *measured;	  /* where they go now, or NULL */
static pthread_mutex_t measured_lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool stop;

/* What the process of the storm leaves behind. */
typedef struct Storm
{
	atomic_int next_login, done, failed;
	int until; /* this one's last login */
	double took; /* all of them together */
	double ms[SAMPLES_MAX];
} Storm;
static Storm *storm; /* shared memory */
static ScramKeys *keys; /* one for each user */
static pthread_mutex_t keys_lock = PTHREAD_MUTEX_INITIALIZER;

static double
now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double) ts.tv_sec + (double) ts.tv_nsec / 1e9;
}

static void
sample(double seconds)
{
	pthread_mutex_lock(&measured_lock);
	if (measured != NULL && measured->n < SAMPLES_MAX)
		measured->ms[measured->n++] = seconds * 1000;
	pthread_mutex_unlock(&measured_lock);
}

static void
die(const char *what, const char *why)
{
	fprintf(stderr, "loginstorm: %s: %s\n", what, why);
	exit(1);
}

/* --- traffic --- */

static void *
traffic_main(void *arg)
{
	PGconn *pg = arg;
	double due = now_s();

	while (!atomic_load(&stop))
	{
		double left = due - now_s();
		PGresult *result;

		if (left > 0)
			usleep((useconds_t) (left * 1e6));
		result = PQexec(pg, "select 1");
		if (PQresultStatus(result) != PGRES_TUPLES_OK)
			die("traffic", PQerrorMessage(pg));
		PQclear(result);
		sample(now_s() - due);
		due += TRAFFIC_GAP_S;
	}
	return NULL;
}

/* --- a login --- */

typedef struct Peer
{
	int fd;
	SSL *ssl;
	uint8_t in[16384];
	size_t len;
} Peer;

static bool
peer_write(Peer *peer, Buf *buf)
{
	size_t len = buf_len(buf);
	bool ok = peer->ssl != NULL ? SSL_write(peer->ssl, buf_ptr(buf), (int) len) == (int) len
								: send(peer->fd, buf_ptr(buf), len, MSG_NOSIGNAL) == (ssize_t) len;

	buf_clear(buf);
	return ok;
}

static ssize_t
peer_read(Peer *peer, void *to, size_t size)
{
	return peer->ssl != NULL ? SSL_read(peer->ssl, to, (int) size) : recv(peer->fd, to, size, 0);
}

static bool
peer_connect(Peer *peer)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t) options.port)};
	Buf out = {0};
	char answer;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (peer->fd < 0 || connect(peer->fd, (struct sockaddr *) &to, sizeof(to)) != 0)
		return false;
	if (options.tls == NULL)
		return true;
	if (!wire_write_ssl_request(&out) || !peer_write(peer, &out) || recv(peer->fd, &answer, 1, 0) != 1 || answer != 'S')
		return false;
	buf_free(&out);
	peer->ssl = SSL_new(options.tls);
	SSL_set_fd(peer->ssl, peer->fd);
	return SSL_connect(peer->ssl) == 1;
}

/* The answer to an authentication request: false ends the login. */
static bool
answer(Peer *peer, const WireAuth *auth, ScramClient *scram, int user, Buf *out)
{
	ScramMessage message;
	ScramKeys mine;
	ScramStatus status;

	switch (auth->code)
	{
		case AUTH_OK: return true;
		case AUTH_SASL:
			return scram_client_first(scram, (Slice){NULL, 0}, false, &message) == SCRAM_OK &&
				   wire_write_sasl_initial(out, SCRAM_MECHANISM, scram_message_slice(&message)) && peer_write(peer, out);
		case AUTH_SASL_CONTINUE:
			pthread_mutex_lock(&keys_lock);
			mine = keys[user];
			pthread_mutex_unlock(&keys_lock);
			status = scram_client_final(scram, auth->data, slice_str(options.password), &mine, &message);
			pthread_mutex_lock(&keys_lock);
			keys[user] = mine;
			pthread_mutex_unlock(&keys_lock);
			return status == SCRAM_OK && wire_write_sasl_response(out, scram_message_slice(&message)) && peer_write(peer, out);
		case AUTH_SASL_FINAL: return scram_client_verify(scram, auth->data) == SCRAM_OK;
		default: return false;
	}
}

/* Read messages until ReadyForQuery. */
static bool
dialogue(Peer *peer, int user, Buf *out)
{
	ScramClient scram;
	WireHeader header;
	WireAuth auth;

	for (;;)
	{
		size_t total;
		ssize_t n;

		while (wire_read_header(peer->in, peer->len, &header) == WIRE_OK &&
			   (total = (size_t) header.payload_len + WIRE_HEADER_SIZE) <= peer->len)
		{
			if (header.type == BE_READY_FOR_QUERY)
				return true;
			if (header.type == BE_ERROR_RESPONSE)
				return false;
			if (header.type == BE_AUTHENTICATION &&
				(!wire_read_authentication(slice_make(peer->in + WIRE_HEADER_SIZE, header.payload_len), &auth) ||
				 !answer(peer, &auth, &scram, user, out)))
				return false;
			memmove(peer->in, peer->in + total, peer->len -= total);
		}
		n = peer_read(peer, peer->in + peer->len, sizeof(peer->in) - peer->len);
		if (n <= 0)
			return false;
		peer->len += (size_t) n;
	}
}

static bool
login(Peer *peer, int user)
{
	char name[64];
	WireParam params[2] = {{slice_str("user"), {NULL, 0}}, {slice_str("database"), slice_str("postgres")}};
	Buf out = {0};
	bool ok;

	snprintf(name, sizeof(name), options.users, user);
	params[0].value = slice_str(name);
	ok = peer_connect(peer) && wire_write_startup(&out, params, 2) && peer_write(peer, &out) && dialogue(peer, user, &out);
	buf_free(&out);
	return ok;
}

static void *
storm_main(void *arg)
{
	Peer *peer = arg;
	int n;

	while ((n = atomic_fetch_add(&storm->next_login, 1)) < storm->until)
	{
		double since = now_s();
		bool ok;

		*peer = (Peer){.fd = -1};
		ok = login(peer, n % options.count);
		if (ok)
			storm->ms[atomic_fetch_add(&storm->done, 1)] = (now_s() - since) * 1000;
		else
			atomic_fetch_add(&storm->failed, 1);
		SSL_free(peer->ssl);
		if (peer->fd >= 0)
			close(peer->fd);
	}
	return NULL;
}

/* --- the whole --- */

static int
compare(const void *a, const void *b)
{
	double x = *(const double *) a, y = *(const double *) b;

	return x < y ? -1 : x > y;
}

static double
percentile(double *ms, int n, double p)
{
	qsort(ms, (size_t) n, sizeof(double), compare);
	return n > 0 ? ms[(int) (p * (n - 1))] : 0;
}

static void
run_storm(pthread_t *threads, Peer *peers)
{
	pthread_attr_t attributes;
	double began = now_s();

	storm->until += options.logins;
	atomic_store(&storm->next_login, storm->until - options.logins);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 256 * 1024);
	for (int i = 0; i < options.at_once; i++)
		if (pthread_create(&threads[i], &attributes, storm_main, &peers[i]) != 0)
			die("threads", "too many");
	for (int i = 0; i < options.at_once; i++)
		pthread_join(threads[i], NULL);
	storm->took += now_s() - began;
}

/* Fork the process of the storms.  Each byte that is sent to the descriptor is for one; a byte comes back when it is over. */
static int
prepare_storms(void)
{
	int ends[2];
	char byte;
	pid_t pid;
	pthread_t *threads = calloc((size_t) options.at_once, sizeof(*threads));
	Peer *peers = calloc((size_t) options.at_once, sizeof(*peers));

	if (threads == NULL || peers == NULL || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0 || (pid = fork()) < 0)
		die("fork", "failed");
	if (pid > 0)
	{
		close(ends[0]);
		return ends[1];
	}
	close(ends[1]);
	(void) !sched_setscheduler(0, SCHED_IDLE, &(struct sched_param){0});
	while (read(ends[0], &byte, 1) == 1)
	{
		run_storm(threads, peers);
		(void) !write(ends[0], &byte, 1);
	}
	_exit(0);
}

/* From here on the traffic's latencies count as `to`'s; NULL: not at all. */
static void
measure(Samples *to)
{
	pthread_mutex_lock(&measured_lock);
	measured = to;
	pthread_mutex_unlock(&measured_lock);
}

static void
parse(int argc, char **argv)
{
	static const struct option names[] = {{"traffic-conninfo", 1, NULL, 'c'}, {"port", 1, NULL, 'p'}, {"logins", 1, NULL, 'l'}, {"storms", 1, NULL, 'z'},
										  {"at-once", 1, NULL, 'a'}, {"users", 1, NULL, 'u'}, {"count", 1, NULL, 'k'},
										  {"password", 1, NULL, 'w'}, {"seconds", 1, NULL, 's'}, {"tls", 0, NULL, 't'}, {0}};
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1)
		switch (c)
		{
			case 'c': options.conninfo = optarg; break;
			case 'p': options.port = atoi(optarg); break;
			case 'l': options.logins = atoi(optarg); break;
			case 'z': options.storms = atoi(optarg); break;
			case 'a': options.at_once = atoi(optarg); break;
			case 'u': options.users = optarg; break;
			case 'k': options.count = atoi(optarg); break;
			case 'w': options.password = optarg; break;
			case 's': options.seconds = atof(optarg); break;
			case 't': options.tls = SSL_CTX_new(TLS_client_method()); break;
			default: exit(2);
		}
	if (options.conninfo == NULL || options.port == 0 || options.count < 1)
		die("usage", "--traffic-conninfo and --port are needed");
}

/* The process that makes storms is started first: before there are threads, and with nothing of the traffic's. */
static void
start_traffic(pthread_t threads[TRAFFIC])
{
	PGconn *pg[TRAFFIC];

	for (int i = 0; i < TRAFFIC; i++)
	{
		pg[i] = PQconnectdb(options.conninfo);
		if (PQstatus(pg[i]) != CONNECTION_OK)
			die("traffic", PQerrorMessage(pg[i]));
	}
	for (int i = 0; i < TRAFFIC; i++)
		if (pthread_create(&threads[i], NULL, traffic_main, pg[i]) != 0)
			die("threads", "too many");
	usleep(300000);
}

int
main(int argc, char **argv)
{
	pthread_t threads[TRAFFIC];
	int to_storm;
	char byte = 0;

	parse(argc, argv);
	keys = calloc((size_t) options.count, sizeof(*keys));
	storm = mmap(NULL, sizeof(*storm), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (keys == NULL || storm == MAP_FAILED || options.logins * options.storms > SAMPLES_MAX)
		die("memory", "too much is wanted");
	to_storm = prepare_storms();
	start_traffic(threads);
	for (int i = 0; i < options.storms; i++)
	{
		measure(&alone);
		usleep((useconds_t) (options.seconds * 1e6));
		measure(&beside);
		if (write(to_storm, &byte, 1) != 1 || read(to_storm, &byte, 1) != 1)
			die("storm", "its process is gone");
		measure(NULL);
		usleep(100000); /* what the last ones left behind is cleared away */
	}
	atomic_store(&stop, true);
	for (int i = 0; i < TRAFFIC; i++)
		pthread_join(threads[i], NULL);
	printf("logins=%d failed=%d seconds=%.3f rate=%.0f login_p50=%.2f login_p99=%.2f requests=%d alone_p50=%.3f alone_p99=%.3f alone_max=%.3f "
		   "storm_p50=%.3f storm_p99=%.3f storm_max=%.3f\n",
		   storm->done, storm->failed, storm->took, storm->done / storm->took, percentile(storm->ms, storm->done, 0.5),
		   percentile(storm->ms, storm->done, 0.99), beside.n, percentile(alone.ms, alone.n, 0.5), percentile(alone.ms, alone.n, 0.99),
		   percentile(alone.ms, alone.n, 1), percentile(beside.ms, beside.n, 0.5), percentile(beside.ms, beside.n, 0.99),
		   percentile(beside.ms, beside.n, 1));
	return storm->failed > 0;
}
