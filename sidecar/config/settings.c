/*
 * settings.c: the tables of keys.  A row's help is one sentence for the man page; what is said here is not
 * said elsewhere.
 *
 * A row with home HOME_NONE is a key of PgBouncer that has no effect in this version: only its default is
 * accepted, so that nobody believes to have switched something on.
 */
#include "config/settings.h"

#include <limits.h>
#include <stddef.h>
#include "config/config.h"
#include "pool/spread.h"

#define YES true
#define NO false

/* SETTING(key, type, field, default, reloadable, help, further fields of the row...) */
#define SETTING(key_, type_, field_, initial_, reload_, help_, ...)                                          \
	{                                                                                                        \
		.name = #key_, .type = CONFIG_##type_, .home = HOME_SETTINGS, .offset = offsetof(Settings, field_),  \
		.initial = initial_, .reloadable = reload_, .help = help_, __VA_ARGS__                               \
	}
#define PROCESS(key_, type_, field_, initial_, reload_, help_, ...)                                          \
	{                                                                                                        \
		.name = #key_, .type = CONFIG_##type_, .home = HOME_PROCESS,                                         \
		.offset = offsetof(ProcessOptions, field_), .initial = initial_, .reloadable = reload_,              \
		.help = help_, __VA_ARGS__                                                                           \
	}
#define UNSUPPORTED(key_, type_, initial_, reload_, help_)                                                   \
	{                                                                                                        \
		.name = #key_, .type = CONFIG_##type_, .home = HOME_NONE, .initial = initial_,                       \
		.reloadable = reload_, .help = help_                                                                 \
	}
#define DATABASE(key_, type_, field_, initial_, help_, ...)                                                  \
	{                                                                                                        \
		.name = #key_, .type = CONFIG_##type_, .home = HOME_DATABASE,                                        \
		.offset = offsetof(DatabaseSpec, field_), .initial = initial_, .reloadable = true, .help = help_,    \
		__VA_ARGS__                                                                                          \
	}
#define USER(key_, type_, field_, help_, ...)                                                                \
	{                                                                                                        \
		.name = #key_, .type = CONFIG_##type_, .home = HOME_USER, .offset = offsetof(UserSpec, field_),      \
		.initial = NULL, .reloadable = true, .help = help_, __VA_ARGS__                                      \
	}
#define OURS .ours = true
#define COUNT .max = INT_MAX             /* 0 or more */
#define SIGNED .min = -1, .max = INT_MAX /* -1 in an entry: as if absent */

static const ConfigChoice auth_types[] = {
	{"any", AUTH_TYPE_ANY},
	{"trust", AUTH_TYPE_TRUST},
	{"plain", AUTH_TYPE_PLAIN},
	{"md5", AUTH_TYPE_MD5},
	{"scram-sha-256", AUTH_TYPE_SCRAM_SHA_256},
	{"cert", AUTH_TYPE_CERT},
	{"hba", AUTH_TYPE_HBA},
	{"ldap", AUTH_TYPE_LDAP},
	{"pam", AUTH_TYPE_PAM},
	{NULL, 0},
};

static const ConfigChoice pool_modes[] = {
	{"session", POOL_MODE_SESSION},
	{"transaction", POOL_MODE_TRANSACTION},
	{"statement", POOL_MODE_STATEMENT},
	{NULL, 0},
};

static const ConfigChoice sslmodes[] = {
	{"disable", NET_TLS_DISABLE},
	{"allow", NET_TLS_ALLOW},
	{"prefer", NET_TLS_PREFER},
	{"require", NET_TLS_REQUIRE},
	{"verify-ca", NET_TLS_VERIFY_CA},
	{"verify-full", NET_TLS_VERIFY_FULL},
	{NULL, 0},
};

static const ConfigChoice syslog_facilities[] = {
	{"auth", 0},   {"authpriv", 0}, {"daemon", 0}, {"user", 0},
	{"local0", 0}, {"local1", 0},   {"local2", 0}, {"local3", 0},
	{"local4", 0}, {"local5", 0},   {"local6", 0}, {"local7", 0},
	{NULL, 0},
};

static const ConfigChoice negotiations[] = {
	{"postgres", false},
	{"direct", true},
	{NULL, 0},
};

static const ConfigChoice event_backends[] = {
	{"auto", NET_BACKEND_AUTO},
	{"io_uring", NET_BACKEND_URING},
	{"epoll", NET_BACKEND_EPOLL},
	{NULL, 0},
};

