/*
 * config_test.c: whole configurations: what the sections mean, each error's text, reload, SET, SHOW CONFIG,
 * --check.
 */
#include "config/config.h"

#include "config_test.h"

#define MINIMAL "[pgbouncer]\nlisten_addr = 127.0.0.1\n"

/* The errors of a file with this content; "" when it can be used. */
static const char *
errors_of(const char *content)
{
	const char *errors;

	config_free(load_text(content, &errors));
	return errors;
}

static Config *
must_load(const char *content)
{
	const char *errors;
	Config *config = load_text(content, &errors);

	if (config == NULL)
	{
		printf("Bail out! %s\n", errors);
		exit(1);
	}
	return config;
}

static const DatabaseSpec *
database_of(const Config *config, const char *name)
{
	const DatabaseSpec *spec = settings_find_database(config->settings, name);

	if (spec == NULL)
	{
		printf("Bail out! no database %s\n", name);
		exit(1);
	}
	return spec;
}

/* --- the main section --- */

static void
defaults_are_those_of_the_reference(void)
{
	Config *config = must_load("[pgbouncer]\n");
	const Settings *s = config->settings;

	is_int(config->process.listen_port, 6432, "listen_port");
	is_str(config->process.listen_addr, "", "listen_addr");
	is_int(config->process.unix_socket_mode, 0777, "unix_socket_mode");
	is_str(config->process.auth_file, NULL, "auth_file is unset");
	is_str(config->process.user, NULL, "user is unset");
	is_str(config->process.conffile, "weir.ini", "conffile is the file that was read");
	is_int(config->process.tcp_defer_accept, 1, "tcp_defer_accept");
	is_int(s->auth_type, AUTH_TYPE_MD5, "auth_type");
	is_int(s->pool_mode, POOL_MODE_SESSION, "pool_mode");
	is_int(s->max_client_conn, 100, "max_client_conn");
	is_int(s->default_pool_size, 20, "default_pool_size");
	is_int(s->query_wait_timeout_us, 120 * USEC_PER_SEC, "query_wait_timeout");
	is_int(s->query_wait_notify_us, 5 * USEC_PER_SEC, "query_wait_notify");
	is_int(s->server_lifetime_us, 3600 * USEC_PER_SEC, "server_lifetime");
	is_int(s->max_packet_size, 2147483647, "max_packet_size");
	is_int(s->stats_period_us, 60 * USEC_PER_SEC, "stats_period");
	is_str(s->server_check_query, "<empty>", "server_check_query");
	is_str(s->server_reset_query, "DISCARD ALL", "server_reset_query");
	is_str(s->track_extra_parameters, "IntervalStyle", "track_extra_parameters");
	is_str(s->unix_socket_dir, "/tmp", "unix_socket_dir");
	ok(s->socket_options.keepalive, "tcp_keepalive");
	ok(s->log_connections && s->log_disconnections && s->log_pooler_errors && s->log_stats, "log_*");
	is_int(s->query_deadline_us, 0, "query_deadline");
	is_int(s->deadline_grace_us, USEC_PER_SEC, "deadline_grace");
	ok(s->cancel_on_disconnect && s->admission, "cancel_on_disconnect and admission");
	is_int(s->slow_lane_percent, 50, "slow_lane_share");
	is_int(s->slow_lane_ratio, 10, "slow_lane_ratio");
	is_int(s->report_interval_us, USEC_PER_SEC, "report_interval");
	is_str(s->report_user, "", "report_user");
	is_int(s->database_count, 0, "no databases");
	ok(s->database_template == NULL, "no template");
	config_free(config);
}

static void
limits_keep_their_order(void)
{
	Config *config = must_load("[pgbouncer]\n[limits]\n"
							   "b = user=bob database=shop* max_active=2 max_waiting=5\n"
							   "a = tag='route=/export*' query_deadline=30s\n"
							   "c = fingerprint=00000000000000ff max_active=1\n"
							   "b = user=bert max_active=3\n");
	char error[200];
	const LimitSpec *limit = config->settings->limits;
	Config *copy;

	is_str(limit->name, "b", "the first of the file is the first");
	is_str(limit->user, "bert", "given again, the last counts, in the first one's place");
	is_str(limit->database, NULL, "and nothing of the former stays");
	is_int(limit->max_active, 3, "max_active");
	is_int(limit->query_deadline_us, OPTION_INHERIT, "no deadline of its own");
	is_str(limit->next->tag, "route=/export*", "tag, quoted");
	is_int(limit->next->query_deadline_us, 30 * USEC_PER_SEC, "query_deadline");
	is_int((int64_t) limit->next->next->fingerprint_bits, 255, "fingerprint");
	ok(limit->next->next->next == NULL, "and no other");
	copy = config_set(config, "pool_mode", "transaction", error, sizeof(error));
	ok(copy != NULL, "SET keeps them");
	config_free(config);
	is_str(copy->settings->limits->next->tag, "route=/export*", "as its own");
	is_int((int64_t) copy->settings->limits->next->next->fingerprint_bits, 255, "whole");
	config_free(copy);
}

