/*
 * libpq_test.c: a made-up server of wire/ calls, with the real libpq as its client, over a Unix socket.
 *
 * The client runs in a thread of its own.  Each scene is one connection.  The two never test at the same
 * time: one of them always waits for what the other sends, or for its end.
 */
#include "wire_test.h"
#include "wire/auth_md5.h"
#include "wire/auth_scram.h"
#include "wire/backend.h"
#include "wire/frontend.h"
#include "wire/startup.h"

#include <libpq-fe.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PASSWORD "pen cil"
#define KEY "\1\2\3\4"

static char dir[] = "/tmp/pgweir-wire-XXXXXX";
static int listener = -1;

/* ---- blocking streams ---- */

typedef struct Peer
{
	int fd;
	Buf in, out;
} Peer;

static void
peer_accept(Peer *peer)
{
	*peer = (Peer){.fd = accept(listener, NULL, NULL)};
	if (peer->fd < 0 || !buf_reserve(&peer->in, 4096) || !buf_reserve(&peer->out, 4096))
		abort();
}

static void
peer_close(Peer *peer)
{
	close(peer->fd);
	buf_free(&peer->in);
	buf_free(&peer->out);
}

/* Read what is there; false at the end. */
static bool
peer_fill(Peer *peer)
{
	ssize_t n;

	if (!buf_reserve(&peer->in, 4096))
		abort();
	n = read(peer->fd, peer->in.data + peer->in.end, 4096);
	if (n > 0)
		peer->in.end += (size_t) n;
	return n > 0;
}

static void
peer_flush(Peer *peer)
{
	while (buf_len(&peer->out) > 0)
	{
		ssize_t n = write(peer->fd, buf_ptr(&peer->out), buf_len(&peer->out));

		if (n <= 0)
			return;
		buf_consume(&peer->out, (size_t) n);
	}
}

/* The first packet; its bytes stay in peer->in. */
static bool
peer_startup(Peer *peer, WireStartup *startup)
{
	WireStatus status;

	while ((status = wire_read_startup(buf_ptr(&peer->in), buf_len(&peer->in), WIRE_STARTUP_MAX, startup)) ==
		   WIRE_NEED_MORE)
		if (!peer_fill(peer))
			return false;
	return status == WIRE_OK;
}

/* The next message (answers so far are sent first); its payload is good until the next call, which takes it
 * off. */
static bool
peer_message(Peer *peer, uint8_t *type, Slice *payload)
{
	static size_t last;
	WireHeader header;

	peer_flush(peer);
	if (payload->ptr != NULL)
		buf_consume(&peer->in, last);
	while (wire_read_header(buf_ptr(&peer->in), buf_len(&peer->in), &header) != WIRE_OK ||
		   buf_len(&peer->in) - WIRE_HEADER_SIZE < header.payload_len)
		if (!peer_fill(peer))
			return false;
	*type = header.type;
	*payload = slice_make(buf_ptr(&peer->in) + WIRE_HEADER_SIZE, header.payload_len);
	last = WIRE_HEADER_SIZE + header.payload_len;
	return true;
}

/* ---- the server's part of a scene ---- */

static bool
greet(Peer *peer)
{
	return wire_write_auth_ok(&peer->out) &&
		   wire_write_parameter_status(&peer->out, SLICE_LITERAL("server_version"), SLICE_LITERAL("15.0")) &&
		   wire_write_parameter_status(&peer->out, SLICE_LITERAL("client_encoding"), SLICE_LITERAL("UTF8")) &&
		   wire_write_backend_key_data(&peer->out, 4711, slice_make(KEY, 4)) &&
		   wire_write_ready_for_query(&peer->out, TX_IDLE);
}