static const ConfigChoice spreads[] = {
	{"auto", SPREAD_AUTO},
	{"even", SPREAD_EVEN},
	{"roam", SPREAD_ROAM},
	{NULL, 0},
};

static const ConfigChoice load_balance_choices[] = {
	{"round-robin", false},
	{"disable", true},
	{NULL, 0},
};

static const char default_auth_query[] =
	"SELECT rolname, CASE WHEN rolvaliduntil < now() THEN NULL ELSE rolpassword END "
	"FROM pg_authid WHERE rolname=$1 AND rolcanlogin";

static const ConfigRow main_rows[] = {
	SETTING(admin_users, LIST, admin_users, "", YES, "Users allowed every console command."),
	SETTING(application_name_add_host, BOOL, application_name_add_host, "0", YES,
			"Append the client's host and port to application_name at login."),
	SETTING(auth_dbname, STRING, auth_dbname, NULL, YES,
			"Database (an entry of [databases]) in which auth_query runs; default: the one the client wants."),
	PROCESS(auth_file, FILE, auth_file, NULL, YES,
			"File with users and their secrets; read again on RELOAD."),
	PROCESS(auth_hba_file, FILE, auth_hba_file, "", YES,
			"Rules of who may log in how, with auth_type = hba; read again on RELOAD."),
	PROCESS(auth_ident_file, FILE, auth_ident_file, NULL, YES,
			"Maps of user names, for map= in auth_hba_file; read again on RELOAD."),
	SETTING(auth_ldap_options, STRING, auth_ldap_options, NULL, YES,
			"Where and how auth_type = ldap asks, as behind the method ldap in pg_hba.conf: ldapurl=, or ldapserver= with ldapprefix= and "
			"ldapsuffix=, or with ldapbasedn=.",
			.secret = true),
	SETTING(auth_query, STRING, auth_query, default_auth_query, YES,
			"Query for the secret of a user who is not in auth_file: $1 is the name; columns name and secret."),
	SETTING(auth_type, ENUM, auth_type, "md5", YES,
			"How clients prove who they are: any, trust, plain, md5, scram-sha-256, cert, hba, ldap or pam.",
			.choices = auth_types),
	SETTING(auth_user, STRING, auth_user, NULL, YES,
			"Role that runs auth_query, with its secret in auth_file; default: there is no auth_query."),
	SETTING(autodb_idle_timeout, SECONDS, autodb_idle_timeout_us, "3600", YES,
			"Forget databases made on demand, with their statistics, after so many seconds unused; 0 = never."),
	SETTING(cancel_wait_timeout, SECONDS, cancel_wait_timeout_us, "10", YES,
			"Drop a cancel request that could not be sent within so many seconds; 0 = never."),
	SETTING(client_idle_timeout, SECONDS, client_idle_timeout_us, "0", YES,
			"Disconnect clients that are idle without a server for so many seconds; 0 = never."),
	SETTING(client_login_timeout, SECONDS, client_login_timeout_us, "60", YES,
			"A login must be finished within so many seconds; 0 = no limit."),
	SETTING(client_tls13_ciphers, STRING, client_tls.tls13_ciphers, NULL, YES,
			"TLS 1.3 cipher suites for clients, separated by colons; default: the library's."),
	SETTING(client_tls_ca_file, FILE, client_tls.ca_file, "", YES,
			"Authorities that sign client certificates; a certificate that is shown must then be theirs."),
	SETTING(client_tls_cert_file, FILE, client_tls.cert_file, "", YES,
			"Certificate shown to clients, PEM, with its chain; read again on RELOAD."),
	SETTING(client_tls_ciphers, STRING, client_tls.ciphers, "default", YES,
			"Ciphers for clients up to TLS 1.2: a list of OpenSSL, or default, secure, fast, normal, all."),
	SETTING(client_tls_dheparams, STRING, client_tls.dheparams, "auto", YES,
			"Diffie-Hellman parameters for clients: none, auto or legacy."),
	SETTING(client_tls_ecdhcurve, STRING, client_tls.ecdhcurve, "auto", YES,
			"Elliptic curves for clients: none, auto, or names separated by colons."),
	SETTING(client_tls_key_file, FILE, client_tls.key_file, "", YES,
			"Key of the certificate shown to clients, PEM, without passphrase."),
	SETTING(client_tls_protocols, STRING, client_tls.protocols, "secure", YES,
			"TLS versions for clients: tlsv1.0 to tlsv1.3 separated by commas, all, or secure (1.2 and 1.3)."),
	SETTING(client_tls_sslmode, ENUM, client_tls.mode, "disable", YES,
			"TLS with clients: disable, allow or prefer (as the client wants), require, verify-ca or "
			"verify-full (with a certificate of client_tls_ca_file).",
			.choices = sslmodes),
	PROCESS(conffile, FILE, conffile, NULL, YES,
			"The file that the next RELOAD reads; at first the one of the command line."),
	SETTING(default_pool_size, INT, default_pool_size, "20", YES,
			"Server connections per pool (database and user); 0 = no limit.", COUNT),
	SETTING(disable_pqexec, BOOL, disable_pqexec, "0", NO, "Refuse the simple query protocol."),
	SETTING(dns_max_ttl, SECONDS, dns_max_ttl_us, "15", YES,
			"Keep an address found by DNS for so many seconds."),
	SETTING(dns_nxdomain_ttl, SECONDS, dns_nxdomain_ttl_us, "15", YES,
			"Remember for so many seconds that DNS does not know a name."),
	SETTING(dns_zone_check_period, SECONDS, dns_zone_check_period_us, "0", YES,
			"Ask for the serial numbers of the hosts' DNS zones every so many seconds, and for the hosts when one has changed; 0 = never."),
	SETTING(idle_transaction_timeout, SECONDS, idle_transaction_timeout_us, "0", YES,
			"Disconnect clients that are idle in a transaction for so many seconds; 0 = never."),
	SETTING(ignore_startup_parameters, LIST, ignore_startup_parameters, "", YES,
			"Startup parameters of clients to accept and drop."),
	PROCESS(job_name, STRING, job_name, "pgbouncer", NO,
			"Accepted without effect: a service name on Windows."),
	PROCESS(listen_addr, LIST, listen_addr, "", NO,
			"TCP addresses to listen on; * = all, empty = Unix socket only."),
	PROCESS(listen_backlog, INT, listen_backlog, "128", NO,
			"Connections the system may hold before they are accepted.", COUNT),
	PROCESS(listen_port, PORT, listen_port, "6432", NO,
			"Port to listen on, also in the name of the Unix socket."),
	SETTING(log_connections, BOOL, log_connections, "1", YES, "Log each login."),
	SETTING(log_disconnections, BOOL, log_disconnections, "1", YES,
			"Log each disconnection with its reason."),
	SETTING(log_pooler_errors, BOOL, log_pooler_errors, "1", YES, "Log the errors sent to clients."),
	SETTING(log_stats, BOOL, log_stats, "1", YES, "Log a line of statistics every stats_period."),
	PROCESS(logfile, FILE, logfile, "", YES, "Log file, opened again on RELOAD; empty = none."),
	SETTING(login_notify_message, STRING, login_notify_message, "", YES, "Notice sent to clients at login; empty = none."),
	SETTING(max_client_conn, INT, max_client_conn, "100", YES, "Client connections allowed.", COUNT),
	SETTING(max_db_client_connections, INT, max_db_client_connections, "0", YES,
			"Client connections per database; 0 = no limit.", COUNT),
	SETTING(max_db_connections, INT, max_db_connections, "0", YES,
			"Server connections per database; 0 = no limit.", COUNT),
	SETTING(max_packet_size, UINT, max_packet_size, "2147483647", YES, "Largest protocol message, in bytes.",
			.min = 1, .max = UINT32_MAX),
	SETTING(
		max_prepared_statements, INT, max_prepared_statements, "200", YES,
		"Named prepared statements kept per server connection in transaction and statement mode; 0 = off.",
		COUNT),
	SETTING(max_user_client_connections, INT, max_user_client_connections, "0", YES,
			"Client connections per user; 0 = no limit.", COUNT),
	SETTING(max_user_connections, INT, max_user_connections, "0", YES,
			"Server connections per user; 0 = no limit.", COUNT),
	SETTING(min_pool_size, INT, min_pool_size, "0", YES, "Server connections to keep open per pool in use.",
			COUNT),
	SETTING(peer_id, INT, peer_id, "0", YES,
			"Own number among [peers], 1 to 16383: cancel requests find the process they belong to; 0 = no peers.",
			.max = 16383),
	PROCESS(pidfile, FILE, pidfile, "", NO, "File for the process id; needed for a daemon."),
	PROCESS(pkt_buf, INT, pkt_buf, "4096", NO, "Accepted without effect: buffers are sized by need.",
			.min = 1, .max = INT_MAX),
	SETTING(pool_mode, ENUM, pool_mode, "session", YES,
			"When a server connection goes back to the pool: session, transaction or statement.",
			.choices = pool_modes),
	SETTING(pool_idle_timeout, SECONDS, pool_idle_timeout_us, "0", YES,
			"Forget pools, with their statistics, that have had neither client nor server for so many seconds; 0 = never."),
	SETTING(
		query_timeout, SECONDS, query_timeout_us, "0", YES,
		"Disconnect clients whose query waits and runs for so many seconds; 0 = never. See query_deadline."),
	SETTING(query_wait_notify, WHOLE, query_wait_notify_us, "5", YES,
			"Send a notice to clients that wait for a server longer than so many seconds; 0 = never."),
	SETTING(query_wait_timeout, SECONDS, query_wait_timeout_us, "120", YES,
			"Disconnect clients that wait for a server for so many seconds; 0 = never."),
	SETTING(reserve_pool_size, INT, reserve_pool_size, "0", YES,
			"Further server connections for a pool in need.", COUNT),
	SETTING(reserve_pool_timeout, SECONDS, reserve_pool_timeout_us, "5", YES,
			"Use the reserve when a client waits for so many seconds; 0 = never."),
	SETTING(resolv_conf, FILE, resolv_conf, "", NO, "File to read instead of /etc/resolv.conf; a nameserver may have a port: 127.0.0.1:5353."),
	PROCESS(sbuf_loopcnt, INT, sbuf_loopcnt, "5", YES,
			"Accepted without effect: one read per wake-up and connection.", COUNT),
	SETTING(scram_iterations, INT, scram_iterations, "4096", YES,
			"Iterations of SCRAM secrets made from plain passwords.", .min = 1, .max = INT_MAX),
	SETTING(server_check_delay, SECONDS, server_check_delay_us, "30", YES,
			"Check a server connection before use when it was idle for so many seconds; 0 = always."),
	SETTING(server_check_query, STRING, server_check_query, "<empty>", YES,
			"Query of that check; <empty> = an empty query, nothing = no check."),
	SETTING(server_connect_timeout, SECONDS, server_connect_timeout_us, "15", YES,
			"Connecting and logging in to a server must be finished within so many seconds; 0 = no limit."),
	SETTING(server_fast_close, BOOL, server_fast_close, "0", YES,
			"In session mode close servers that must go after the transaction, without waiting for the "
			"client to leave."),
	SETTING(server_idle_timeout, SECONDS, server_idle_timeout_us, "600", YES,
			"Close server connections idle for so many seconds; 0 = never."),
	SETTING(server_lifetime, SECONDS, server_lifetime_us, "3600", YES,
			"Close server connections older than so many seconds when they are free; 0 = use them once."),
	SETTING(server_login_retry, SECONDS, server_login_retry_us, "15", YES,
			"After a failed server login wait so many seconds before the next."),
	SETTING(server_reset_query, STRING, server_reset_query, "DISCARD ALL", YES,
			"Sent to a server when a client of session mode leaves it."),
	SETTING(server_reset_query_always, BOOL, server_reset_query_always, "0", YES,
			"Send server_reset_query in the other pool modes too."),
	SETTING(server_round_robin, BOOL, server_round_robin, "0", YES,
			"Use idle servers in turn instead of the most recently used first.  With several worker_threads a busy one takes those it has at "
			"hand in turn for some tens of transactions before all of them are in turn again."),
	SETTING(server_tls13_ciphers, STRING, server_tls.tls13_ciphers, NULL, YES,
			"TLS 1.3 cipher suites for servers, separated by colons; default: the library's."),
	SETTING(server_tls_ca_file, FILE, server_tls.ca_file, "", YES,
			"Authorities that sign server certificates; empty = the system's."),
	SETTING(server_tls_cert_file, FILE, server_tls.cert_file, "", YES,
			"Certificate shown to servers, PEM; read again on RELOAD."),
	SETTING(server_tls_ciphers, STRING, server_tls.ciphers, "default", YES,
			"Ciphers for servers up to TLS 1.2, as for clients."),
	SETTING(server_tls_key_file, FILE, server_tls.key_file, "", YES,
			"Key of the certificate shown to servers, PEM, without passphrase."),
	SETTING(server_tls_protocols, STRING, server_tls.protocols, "secure", YES,
			"TLS versions for servers, as for clients."),
	SETTING(server_tls_sslmode, ENUM, server_tls.mode, "prefer", YES,
			"TLS to servers: disable, allow or prefer (if the server can), require, verify-ca (its "
			"certificate is checked), verify-full (its name too).",
			.choices = sslmodes),
	PROCESS(so_reuseport, BOOL, so_reuseport, "0", NO, "Let several processes listen on the same TCP port."),
	SETTING(stats_period, WHOLE, stats_period_us, "60", YES,
			"Averages and the log line cover so many seconds.", .min = 1, .max = INT_MAX),
	SETTING(stats_users, LIST, stats_users, "", YES, "Users allowed to read in the console."),
	SETTING(suspend_timeout, SECONDS, suspend_timeout_us, "10", YES,
			"Give up waiting in SUSPEND after so many seconds and disconnect who is not quiet."),
	PROCESS(syslog, BOOL, syslog, "0", YES, "Log to syslog."),
	PROCESS(syslog_facility, NAME, syslog_facility, "daemon", YES,
			"Facility in syslog: auth, authpriv, daemon, user, local0 to local7.",
			.choices = syslog_facilities),
	PROCESS(syslog_ident, STRING, syslog_ident, "pgbouncer", YES, "Name in syslog."),
	PROCESS(tcp_defer_accept, INT, tcp_defer_accept, "1", YES,
			"TCP_DEFER_ACCEPT of the listening sockets, in seconds; 0 = off.", COUNT),
	SETTING(tcp_keepalive, BOOL, socket_options.keepalive, "1", YES, "Probe quiet TCP connections."),
	SETTING(tcp_keepcnt, INT, socket_options.keepcnt, "0", YES,
			"Unanswered probes before a connection is lost; 0 = the system's.", COUNT),
	SETTING(tcp_keepidle, INT, socket_options.keepidle_s, "0", YES,
			"Seconds of quiet before the first probe; 0 = the system's.", COUNT),
	SETTING(tcp_keepintvl, INT, socket_options.keepintvl_s, "0", YES,
			"Seconds between probes; 0 = the system's.", COUNT),
	SETTING(tcp_socket_buffer, INT, socket_options.buffer_bytes, "0", YES,
			"Bytes of the kernel's buffers per connection; 0 = the system's.", COUNT),
	SETTING(tcp_user_timeout, INT, socket_options.user_timeout_ms, "0", YES,
			"Milliseconds that sent data may stay unacknowledged; 0 = the system's.", COUNT),
	SETTING(track_extra_parameters, LIST, track_extra_parameters, "IntervalStyle", NO,
			"Further parameters that are kept per client, among those the server reports."),
	SETTING(transaction_timeout, SECONDS, transaction_timeout_us, "0", YES,
			"Disconnect clients whose transaction lasts so many seconds; 0 = never."),
	SETTING(unix_socket_dir, STRING, unix_socket_dir, "/tmp", NO,
			"Directory of the Unix socket, also of servers without a host; @name = abstract, empty = none."),
	PROCESS(unix_socket_group, STRING, unix_socket_group, "", NO,
			"Group of the Unix socket; empty = leave it."),
	PROCESS(unix_socket_mode, INT, unix_socket_mode, "0777", NO,
			"Permissions of the Unix socket, octal with a leading 0.", .max = 07777),
	PROCESS(user, STRING, user, NULL, NO, "User to run as when started as root."),
	PROCESS(verbose, INT, verbose, NULL, YES, "0 = normal log, 1 = debug, 2 or more = noise.", COUNT),

	/* ours */
	SETTING(adaptive_pool, BOOL, adaptive_pool, "0", YES,
			"Let fewer server connections of a pool be busy, down to min_pool_size, while more of them only make statements take longer.",
			OURS),
	SETTING(admission, BOOL, admission, "1", YES,
			"Refuse at once a query that cannot meet its deadline. When it is off, statements are not told apart by class, so that N+1 patterns are not "
			"reported either, unless a rule of limits asks for classes.", OURS),
	SETTING(auth_pam_service, STRING, auth_pam_service, "pgbouncer", YES,
			"Service name for PAM: which file of /etc/pam.d counts.", OURS),
	SETTING(cancel_on_disconnect, BOOL, cancel_on_disconnect, "1", YES,
			"Cancel the running statement of a client that has gone.", OURS),
	PROCESS(core_dump_memory, BOOL, core_dump_memory, "0", NO,
			"Core dumps hold the memory of the process, and so passwords and keys; 0 = registers and the list of mappings only.", OURS),
	SETTING(deadline_grace, DURATION, deadline_grace_us, "1", YES,
			"A server that has not answered a cancel after this time is disconnected.", OURS),
	PROCESS(event_backend, ENUM, event_backend, "auto", NO,
			"How the process waits for its connections: io_uring (Linux 6.1 and later; costs less CPU time), epoll, or auto: io_uring where the kernel "
			"grants it, else epoll, which the log tells.",
			.choices = event_backends, OURS),
	PROCESS(http_listen, STRING, http_listen, "", NO,
			"Address of the HTTP endpoint (/healthz, /readyz, /metrics, /json), as 127.0.0.1:9127 or *:9127; a port alone is "
			"one of 127.0.0.1; empty = none.",
			OURS),
	SETTING(max_client_statement_bytes, UINT, max_client_statement_bytes, "67108864", YES,
			"Disconnect a client whose named prepared statements, texts and names with some 200 bytes each, take more than so many bytes, in transaction "
			"and statement mode; 0 = any number."),
	SETTING(max_login_clients, INT, max_login_clients, "4000", YES,
			"Clients that have not proved yet who they are; for one more the one that has been silent for longest is disconnected; "
			"0 = no limit.",
			COUNT, OURS),
	SETTING(max_query_deadline, DURATION, max_query_deadline_us, "0", YES,
			"The longest deadline a client can have; 0 = no limit.", OURS),
	SETTING(max_waiting_clients, INT, max_waiting_clients, "0", YES,
			"Clients that may wait in a pool, further ones are refused; 0 = no limit.", OURS, COUNT),
	SETTING(
		query_deadline, DURATION, query_deadline_us, "0", YES,
		"Time a query has, waiting included, before it gets an error; the session lives on; 0 = no limit.",
		OURS),
	SETTING(report_database, STRING, report_database, "", YES,
			"Database (an entry of [databases]) with the extension to report to; empty = the first of the file by name.",
			OURS),
	SETTING(report_interval, DURATION, report_interval_us, "1", YES,
			"Report to the extension this often; 0 = do not report.", OURS),
	SETTING(report_user, STRING, report_user, "", YES,
			"Role that reports to the extension; empty = do not report.", OURS),
	SETTING(reporter_name, STRING, reporter_name, "", YES,
			"Name in the extension's views; empty = host and port of the first listener.", OURS),
	PROCESS(server_passfile, FILE, server_passfile, NULL, YES,
			"Password file as of libpq (host:port:database:user:password) for the user= of a database that has no password= and is not in "
			"auth_file; it must be its owner's alone; read again on RELOAD.",
			OURS),
	SETTING(server_tls_sslnegotiation, BOOL, server_tls.direct, "postgres", YES,
			"How TLS to servers begins: postgres (by a request) or direct (at once, with ALPN; PostgreSQL 17 and later; saves a round trip).",
			.choices = negotiations, OURS),
	SETTING(slow_lane_ratio, INT, slow_lane_ratio, "10", YES,
			"A class of statements is slow when it takes so many times the pool's median.", OURS, .min = 1,
			.max = INT_MAX),
	SETTING(slow_lane_share, PERCENT, slow_lane_percent, "50", YES,
			"Percentage of a pool that slow statements may hold while others wait; 100 = no limit.  Needs admission, by whose classes statements are slow.", OURS),
	SETTING(transaction_deadline, DURATION, transaction_deadline_us, "0", YES,
			"Time a transaction has, waiting and idle time included, before it is rolled back and gets an error; the "
			"session lives on; 0 = no limit.",
			OURS),
	SETTING(worker_spread, ENUM, worker_spread, "auto", YES,
			"Which of the worker_threads serve clients: auto = as few as the load needs, since threads that wake up for less at a time cost more: when one is busy "
			"for 70 % of a core the next joins, and clients move to it between transactions (in session mode they are with all, as they cannot); even = all, each with as many clients, which stay; roam = all, and "
			"clients move on after each transaction, which is for tests.",
			.choices = spreads, OURS),
	PROCESS(worker_threads, INT, worker_threads, "0", NO,
			"Threads that serve clients, each with its own connections; pools and limits are common to all. 0 = one "
			"a core that the process may use, 8 at most.",
			.max = WORKERS_MAX, OURS),
	{.name = NULL},
};