static void
every_kind_of_key_is_set(void)
{
	Config *config =
		must_load("[pgbouncer]\n"
				  "listen_addr = 10.0.0.1, ::1\nlisten_port = 7000\nunix_socket_dir =\n"
				  "unix_socket_mode = 0700\nso_reuseport = 1\nlogfile = /var/log/a b.log\n"
				  "auth_type = SCRAM-SHA-256\npool_mode = transaction\nmax_packet_size = 0x1000\n"
				  "query_timeout = 1.5\nquery_wait_notify = 7\ntcp_keepidle = 30\n"
				  "admin_users = root, ops\nsyslog_facility = LOCAL3\nserver_check_query = select 1\n"
				  "server_tls_sslmode = disable\nverbose = 1\nlog_stats = 0\n"
				  "[pgweir]\n"
				  "query_deadline = 250ms\nslow_lane_share = 30 %\nadmission = 0\nreporter_name = weir-1\n");
	const Settings *s = config->settings;

	is_str(config->process.listen_addr, "10.0.0.1, ::1", "listen_addr");
	is_int(config->process.listen_port, 7000, "listen_port");
	is_str(s->unix_socket_dir, "", "unix_socket_dir, empty");
	is_int(config->process.unix_socket_mode, 0700, "unix_socket_mode");
	ok(config->process.so_reuseport, "so_reuseport");
	is_str(config->process.logfile, "/var/log/a b.log", "logfile, with a blank");
	is_int(s->auth_type, AUTH_TYPE_SCRAM_SHA_256, "auth_type");
	is_int(s->pool_mode, POOL_MODE_TRANSACTION, "pool_mode");
	is_int(s->max_packet_size, 4096, "max_packet_size");
	is_int(s->query_timeout_us, 1500000, "query_timeout");
	is_int(s->query_wait_notify_us, 7000000, "query_wait_notify");
	is_int(s->socket_options.keepidle_s, 30, "tcp_keepidle");
	ok(settings_list_has(s->admin_users, "ops"), "admin_users");
	is_str(config->process.syslog_facility, "local3", "syslog_facility");
	is_str(s->server_check_query, "select 1", "server_check_query");
	is_int(config->process.verbose, 1, "verbose");
	ok(!s->log_stats, "log_stats");
	is_int(s->query_deadline_us, 250000, "query_deadline");
	is_int(s->slow_lane_percent, 30, "slow_lane_share");
	ok(!s->admission, "admission");
	is_str(s->reporter_name, "weir-1", "reporter_name");
	config_free(config);
}

static void
a_further_pgbouncer_section_starts_over(void)
{
	Config *config = must_load("[pgbouncer]\nmax_client_conn = 5\nquery_timeout = 9\nverbose = 2\n"
							   "[pgweir]\nquery_deadline = 3\n"
							   "[databases]\n[pgbouncer]\nquery_timeout = 4\n"
							   "[pgweir]\nmax_query_deadline = 8\n");

	is_int(config->settings->max_client_conn, 100, "a key of the first block is back at its default");
	is_int(config->settings->query_timeout_us, 4 * USEC_PER_SEC, "one that is set again has the new value");
	is_int(config->process.verbose, 2, "one whose default is unset stays");
	is_int(config->settings->query_deadline_us, 3 * USEC_PER_SEC, "what [pgweir] set stays");
	is_int(config->settings->max_query_deadline_us, 8 * USEC_PER_SEC, "a further [pgweir] adds");
	config_free(config);
}

static void
a_further_pgbouncer_section_is_worth_a_warning(void)
{
	ConfigProblems problems = {0};
	Config *config;

	write_file(
		"weir.ini",
		"[pgbouncer]\nmax_client_conn = 5\nquery_timeout = 9\n[databases]\na=\n[pgbouncer]\nauth_file=\n");
	config = config_load("weir.ini", NULL, &problems);
	ok(strstr(problems_text(&problems, PROBLEM_WARNING),
			  "weir.ini:6: this further [pgbouncer] section puts 2 keys set before it back to the default") !=
		   NULL,
	   "it says how many keys");
	problems_free(&problems);
	config_free(config);
}

static void
within_a_block_the_last_line_counts(void)
{
	Config *config = must_load("[pgbouncer]\nmax_client_conn = 5\nmax_client_conn = 6\n");

	is_int(config->settings->max_client_conn, 6, "max_client_conn");
	config_free(config);
}