static ScramStatus
scram_login(Peer *peer, Slice *payload)
{
	static const char *const mechanisms[] = {SCRAM_MECHANISM};
	WireSaslInitial initial;
	ScramVerifier verifier;
	ScramServer server;
	ScramMessage message;
	ScramStatus status;
	uint8_t key[SCRAM_KEY_SIZE];
	uint8_t type;

	if (scram_verifier_build(SLICE_LITERAL(PASSWORD), 4096, NULL, 0, &verifier) != SCRAM_OK ||
		!wire_write_auth_sasl(&peer->out, mechanisms, 1) || !peer_message(peer, &type, payload) ||
		!wire_read_sasl_initial(*payload, &initial) || !slice_is(initial.mechanism, SCRAM_MECHANISM))
		return SCRAM_MALFORMED;
	status = scram_server_first(&server, initial.data, &verifier, (Slice){NULL, 0}, false, &message);
	if (status != SCRAM_OK)
		return status;
	if (!wire_write_auth_sasl_continue(&peer->out, scram_message_slice(&message)) ||
		!peer_message(peer, &type, payload))
		return SCRAM_MALFORMED;
	status = scram_server_final(&server, *payload, &message, key);
	if (status == SCRAM_OK && !wire_write_auth_sasl_final(&peer->out, scram_message_slice(&message)))
		status = SCRAM_MALFORMED;
	scram_server_wipe(&server);
	return status;
}

static bool
answer_row(Peer *peer, Slice text)
{
	const WireColumn columns[] = {{"said", WIRE_OID_TEXT}, {"nothing", WIRE_OID_INT4}};
	const Slice values[] = {text, {NULL, 0}};

	return wire_write_row_description(&peer->out, columns, 2) && wire_write_data_row(&peer->out, values, 2) &&
		   wire_write_command_complete(&peer->out, "SELECT 1");
}

static bool
answer_error(Peer *peer)
{
	const WireError error = {.severity = SLICE_LITERAL("ERROR"),
							 .code = SLICE_LITERAL("57014"),
							 .message = SLICE_LITERAL("canceling statement due to query deadline"),
							 .detail = SLICE_LITERAL("Deadline 250 ms."),
							 .hint = SLICE_LITERAL("Later."),
							 .position = SLICE_LITERAL("3"),
							 .constraint = SLICE_LITERAL("uniq")};

	return wire_write_error(&peer->out, &error);
}

/* Serve until the client leaves; false when anything is not understood. */
static bool
serve(Peer *peer, Slice payload)
{
	uint8_t type;
	Slice sql = {NULL, 0};
	WireParse parse;
	WireBind bind;
	WireTarget target;
	WireExecute execute;
	bool good = true;
	char said[64] = "";

	while (good && peer_message(peer, &type, &payload))
	{
		switch (type)
		{
			case FE_QUERY:
				good = wire_read_query(payload, &sql) &&
					   (slice_is(sql, "error") ? answer_error(peer) : answer_row(peer, sql)) &&
					   wire_write_ready_for_query(&peer->out, TX_IDLE);
				break;
			case FE_PARSE:
				good = wire_read_parse(payload, &parse) && wire_write_parse_complete(&peer->out);
				if (good)
					snprintf(said, sizeof(said), "%.*s/%d", (int) parse.query.len,
							 (const char *) parse.query.ptr, parse.param_count);
				break;
			case FE_BIND:
				good = wire_read_bind(payload, &bind) && wire_write_bind_complete(&peer->out);
				break;
			case FE_DESCRIBE: good = wire_read_describe(payload, &target) && target.kind == 'P'; break;
			case FE_EXECUTE:
				good = wire_read_execute(payload, &execute) && answer_row(peer, slice_str(said));
				break;
			case FE_SYNC: good = wire_write_ready_for_query(&peer->out, TX_IDLE); break;
			case FE_TERMINATE: return payload.len == 0;
			default: good = false;
		}
	}
	return false;
}

/* ---- the client's part ---- */

typedef struct Scene
{
	const char *extra; /* connection parameters */
	void (*act)(PGconn *conn);
} Scene;