static const ConfigRow database_rows[] = {
	DATABASE(dbname, STRING, dbname, NULL, "Database on the server; default: the entry's name."),
	DATABASE(host, STRING, host, NULL,
			 "Names or addresses of the server, separated by commas; /directory or @name = Unix socket; "
			 "default: a Unix "
			 "socket in unix_socket_dir."),
	DATABASE(port, PORT, port, "5432", "Port of the server."),
	DATABASE(user, STRING, user, NULL,
			 "Log in to the server as this user, whoever the client is: one pool for all."),
	DATABASE(password, STRING, password, NULL, "Password of that user; default: the one in auth_file.",
			 .secret = true),
	DATABASE(auth_user, STRING, auth_user, NULL, "As auth_user, for clients of this database."),
	DATABASE(auth_dbname, STRING, auth_dbname, NULL, "As auth_dbname, for clients of this database."),
	DATABASE(auth_query, STRING, auth_query, NULL, "As auth_query, for clients of this database; quote it: '...'.",
			 .secret = true),
	DATABASE(client_encoding, STRING, client_encoding, NULL, "Sent to the server at login."),
	DATABASE(datestyle, STRING, datestyle, NULL, "Sent to the server at login."),
	DATABASE(timezone, STRING, timezone, NULL, "Sent to the server at login."),
	DATABASE(application_name, STRING, application_name, NULL, "Sent to the server at login."),
	DATABASE(pool_size, INT, pool_size, NULL, "As default_pool_size, for the pools of this database.",
			 SIGNED),
	DATABASE(min_pool_size, INT, min_pool_size, NULL, "As the setting, for this database.", SIGNED,
			 .zero_inherits = true),
	DATABASE(reserve_pool_size, INT, reserve_pool_size, NULL, "As the setting, for this database.", SIGNED),
	DATABASE(reserve_pool, INT, reserve_pool_size, NULL, "Older name of reserve_pool_size.", SIGNED,
			 .alias = true),
	DATABASE(pool_mode, ENUM, pool_mode, NULL, "As the setting, for this database.", .choices = pool_modes),
	DATABASE(max_db_connections, INT, max_db_connections, NULL, "As the setting, for this database.", SIGNED,
			 .zero_inherits = true),
	DATABASE(max_db_client_connections, INT, max_db_client_connections, NULL,
			 "As the setting, for this database.", SIGNED, .zero_inherits = true),
	DATABASE(server_lifetime, WHOLE, server_lifetime_us, NULL,
			 "As the setting, for this database; 0 = as the setting.", SIGNED, .zero_inherits = true),
	DATABASE(query_wait_timeout, WHOLE, query_wait_timeout_us, NULL,
			 "As the setting, for this database; 0 = no limit.", SIGNED),
	DATABASE(connect_query, STRING, connect_query, NULL, "Query run once after each login to the server.",
			 .secret = true),
	DATABASE(load_balance_hosts, BOOL, load_balance_disabled, "round-robin",
			 "round-robin: use the hosts in turn; disable: stay on one until it fails.",
			 .choices = load_balance_choices),
	DATABASE(query_deadline, DURATION, query_deadline_us, NULL,
			 "As the setting, for this database; 0 = no deadline.", OURS),
	DATABASE(max_query_deadline, DURATION, max_query_deadline_us, NULL,
			 "As the setting, for this database; 0 = no limit.", OURS),
	DATABASE(transaction_deadline, DURATION, transaction_deadline_us, NULL,
			 "As the setting, for this database; 0 = no limit.", OURS),
	{.name = NULL},
};