static void
each_mistake_has_its_text(void)
{
	static const struct
	{
		const char *content;
		const char *errors;
	} cases[] = {
		{"[pgbouncer]\n\nlisten_prt = 1\n", "weir.ini:3: listen_prt: unknown key; did you mean listen_port?"},
		{"[pgbouncer]\nfrobnicate = secret\n", "weir.ini:2: frobnicate: unknown key"},
		{"[pgbouncer]\nservice_name = x\n", "weir.ini:2: service_name: unknown key"},
		{"[pgbouncer]\nmax_client_conn = many\n", "weir.ini:2: max_client_conn = many: not a whole number"},
		{"[pgbouncer]\nmax_client_conn = -1\n", "weir.ini:2: max_client_conn = -1: must be at least 0"},
		{"[pgbouncer]\nlisten_port = 0\n", "weir.ini:2: listen_port = 0: must be between 1 and 65535"},
		{"[pgbouncer]\nquery_timeout = 5s\n", "weir.ini:2: query_timeout = 5s: not a number of seconds >= 0"},
		{"[pgbouncer]\nquery_deadline = 5h\n",
		 "weir.ini:2: query_deadline = 5h: unknown unit: expected us, ms, s (the default) or min"},
		{"[pgbouncer]\npool_mode = query\n",
		 "weir.ini:2: pool_mode = query: must be session, transaction or statement"},
		{"[pgbouncer]\nauth_type = ldap\n", "weir.ini: auth_type = ldap needs auth_ldap_options"},
		{"[pgbouncer]\nlisten_addr = 127.0.0.1\nauth_type = hba\n", "weir.ini: auth_type = hba needs auth_hba_file"},
		{"[pgbouncer]\nlisten_addr = 127.0.0.1\nauth_type = cert\n",
		 "weir.ini: auth_type = cert needs client_tls_sslmode = verify-full or verify-ca"},
		{"[pgbouncer]\nlisten_addr = 127.0.0.1\nclient_tls_sslmode = require\n", "client_tls_cert_file: not set"},
		{"[pgbouncer]\nlisten_addr = 127.0.0.1\nclient_tls_sslmode = on\n",
		 "weir.ini:3: client_tls_sslmode = on: must be disable, allow, prefer, require, verify-ca or verify-full"},
		{"[pgbouncer]\nlisten_addr = 127.0.0.1\nserver_tls_sslmode = verify-full\nserver_tls_ca_file = nowhere.crt\n",
		 "server_tls_ca_file: could not load certificates of the authority \"nowhere.crt\": No such file or directory"},
		{"[pgbouncer]\nlisten_addr = 127.0.0.1\nserver_tls_protocols = tlsv1.2,ssl3\n",
		 "server_tls_protocols: unknown protocol \"ssl3\""},
		{"[pgbouncer]\nlisten_addr = 127.0.0.1\nserver_tls13_ciphers = TLS_NONE\n",
		 "server_tls13_ciphers: \"TLS_NONE\": no cipher match"},
		{"[pgbouncer]\nlisten_addr = 127.0.0.1\nauth_dbname = pgbouncer\n", "weir.ini: auth_dbname: the console has no users to ask for"},
		{"[pgbouncer]\nlisten_addr = 127.0.0.1\nauth_type = hba\nauth_hba_file = nowhere\n",
		 "nowhere: could not read the file: No such file or directory"},
		{"[pgbouncer]\npeer_id = 16384\n", "weir.ini:2: peer_id = 16384: must be between 0 and 16383"},
		{"[pgbouncer]\n[peers]\n0 = host=x\n", "weir.ini:3: [peers] 0: a peer id is a number from 1 to 16383"},
		{"[pgbouncer]\n[limits]\na = user=u\n",
		 "weir.ini:3: [limits] a: neither max_active nor query_deadline is given, so it limits nothing"},
		{"[pgbouncer]\n[limits]\na = query_deadline=1s max_waiting=3\n",
		 "weir.ini:3: [limits] a: max_waiting needs max_active: nobody waits without it"},
		{"[pgbouncer]\n[limits]\na = max_active=1 tag=route\n",
		 "weir.ini:3: [limits] a: tag must be key=value, as in tag='route=/report*'"},
		{"[pgbouncer]\n[limits]\na = max_active=1 fingerprint=12\n",
		 "weir.ini:3: [limits] a: fingerprint must be 16 hexadecimal digits, as SHOW CLASSES prints them"},
		{"[pgbouncer]\n[limits]\na = max_activ=1\n",
		 "weir.ini:3: [limits] a: unrecognized limit parameter: max_activ; did you mean max_active?"},
		{"[pgbouncer]\n[peers]\n1 = port=3\n", "weir.ini:3: [peers] 1: host is missing"},
		{"[pgbouncer]\n[bogus]\nx = 1\n", "weir.ini:2: unknown section [bogus]: expected [pgbouncer] (or "
										  "[pgweir]), [databases], [users], [peers] or [limits]"},
		{"a = 1\n[pgbouncer]\n",
		 "weir.ini:1: a: a value before the first section header; [pgbouncer] is missing above it"},
		{"[databases]\na = host=x\n", "weir.ini: the section [pgbouncer] (or [pgweir]) is missing"},
		{"", "weir.ini: the section [pgbouncer] (or [pgweir]) is missing"},
		{"[pgbouncer]\nlisten_addr\n",
		 "weir.ini:2: syntax error: expected key = value, [section], %include FILE or a comment"},
		{"[pgbouncer]\nunix_socket_dir =\n",
		 "weir.ini: nowhere to listen: set listen_addr or unix_socket_dir"},
		{"[pgbouncer]\nunix_socket_dir = "
		 "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		 "aaaaaaaaaaaaaaaaaaaaaaa\n",
		 "weir.ini: unix_socket_dir: the path is too long for a Unix socket"},
		{"[pgbouncer]\nauth_file = nowhere.txt\n",
		 "nowhere.txt: could not read the auth file: No such file or directory"},
		{"[pgbouncer]\nconffile =\n", "weir.ini: conffile must not be empty"},
		{"[pgbouncer]\nreport_database = x\n[databases]\na =\n",
		 "weir.ini: report_database: there is no entry \"x\" in [databases]"},
		/* entries */
		{"[pgbouncer]\n[databases]\npgbouncer = host=x\n",
		 "weir.ini:3: [databases] pgbouncer: this name is reserved for the admin console"},
		{"[pgbouncer]\n[databases]\na = hots=x\n",
		 "weir.ini:3: [databases] a: unrecognized connection parameter: hots; did you mean host?"},
		{"[pgbouncer]\n[databases]\na = sslmode=x\n",
		 "weir.ini:3: [databases] a: unrecognized connection parameter: sslmode"},
		{"[pgbouncer]\n[databases]\na = port=0\n",
		 "weir.ini:3: [databases] a: port = 0: must be between 1 and 65535"},
		{"[pgbouncer]\n[databases]\na = pool_size=ten\n",
		 "weir.ini:3: [databases] a: pool_size = ten: not a whole number"},
		{"[pgbouncer]\n[databases]\na = host=\n",
		 "weir.ini:3: [databases] a: syntax error in connection string: a value is empty"},
		{"[pgbouncer]\n[databases]\na = password='x\n",
		 "weir.ini:3: [databases] a: syntax error in connection string: a quoted value has no closing quote"},
		{"[pgbouncer]\n[databases]\na = load_balance_hosts=x\n",
		 "weir.ini:3: [databases] a: load_balance_hosts = x: must be round-robin or disable"},
		{"[pgbouncer]\n[users]\na = pool_mod=session\n",
		 "weir.ini:3: [users] a: unrecognized user parameter: pool_mod; did you mean pool_mode?"},
		{"[pgbouncer]\n[users]\na = query_timeout=1.5\n",
		 "weir.ini:3: [users] a: query_timeout = 1.5: not a whole number"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		is_str(errors_of(cases[i].content), cases[i].errors, "mistake %d", (int) i);
}

static void
all_mistakes_are_found_at_once(void)
{
	is_str(errors_of("[pgbouncer]\nmax_client_conn = x\nfoo = 1\n[databases]\na = port=x "
					 "pool_size=y\n[users]\nu = z=1\n"),
		   "weir.ini:2: max_client_conn = x: not a whole number\n"
		   "weir.ini:3: foo: unknown key\n"
		   "weir.ini:5: [databases] a: port = x: not a whole number\n"
		   "weir.ini:5: [databases] a: pool_size = y: not a whole number\n"
		   "weir.ini:7: [users] u: unrecognized user parameter: z",
		   "in the order of the file");
}

static void
mistakes_in_included_files_name_those(void)
{
	write_file("more.ini", "max_client_conn = x\n");
	is_str(errors_of("[pgbouncer]\n%include more.ini\n"),
		   "more.ini:1: max_client_conn = x: not a whole number", "file and line of the include");
}

static void
texts_never_hold_a_secret(void)
{
	static const char *const contents[] = {
		"[pgbouncer]\n[databases]\na = password=topsecret' x\n",
		"[pgbouncer]\n[databases]\na = password='topsecret\n",
		"[pgbouncer]\n[databases]\na = password=two topsecret\n",
		"[pgbouncer]\n[databases]\na = password=two topsecret=1\n",
		"[pgbouncer]\n[databases]\na password=topsecret\n",
		"[pgbouncer]\n[databases]\n'a = password=topsecret\n",
		"[pgbouncer]\na = host=x password=topsecret\n",
		"[bogus]\na = host=x password=topsecret\n",
		"a = password=topsecret\n",
	};

	for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++)
	{
		const char *errors = errors_of(contents[i]);

		ok(errors[0] != '\0' && strstr(errors, "topsecret") == NULL, "mistake beside a password %d", (int) i);
	}
}

/* A file with a few bytes exchanged, removed or doubled either loads or is refused with texts that show no
 * secret. */
static void
damaged_files_are_survived(void)
{
	static const char whole[] =
		"[pgbouncer]\nlisten_addr = 127.0.0.1\npool_mode = transaction\nquery_timeout = 1.5\n"
		"query_deadline = 250 ms\nslow_lane_share = 50 %\n; comment\n"
		"[databases]\n'my db' = host=x port=5432 password='topsecret' pool_size=3\n"
		"b = user=u password=topsecret connect_query='select 1'\n* = host=y\n"
		"[users]\napp = pool_size=3 query_timeout=5\n[pgweir]\nadmission = 0\n";
	unsigned int random = 20240601;
	int loaded = 0;
	int refused = 0;
	bool leaked = false;

	for (int round = 0; round < 3000; round++)
	{
		char content[sizeof(whole) + 8];
		size_t len = sizeof(whole) - 1;
		const char *errors;
		Config *config;

		memcpy(content, whole, sizeof(whole));
		for (int i = 0; i <= round % 3; i++)
		{
			static const char letters[] = " =\n'\"[]%;*#a0-.\t";
			size_t at = (random = random * 1103515245 + 12345) / 65536 % len;

			switch ((random = random * 1103515245 + 12345) / 65536 % 3)
			{
				case 0: content[at] = letters[random / 7 % (sizeof(letters) - 1)]; break;
				case 1: memmove(content + at, content + at + 1, len-- - at); break;
				case 2: memmove(content + at + 1, content + at, ++len - at); break;
			}
		}
		config = load_text(content, &errors);
		loaded += config != NULL;
		refused += config == NULL;
		if (strstr(errors, "topsecret") != NULL && !leaked)
		{
			leaked = true;
			printf("# round %d: %s\n", round, errors);
		}
		config_free(config);
	}
	ok(!leaked, "no text shows the password");
	ok(loaded > 300 && refused > 300, "both happen: %d loaded, %d refused", loaded, refused);
}

/* --- entries --- */

static void
databases_are_read(void)
{
	Config *config = must_load(
		MINIMAL
		"[databases]\n"
		"plain =\n"
		"shop = host=10.0.0.1,10.0.0.2 port=5433 dbname=shop_v2 user=app password='it''s' pool_size=7\n"
		"full = min_pool_size=2 reserve_pool=3 max_db_connections=4 max_db_client_connections=5 "
		"pool_mode=Statement"
		" server_lifetime=60 query_wait_timeout=0 connect_query='select 1; select ''x''' "
		"load_balance_hosts=disable"
		" client_encoding=utf8 datestyle=ISO timezone=UTC application_name=weir query_deadline=1.5s"
		" max_query_deadline=0\n"
		"zero = pool_size=0 min_pool_size=0 server_lifetime=0 max_db_connections=0 reserve_pool_size=0\n"
		"minus = pool_size=-1 query_wait_timeout=-1\n"
		"'odd name' = host=/run/pg\n");
	const DatabaseSpec *d = database_of(config, "plain");

	is_int(config->settings->database_count, 6, "all there");
	is_str(d->dbname, "plain", "dbname is the entry's name");
	is_str(d->host, NULL, "no host");
	is_int(d->port, 5432, "the default port");
	is_str(d->user, NULL, "no forced user");
	is_int(d->pool_size, OPTION_INHERIT, "pool_size inherited");
	is_int(d->pool_mode, POOL_MODE_INHERIT, "pool_mode inherited");
	is_int(d->query_deadline_us, OPTION_INHERIT, "query_deadline inherited");
	ok(!d->load_balance_disabled && !d->from_template, "flags off");

	d = database_of(config, "shop");
	is_str(d->host, "10.0.0.1,10.0.0.2", "host");
	is_int(d->port, 5433, "port");
	is_str(d->dbname, "shop_v2", "dbname");
	is_str(d->user, "app", "user");
	is_str(d->password, "it's", "password");
	is_int(d->pool_size, 7, "pool_size");

	d = database_of(config, "full");
	is_int(d->min_pool_size, 2, "min_pool_size");
	is_int(d->reserve_pool_size, 3, "reserve_pool is reserve_pool_size");
	is_int(d->max_db_connections, 4, "max_db_connections");
	is_int(d->max_db_client_connections, 5, "max_db_client_connections");
	is_int(d->pool_mode, POOL_MODE_STATEMENT, "pool_mode");
	is_int(d->server_lifetime_us, 60 * USEC_PER_SEC, "server_lifetime");
	is_int(d->query_wait_timeout_us, 0, "query_wait_timeout off");
	is_str(d->connect_query, "select 1; select 'x'", "connect_query");
	ok(d->load_balance_disabled, "load_balance_hosts");
	is_str(d->client_encoding, "utf8", "client_encoding");
	is_str(d->datestyle, "ISO", "datestyle");
	is_str(d->timezone, "UTC", "timezone");
	is_str(d->application_name, "weir", "application_name");
	is_int(d->query_deadline_us, 1500000, "query_deadline");
	is_int(d->max_query_deadline_us, 0, "max_query_deadline off");

	d = database_of(config, "zero");
	is_int(d->pool_size, 0, "pool_size 0 is no limit");
	is_int(d->reserve_pool_size, 0, "reserve_pool_size 0 is none");
	is_int(d->min_pool_size, OPTION_INHERIT, "min_pool_size 0 is inherited");
	is_int(d->server_lifetime_us, OPTION_INHERIT, "server_lifetime 0 is inherited");
	is_int(d->max_db_connections, OPTION_INHERIT, "max_db_connections 0 is inherited");

	d = database_of(config, "minus");
	is_int(d->pool_size, OPTION_INHERIT, "pool_size -1 is inherited");
	is_int(d->query_wait_timeout_us, OPTION_INHERIT, "query_wait_timeout -1 is inherited");
	is_str(database_of(config, "odd name")->host, "/run/pg", "a quoted name");
	config_free(config);
}

static void
repeated_entries_and_sections_add_up(void)
{
	Config *config =
		must_load(MINIMAL "[databases]\nb = host=one pool_size=5\na = host=x\n"
						  "[users]\nu = pool_size=1 query_timeout=5\n"
						  "[databases]\nb = host=two\nc =\n[users]\nv = pool_size=2\nu = pool_size=3\n");

	is_int(config->settings->database_count, 3, "three databases");
	is_str(config->settings->databases[0].name, "a", "sorted by name");
	is_str(database_of(config, "b")->host, "two", "the later entry counts");
	is_int(database_of(config, "b")->pool_size, OPTION_INHERIT, "and replaces the earlier as a whole");
	is_int((long long) config->settings->users.count, 2, "two users");
	is_int(settings_find_user(config->settings, "u")->pool_size, 3, "the later user entry counts");
	is_int(settings_find_user(config->settings, "u")->query_timeout_us, OPTION_INHERIT, "as a whole too");
	config_free(config);
}

static void
the_template_is_kept_apart(void)
{
	Config *config = must_load(MINIMAL "[databases]\na = host=x\n* = host=y pool_size=3\n");
	const DatabaseSpec *template = config->settings->database_template;

	is_int(config->settings->database_count, 1, "it is no database");
	ok(template != NULL, "it is there");
	if (template != NULL)
	{
		is_str(template->host, "y", "host");
		is_int(template->pool_size, 3, "pool_size");
		is_str(template->dbname, NULL, "no dbname: that of the client counts");
	}
	config_free(config);
}

static void
users_and_the_auth_file_are_joined(void)
{
	Config *config;
	const UserSpec *user;

	write_file("users.txt", "\"app\" \"md5aaaabbbbccccddddaaaabbbbccccdddd\"\n\"other\" \"pw\"\n");
	config = must_load(
		MINIMAL "auth_file = users.txt\n[users]\n"
				"app = pool_mode=session max_user_connections=3 idle_transaction_timeout=4 query_timeout=0"
				" query_wait_timeout=0 query_deadline=2s\n"
				"silent = pool_size=0\n");
	user = settings_find_user(config->settings, "app");
	ok(user != NULL, "app is there");
	is_str(user->secret, "md5aaaabbbbccccddddaaaabbbbccccdddd", "its secret");
	is_int(user->pool_mode, POOL_MODE_SESSION, "its pool_mode");
	is_int(user->max_user_connections, 3, "its max_user_connections");
	is_int(user->idle_transaction_timeout_us, 4 * USEC_PER_SEC, "its idle_transaction_timeout");
	is_int(user->query_timeout_us, OPTION_INHERIT, "query_timeout 0 is inherited");
	is_int(user->query_wait_timeout_us, 0, "query_wait_timeout 0 is off");
	is_int(user->query_deadline_us, 2 * USEC_PER_SEC, "its query_deadline");
	is_int(user->max_query_deadline_us, OPTION_INHERIT, "what is not said is inherited");

	user = settings_find_user(config->settings, "silent");
	ok(user != NULL && user->secret == NULL, "a user only in [users] has no secret");
	is_int(user->pool_size, 0, "pool_size 0 is no limit");
	user = settings_find_user(config->settings, "other");
	ok(user != NULL && strcmp(user->secret, "pw") == 0, "a user only in the auth file");
	config_free(config);

	write_file("users.txt", "\"app\" \"x\"\nbroken\n");
	is_str(errors_of(MINIMAL "auth_file = users.txt\n"),
		   "users.txt:2: broken auth file: expected \"user\" \"secret\"", "a broken auth file is an error");
}

/* --- what follows from others --- */

static void
the_reporter_has_a_name(void)
{
	static const struct
	{
		const char *listen;
		const char *name; /* NULL: the machine's */
	} cases[] = {{"10.1.2.3", "10.1.2.3:6432"},
				 {"10.1.2.3,10.1.2.4", "10.1.2.3:6432"},
				 {" db.example , x", "db.example:6432"},
				 {"2001:db8::1", "[2001:db8::1]:6432"},
				 {"*", NULL},
				 {"", NULL},
				 {"127.0.0.1", NULL},
				 {"localhost", NULL}};
	char machine[256];
	char want[300];
	char content[128];

	gethostname(machine, sizeof(machine));
	machine[sizeof(machine) - 1] = '\0';
	snprintf(want, sizeof(want), "%s:6432", machine);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		Config *config;

		snprintf(content, sizeof(content), "[pgbouncer]\nlisten_addr = %s\n", cases[i].listen);
		config = must_load(content);
		is_str(config->settings->reporter_name, cases[i].name != NULL ? cases[i].name : want,
			   "listening on \"%s\"", cases[i].listen);
		config_free(config);
	}
}