static void *
client_main(void *arg)
{
	const Scene *scene = arg;
	char conninfo[512];
	PGconn *conn;

	snprintf(conninfo, sizeof(conninfo),
			 "host=%s port=5432 user=app dbname=shop sslmode=disable gssencmode=disable application_name=x "
			 "connect_timeout=20 %s",
			 dir, scene->extra);
	conn = PQconnectdb(conninfo);
	scene->act(conn);
	PQfinish(conn);
	return NULL;
}

static void
start_client(pthread_t *thread, Scene *scene)
{
	if (pthread_create(thread, NULL, client_main, scene) != 0)
		abort();
}

static void
act_queries(PGconn *conn)
{
	const char *const values[] = {"v"};
	PGresult *result;

	is_int(PQstatus(conn), CONNECTION_OK, "libpq is logged in");
	is_int(PQbackendPID(conn), 4711, "and knows its backend");
	is_str(PQparameterStatus(conn, "server_version"), "15.0", "and its version");

	result = PQexec(conn, "hello");
	is_int(PQresultStatus(result), PGRES_TUPLES_OK, "a simple query");
	is_str(PQgetvalue(result, 0, 0), "hello", "its value");
	is_str(PQfname(result, 1), "nothing", "its column's name");
	ok(PQgetisnull(result, 0, 1) && PQftype(result, 1) == 23 && PQfsize(result, 1) == 4,
	   "a NULL of its type");
	is_str(PQcmdStatus(result), "SELECT 1", "its tag");
	PQclear(result);

	result = PQexecParams(conn, "extended", 1, NULL, values, NULL, NULL, 0);
	is_int(PQresultStatus(result), PGRES_TUPLES_OK, "an extended query");
	is_str(PQgetvalue(result, 0, 0), "extended/0", "its text, as parsed");
	PQclear(result);

	result = PQexec(conn, "error");
	is_int(PQresultStatus(result), PGRES_FATAL_ERROR, "an error");
	is_str(PQresultErrorField(result, PG_DIAG_SQLSTATE), "57014", "its code");
	is_str(PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED), "ERROR", "its severity");
	is_str(PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL), "Deadline 250 ms.", "its detail");
	is_str(PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION), "3", "its position");
	is_str(PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME), "uniq", "its constraint");
	PQclear(result);
	is_int(PQtransactionStatus(conn), PQTRANS_IDLE, "and the session goes on");
}

static void
act_logged_in(PGconn *conn)
{
	is_int(PQstatus(conn), CONNECTION_OK, "libpq is logged in");
}

static void
act_refused(PGconn *conn)
{
	is_int(PQstatus(conn), CONNECTION_BAD, "libpq is refused");
	ok(strstr(PQerrorMessage(conn), "password authentication failed") != NULL, "and says why");
}

static void
act_cancel(PGconn *conn)
{
	PGcancel *cancel = PQgetCancel(conn);
	char message[256];

	ok(PQcancel(cancel, message, sizeof(message)) == 1, "libpq sends a cancel request");
	PQfreeCancel(cancel);
}

/* ---- scenes ---- */

static bool
startup_has(const WireStartup *startup, const char *wanted_name, const char *wanted)
{
	Slice name, value;
	size_t pos = 0;

	while (wire_startup_next(startup, &pos, &name, &value))
		if (slice_is(name, wanted_name))
			return slice_is(value, wanted);
	return false;
}

static void
open_scene(Peer *peer)
{
	WireStartup startup;

	peer_accept(peer);
	ok(peer_startup(peer, &startup) && startup.kind == STARTUP_MESSAGE, "libpq's startup message");
	ok(startup_has(&startup, "user", "app") && startup_has(&startup, "database", "shop") &&
		   startup_has(&startup, "application_name", "x"),
	   "its parameters");
	buf_consume(&peer->in, startup.total_len);
}