static const ConfigRow user_rows[] = {
	USER(pool_mode, ENUM, pool_mode, "As the setting, for this user; beats the database's.",
		 .choices = pool_modes),
	USER(pool_size, INT, pool_size, "As default_pool_size, for each pool of this user; beats the database's.",
		 SIGNED),
	USER(reserve_pool_size, INT, reserve_pool_size, "As the setting, for each pool of this user.", SIGNED),
	USER(max_user_connections, INT, max_user_connections,
		 "As the setting, for this user; 0 = as the setting.", SIGNED, .zero_inherits = true),
	USER(max_user_client_connections, INT, max_user_client_connections,
		 "As the setting, for this user; 0 = as the setting.", SIGNED, .zero_inherits = true),
	USER(query_timeout, WHOLE, query_timeout_us, "As the setting, for this user; 0 = as the setting.", SIGNED,
		 .zero_inherits = true),
	USER(idle_transaction_timeout, WHOLE, idle_transaction_timeout_us,
		 "As the setting, for this user; 0 = as the setting.", SIGNED, .zero_inherits = true),
	USER(transaction_timeout, WHOLE, transaction_timeout_us,
		 "As the setting, for this user; 0 = as the setting.", SIGNED, .zero_inherits = true),
	USER(client_idle_timeout, WHOLE, client_idle_timeout_us,
		 "As the setting, for this user; 0 = as the setting.", SIGNED, .zero_inherits = true),
	USER(query_wait_timeout, WHOLE, query_wait_timeout_us,
		 "As the setting, for this user; 0 = no limit; beats the database's.", SIGNED),
	USER(query_deadline, DURATION, query_deadline_us,
		 "As the setting, for this user; 0 = no deadline; beats the database's.", OURS),
	USER(max_query_deadline, DURATION, max_query_deadline_us,
		 "As the setting, for this user; 0 = no limit; beats the database's.", OURS),
	USER(transaction_deadline, DURATION, transaction_deadline_us,
		 "As the setting, for this user; 0 = no limit; beats the database's.", OURS),
	{.name = NULL},
};