/* The warnings of a usable file. */
static bool
warns(const char *content, const char *warning)
{
	ConfigProblems problems = {0};
	Config *config;
	bool found;

	write_file("weir.ini", content);
	config = config_load("weir.ini", NULL, &problems);
	found = config != NULL && strstr(problems_text(&problems, PROBLEM_WARNING), warning) != NULL;
	config_free(config);
	problems_free(&problems);
	return found;
}

static void
doubtful_settings_are_worth_a_warning(void)
{
	write_file("users.txt", "\"app\" \"pw\"\n");
	ok(warns(MINIMAL, "auth_file is not set"), "nobody can log in");
	ok(!warns(MINIMAL "auth_file = users.txt\n", "auth_file is not set"), "somebody can");
	ok(!warns(MINIMAL "auth_type = any\n", "auth_file is not set"), "anybody can");
	ok(warns(MINIMAL "auth_type = any\n[databases]\na = user=x\nb =\n", "database \"b\" cannot be used"),
	   "any without a forced user");
	ok(warns(MINIMAL, "[databases] has no entry"), "no databases");
	ok(!warns(MINIMAL "[databases]\n* =\n", "[databases] has no entry"), "a template is enough");
	ok(warns(MINIMAL "query_deadline = 3\nmax_query_deadline = 2\n", "longer than max_query_deadline"),
	   "a default deadline that cannot be");
	ok(warns(MINIMAL "so_reuseport = 1\nreport_user = r\n", "so_reuseport without reporter_name"),
	   "one name for several");
}