static void
scram_and_queries(void)
{
	Scene scene = {"password='" PASSWORD "'", act_queries};
	pthread_t thread;
	Slice payload = {NULL, 0};
	Peer peer;

	start_client(&thread, &scene);
	open_scene(&peer);
	is_int(scram_login(&peer, &payload), SCRAM_OK, "libpq knows the password");
	ok(greet(&peer) && serve(&peer, payload), "and everything it sends is understood");
	peer_close(&peer);
	pthread_join(thread, NULL);
}

static void
scram_with_a_wrong_password(void)
{
	Scene scene = {"password=wrong", act_refused};
	pthread_t thread;
	Slice payload = {NULL, 0};
	Peer peer;

	start_client(&thread, &scene);
	open_scene(&peer);
	is_int(scram_login(&peer, &payload), SCRAM_WRONG_PASSWORD, "libpq does not know the password");
	ok(wire_error_simple(&peer.out, "FATAL", "28P01", "password authentication failed"), "it is told");
	peer_flush(&peer);
	peer_close(&peer);
	pthread_join(thread, NULL);
}

static void
md5_login(void)
{
	Scene scene = {"password='" PASSWORD "'", act_logged_in};
	const uint8_t salt[4] = {'s', 'a', 0, 't'};
	char stored[WIRE_MD5_SIZE];
	pthread_t thread;
	Slice payload = {NULL, 0};
	Slice answer = {NULL, 0};
	uint8_t type;
	Peer peer;

	start_client(&thread, &scene);
	open_scene(&peer);
	ok(wire_md5_password(SLICE_LITERAL("app"), SLICE_LITERAL(PASSWORD), stored), "an MD5 secret");
	ok(wire_write_auth_md5(&peer.out, salt) && peer_message(&peer, &type, &payload) && type == FE_PASSWORD &&
		   wire_read_password(payload, &answer),
	   "libpq answers");
	ok(wire_md5_check(slice_str(stored), SLICE_LITERAL("app"), salt, answer), "rightly");
	ok(greet(&peer) && serve(&peer, payload), "and is let in");
	peer_close(&peer);
	pthread_join(thread, NULL);
}

static void
cleartext_login(void)
{
	Scene scene = {"password='" PASSWORD "'", act_logged_in};
	pthread_t thread;
	Slice payload = {NULL, 0};
	Slice answer = {NULL, 0};
	uint8_t type;
	Peer peer;

	start_client(&thread, &scene);
	open_scene(&peer);
	ok(wire_write_auth_cleartext(&peer.out) && peer_message(&peer, &type, &payload) &&
		   wire_read_password(payload, &answer) && slice_is(answer, PASSWORD),
	   "libpq tells its password");
	ok(greet(&peer) && serve(&peer, payload), "and is let in");
	peer_close(&peer);
	pthread_join(thread, NULL);
}

static void
cancel_request(void)
{
	Scene scene = {"password=x", act_cancel};
	WireStartup startup;
	pthread_t thread;
	Slice payload = {NULL, 0};
	Peer peer, second;

	start_client(&thread, &scene);
	open_scene(&peer);
	ok(greet(&peer), "let in without a password");
	peer_flush(&peer);
	peer_accept(&second);
	ok(peer_startup(&second, &startup) && startup.kind == STARTUP_CANCEL, "a second connection, to cancel");
	ok(startup.pid == 4711 && slice_equal(startup.key, slice_make(KEY, 4)), "with the first one's key");
	peer_close(&second);
	ok(serve(&peer, payload), "and then it leaves");
	peer_close(&peer);
	pthread_join(thread, NULL);
}

int
main(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (mkdtemp(dir) == NULL)
		abort();
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/.s.PGSQL.5432", dir);
	listener = socket(AF_UNIX, SOCK_STREAM, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *) &address, sizeof(address)) != 0 ||
		listen(listener, 5) != 0)
		abort();
	scram_and_queries();
	scram_with_a_wrong_password();
	md5_login();
	cleartext_login();
	cancel_request();
	close(listener);
	unlink(address.sun_path);
	rmdir(dir);
	return done_testing();
}