#define PEER(key_, type_, initial_, help_, ...)                                                              \
	{                                                                                                        \
		.name = #key_, .type = CONFIG_##type_, .home = HOME_PEER, .offset = offsetof(PeerSpec, key_),        \
		.initial = initial_, .reloadable = true, .help = help_, __VA_ARGS__                                  \
	}

static const ConfigRow peer_rows[] = {
	PEER(host, STRING, NULL, "Name or address of the peer; /directory or @name = Unix socket. Required."),
	PEER(port, PORT, "6432", "Port of the peer."),
	PEER(pool_size, INT, NULL, "Cancel requests on their way to the peer at once; default: default_pool_size.", SIGNED),
	{.name = NULL},
};

#define LIMIT(key_, type_, field_, help_, ...)                                                               \
	{                                                                                                        \
		.name = #key_, .type = CONFIG_##type_, .home = HOME_LIMIT, .offset = offsetof(LimitSpec, field_),    \
		.initial = NULL, .reloadable = true, .help = help_, .ours = true, __VA_ARGS__                        \
	}

static const ConfigRow limit_rows[] = {
	LIMIT(user, STRING, user, "User whose requests these are; a * at the end stands for any rest."),
	LIMIT(database, STRING, database, "Database, as the client names it; likewise."),
	LIMIT(application_name, STRING, application_name, "The session's application_name; likewise."),
	LIMIT(tag, STRING, tag,
		  "Tag in a comment of the request's first statement, as key=value; likewise, so 'route=/report*'."),
	LIMIT(fingerprint, STRING, fingerprint,
		  "Class of the request's first statement, 16 hexadecimal digits as SHOW CLASSES prints them."),
	LIMIT(max_active, INT, max_active,
		  "So many of these requests may have a server connection, or stand in line for one, at once; the others wait for "
		  "their turn; 0 = no limit.",
		  SIGNED),
	LIMIT(max_waiting, INT, max_waiting,
		  "So many may wait for their turn; the next is refused at once (SQLSTATE 53300); 0 = no limit.", SIGNED),
	LIMIT(query_deadline, DURATION, query_deadline_us,
		  "As the setting, for these requests; 0 = no deadline; beats the user's and the database's."),
	{.name = NULL},
};

const ConfigRow *
config_limit_table(void)
{
	return limit_rows;
}

const ConfigRow *
config_peer_table(void)
{
	return peer_rows;
}

const ConfigRow *
config_table(void)
{
	return main_rows;
}

const ConfigRow *
config_database_table(void)
{
	return database_rows;
}

const ConfigRow *
config_user_table(void)
{
	return user_rows;
}