static void
the_command_line_beats_the_file(void)
{
	const ConfigOverrides overrides = {.user = "weir", .verbose = 2};
	ConfigProblems problems = {0};
	Config *config;
	Config *fresh;

	write_file("weir.ini", MINIMAL "user = other\nverbose = 1\n");
	config = config_load("weir.ini", &overrides, &problems);
	if (!ok(config != NULL, "it loads"))
		return;
	is_str(config->process.user, "weir", "-u");
	is_int(config->process.verbose, 2, "-v -v");
	write_file("weir.ini", MINIMAL "verbose = 3\n");
	fresh = config_reload(config, &problems);
	if (ok(fresh != NULL, "it reloads"))
	{
		is_str(fresh->process.user, "weir", "-u still");
		is_int(fresh->process.verbose, 3, "verbose may be more than -v -v");
	}
	config_free(config);
	config_free(fresh);
	problems_free(&problems);
}

/* --- reload --- */

static void
reload_takes_new_values_and_says_what_changed(void)
{
	Config *config =
		must_load(MINIMAL "query_timeout = 5\nadmin_users = root\nlisten_port = 7000\ndisable_pqexec = 0\n"
						  "unix_socket_dir = /run/one\n[databases]\na = host=x\nb =\nsame = host=y\n");
	ConfigProblems problems = {0};
	Config *fresh;

	write_file("weir.ini", MINIMAL "query_deadline = 100ms\nlisten_port = 7001\ndisable_pqexec = 1\n"
								   "[databases]\na = host=z password=topsecret\nc =\nsame = host=y\n");
	fresh = config_reload(config, &problems);
	if (!ok(fresh != NULL, "it reloads"))
		return;
	is_int(fresh->settings->query_timeout_us, 0, "a key no longer there is back at its default");
	is_str(fresh->settings->admin_users, "", "a string too");
	is_int(fresh->settings->query_deadline_us, 100000, "a new one is set");
	is_int(fresh->process.listen_port, 7000, "one that cannot change keeps its value");
	is_str(fresh->settings->unix_socket_dir, "/run/one", "also when the line is gone");
	ok(!fresh->settings->disable_pqexec, "and a flag");
	is_str(database_of(fresh, "a")->host, "z", "a database has changed");
	ok(settings_find_database(fresh->settings, "b") == NULL, "one is gone");
	ok(settings_find_database(fresh->settings, "c") != NULL, "one is new");
	is_str(problems_text(&problems, PROBLEM_NOTE),
		   "disable_pqexec = 1 takes effect after a restart; 0 stays in use\n"
		   "listen_port = 7001 takes effect after a restart; 7000 stays in use\n"
		   "unix_socket_dir = /tmp takes effect after a restart; /run/one stays in use\n"
		   "weir.ini: auth_file is not set: no user is known, so nobody can log in\n"
		   "admin_users changed from root to empty\n"
		   "query_timeout changed from 5 to 0\n"
		   "query_deadline changed from 0 to 0.1\n"
		   "database \"b\" removed\n"
		   "database \"a\" changed\n"
		   "database \"c\" added",
		   "the notes");
	is_int(problems.errors, 0, "no error");
	is_int(config->settings->query_timeout_us, 5 * USEC_PER_SEC, "the old one is as it was");
	is_str(database_of(config, "a")->host, "x", "its databases too");
	config_free(config);
	is_str(fresh->settings->unix_socket_dir, "/run/one", "the new one does not live on the old one");
	config_free(fresh);
	problems_free(&problems);
}

static void
an_unchanged_file_reloads_without_notes(void)
{
	const char *content = MINIMAL
		"auth_file = users.txt\n[databases]\na = host=x query_deadline=2s\n[users]\napp = pool_size=2\n";
	ConfigProblems problems = {0};
	Config *config;
	Config *fresh;

	write_file("users.txt", "\"app\" \"pw\"\n");
	config = must_load(content);
	fresh = config_reload(config, &problems);
	ok(fresh != NULL, "it reloads");
	is_str(problems_text(&problems, PROBLEM_NOTE), "", "nothing to say");
	config_free(config);
	config_free(fresh);
	problems_free(&problems);
}

static void
a_bad_file_leaves_the_old_configuration(void)
{
	static const char *const bad[] = {
		MINIMAL "query_timeout = 9\nquery_timeout = x\n",
		MINIMAL "query_timeout = 9\n[databases]\na = host=changed\nb = port=x\n",
		MINIMAL "query_timeout = 9\nauth_file = broken.txt\n",
		"query_timeout = 9\n",
	};
	Config *config = must_load(MINIMAL "query_timeout = 5\n[databases]\na = host=x\n");

	write_file("broken.txt", "oops\n");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		ConfigProblems problems = {0};

		write_file("weir.ini", bad[i]);
		ok(config_reload(config, &problems) == NULL, "bad file %d is refused", (int) i);
		ok(problems_first_error(&problems)[0] != '\0', "with a text");
		problems_free(&problems);
		is_int(config->settings->query_timeout_us, 5 * USEC_PER_SEC, "query_timeout is as before");
		is_str(database_of(config, "a")->host, "x", "the database too");
	}
	unlink("weir.ini");
	{
		ConfigProblems problems = {0};

		ok(config_reload(config, &problems) == NULL, "a missing file is refused");
		is_str(problems_first_error(&problems),
			   "weir.ini: could not read the file: No such file or directory", "with a text");
		problems_free(&problems);
	}
	config_free(config);
}

/* --- SET --- */

static void
set_makes_a_changed_copy(void)
{
	char error[300] = "";
	Config *config;
	Config *copy;

	write_file("users.txt", "\"app\" \"pw\"\n");
	config =
		must_load(MINIMAL "auth_file = users.txt\nserver_reset_query = discard all\n"
						  "[databases]\na = host=x password=p\n* = host=t\n[users]\napp = pool_size=2\n");
	copy = config_set(config, "query_deadline", "50ms", error, sizeof(error));
	if (!ok(copy != NULL, "it is set"))
		return;
	is_int(config->settings->query_deadline_us, 0, "the old one is as it was");
	config_free(config);
	is_int(copy->settings->query_deadline_us, 50000, "the new value");
	is_str(copy->settings->server_reset_query, "discard all", "other keys are copied");
	is_str(copy->process.listen_addr, "127.0.0.1", "those of the process too");
	is_str(database_of(copy, "a")->password, "p", "databases");
	is_str(database_of(copy, "a")->dbname, "a", "their names");
	is_str(copy->settings->database_template->host, "t", "the template");
	is_str(settings_find_user(copy->settings, "app")->secret, "pw", "secrets");
	is_int(settings_find_user(copy->settings, "app")->pool_size, 2, "users");

	config = copy;
	copy = config_set(config, "listen_port", "1", error, sizeof(error));
	ok(copy != NULL && copy->process.listen_port == 6432, "a key that cannot change is accepted and ignored");
	config_free(copy);

	ok(config_set(config, "query_timeout", "x", error, sizeof(error)) == NULL, "a bad value is refused");
	is_str(error, "query_timeout: not a number of seconds >= 0", "with a text");
	ok(config_set(config, "query_timeot", "1", error, sizeof(error)) == NULL, "an unknown key is refused");
	is_str(error, "query_timeot: unknown key; did you mean query_timeout?", "with a text");
	ok(config_set(config, "client_tls_sslmode", "require", error, sizeof(error)) == NULL,
	   "what does not work is refused");
	is_str(error, "client_tls_cert_file: not set", "with a text");
	ok(config_set(config, "pool_idle_timeout", "-7", error, sizeof(error)) == NULL, "a time below zero too");
	ok(config_set(config, "auth_file", "nowhere.txt", error, sizeof(error)) == NULL,
	   "a missing auth file too");
	is_str(error, "nowhere.txt: could not read the auth file: No such file or directory", "with a text");

	write_file("users2.txt", "\"new\" \"pw2\"\n");
	copy = config_set(config, "auth_file", "users2.txt", error, sizeof(error));
	if (ok(copy != NULL, "another auth file is read"))
	{
		is_str(settings_find_user(copy->settings, "new")->secret, "pw2", "its user is there");
		is_str(settings_find_user(copy->settings, "app")->secret, NULL, "the old file's secret is gone");
	}
	config_free(copy);
	config_free(config);
}

/* --- SHOW CONFIG, --check, --list-settings --- */

static void
show_prints_as_pgbouncer_does(void)
{
	Config *config =
		must_load(MINIMAL "query_timeout = 1.5\nquery_deadline = 250ms\npool_mode = TRANSACTION\n");
	ConfigShown row;
	int rows = 0;
	int known = 0;

	is_str(shown(config, "unix_socket_mode"), "511", "an int in decimal");
	is_str(shown(config, "query_timeout"), "1.5", "seconds with their fraction");
	is_str(shown(config, "query_deadline"), "0.25", "a duration in seconds");
	is_str(shown(config, "server_lifetime"), "3600", "whole seconds without a point");
	is_str(shown(config, "query_wait_notify"), "5", "an int of seconds");
	is_str(shown(config, "pool_mode"), "transaction", "an enum by name");
	is_str(shown(config, "auth_type"), "md5", "another");
	is_str(shown(config, "listen_addr"), "127.0.0.1", "a string");
	is_str(shown(config, "admin_users"), "", "an empty string");
	is_str(shown(config, "auth_file"), "(none)", "an unset one");
	is_str(shown(config, "client_tls_sslmode"), "disable", "a name");
	is_str(shown(config, "pool_idle_timeout"), "0", "a key that is not in the file");
	is_str(shown(config, "conffile"), "weir.ini", "the file");

	for (; config_show(config, rows, &row); rows++)
	{
		if (strcmp(row.key, "unix_socket_mode") == 0)
		{
			known++;
			is_str(row.initial, "0777", "the default as it is written");
			ok(!row.changeable, "not changeable");
		}
		if (strcmp(row.key, "verbose") == 0)
		{
			known++;
			is_str(row.value, "0", "verbose has a value");
			is_str(row.initial, NULL, "and no default");
			ok(row.changeable, "changeable");
		}
		if (rows == 0)
			is_str(row.key, "admin_users", "the first row");
		if (rows == 99)
			is_str(row.key, "verbose", "the last key of PgBouncer");
		if (rows == 100)
			is_str(row.key, "adaptive_pool", "ours come behind");
	}
	is_int(known, 2, "both rows were there");
	is_int(rows, 124, "100 keys of PgBouncer and 24 of ours");
	ok(!config_show(config, 100000, &row), "no row far behind the last");
	config_free(config);
}

/* The whole of what a function wrote to a stream. */
static const char *
written(FILE *file)
{
	static char text[65536];
	size_t n;

	rewind(file);
	n = fread(text, 1, sizeof(text) - 1, file);
	text[n] = '\0';
	fclose(file);
	return text;
}

static void
check_lists_every_problem(void)
{
	FILE *out = tmpfile();

	write_file("users.txt", "\"app\" \"pw\"\n");
	write_file("weir.ini", MINIMAL "auth_file = users.txt\n[databases]\na =\n");
	ok(config_check("weir.ini", out), "a good file");
	is_str(written(out), "weir.ini can be used\n", "has one line");

	out = tmpfile();
	write_file("weir.ini", MINIMAL "auth_file = users.txt\nfoo = 1\n[databases]\na = port=x\n");
	ok(!config_check("weir.ini", out), "a bad one");
	is_str(written(out),
		   "error: weir.ini:4: foo: unknown key\n"
		   "error: weir.ini:6: [databases] a: port = x: not a whole number\n"
		   "weir.ini cannot be used: 2 errors\n",
		   "has one for each");
}

static void
the_list_holds_every_key(void)
{
	FILE *out = tmpfile();
	const char *text;
	int lines = 0;

	config_list(out);
	text = written(out);
	for (const char *p = text; *p != '\0'; p++)
		lines += *p == '\n';
	is_int(lines, 124 + 25 + 13 + 3 + 8, "one line a key, without second names");
	ok(strstr(text, "pgbouncer\tquery_timeout\tseconds\t0\tyes\tyes\tDisconnect ") != NULL,
	   "section, key, type, default...");
	ok(strstr(text, "pgbouncer\tpkt_buf\tinteger\t4096\tno\tyes\tAccepted without effect") != NULL, "a key without effect says so");
	ok(strstr(text, "databases\tdbname\tstring\tunset\tyes\tyes\t") != NULL, "an entry's key");
	ok(strstr(text, "reserve_pool\t") == NULL, "no second name");
}

int
main(void)
{
	enter_test_dir();
	defaults_are_those_of_the_reference();
	every_kind_of_key_is_set();
	limits_keep_their_order();
	a_further_pgbouncer_section_starts_over();
	a_further_pgbouncer_section_is_worth_a_warning();
	within_a_block_the_last_line_counts();
	each_mistake_has_its_text();
	all_mistakes_are_found_at_once();
	mistakes_in_included_files_name_those();
	texts_never_hold_a_secret();
	damaged_files_are_survived();
	databases_are_read();
	repeated_entries_and_sections_add_up();
	the_template_is_kept_apart();
	users_and_the_auth_file_are_joined();
	the_reporter_has_a_name();
	doubtful_settings_are_worth_a_warning();
	the_command_line_beats_the_file();
	reload_takes_new_values_and_says_what_changed();
	an_unchanged_file_reloads_without_notes();
	a_bad_file_leaves_the_old_configuration();
	set_makes_a_changed_copy();
	show_prints_as_pgbouncer_does();
	check_lists_every_problem();
	the_list_holds_every_key();
	return done_testing();
}
