/*
 * validate.c: what follows from several keys together, and what cannot work although each key by itself is
 * fine.
 */
#include "config/ldap.h"
#include "config/loader.h"
#include "config/passfile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "session/external.h"
#include "wire/auth_scram.h"

static bool
is_set(const char *string)
{
	return string != NULL && string[strspn(string, ", \t")] != '\0';
}

/* --- what follows --- */

/* Would the address mean another machine's pgweir too? */
static bool
is_ambiguous_host(const char *host)
{
	static const char *const addresses[] = {"*", "0.0.0.0", "::", "::1", "localhost"};

	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++)
		if (strcmp(host, addresses[i]) == 0)
			return true;
	return host[0] == '\0' || strncmp(host, "127.", 4) == 0;
}

/* "host:port" of the first listener; the machine's name stands in for addresses that mean any machine. */
static void
first_listener_name(const ProcessOptions *process, char *buf, size_t size)
{
	char host[256] = "";
	const char *start = process->listen_addr + strspn(process->listen_addr, ", \t");
	size_t len = strcspn(start, ", \t");

	if (len < sizeof(host))
	{
		memcpy(host, start, len);
		host[len] = '\0';
	}
	if (is_ambiguous_host(host) && gethostname(host, sizeof(host)) != 0)
		snprintf(host, sizeof(host), "localhost");
	host[sizeof(host) - 1] = '\0';
	snprintf(buf, size, strchr(host, ':') != NULL ? "[%s]:%d" : "%s:%d", host, process->listen_port);
}

/* As PostgreSQL has it: a key is its owner's alone; one of root's may be read by a group. */
static void
check_key_file(const char *path, const char *side, ConfigProblems *problems)
{
	struct stat st;
	mode_t excess;

	if (!is_set(path) || stat(path, &st) != 0)
		return;
	excess = st.st_mode & (st.st_uid == 0 ? S_IWGRP | S_IXGRP | S_IRWXO : S_IRWXG | S_IRWXO);
	if (excess != 0)
		problems_add(problems, PROBLEM_WARNING, NULL,
					 "%s_tls_key_file: others can use the private key \"%s\" (mode %04o); chmod 0600 would do", side, path,
					 (unsigned int) (st.st_mode & 07777));
}

/* The context of one direction, unless it is there already. */
static void
derive_tls(NetTlsContext **context, NetTlsOptions *options, bool accepting, ConfigProblems *problems)
{
	char error[500];

	options->accepting = accepting;
	if (*context != NULL || options->mode == NET_TLS_DISABLE)
		return;
	check_key_file(options->key_file, accepting ? "client" : "server", problems);
	*context = net_tls_context_create(options, error, sizeof(error));
	if (*context == NULL)
		problems_add(problems, PROBLEM_ERROR, NULL, "%s_%s%s", accepting ? "client" : "server",
					 strncmp(error, "tls13", 5) == 0 ? "" : "tls_", error);
}

/* Read at load, reload, and when another key is SET: the lines belong to this configuration. */
static void
derive_passwords(Config *config, ConfigProblems *problems)
{
	config->settings->passwords = NULL;
	if (is_set(config->process.server_passfile))
		passfile_read(config->process.server_passfile, config->settings, &config->_arena, problems);
}

static void
derive_ldap(Config *config, ConfigProblems *problems)
{
	Settings *settings = config->settings;
	const char *text = settings->auth_ldap_options;
	LdapOptions *ldap;
	char why[300];

	settings->ldap = NULL;
	if (!is_set(text))
		return;
	ldap = arena_alloc(&config->_arena, sizeof(*ldap));
	if (ldap == NULL)
		problems_add(problems, PROBLEM_ERROR, NULL, "out of memory");
	else if (ldap_options_parse(ldap, text, &config->_arena, why, sizeof(why)))
		settings->ldap = ldap;
	else
		problems_add(problems, PROBLEM_ERROR, NULL, "auth_ldap_options: %s", why);
}

static void
derive_hba(Config *config, ConfigProblems *problems)
{
	const ProcessOptions *process = &config->process;

	if (config->hba == NULL && config->settings->auth_type == AUTH_TYPE_HBA)
		config->hba = hba_file_read(process->auth_hba_file, process->auth_ident_file, problems);
	config->settings->hba = hba_file_rules(config->hba);
}

/* Users that do not exist should look like most of those that do. */
static void
derive_mock(Settings *settings)
{
	int scram = 0;
	int others = 0;
	int votes = 0; /* for mock_iterations: one vote against cancels one for */

	settings->mock_iterations = 0;
	for (MapNode *node = map_next(&settings->users, NULL); node != NULL; node = map_next(&settings->users, node))
	{
		const char *secret = CONTAINER_OF(node, UserSpec, node)->secret;
		ScramVerifier verifier;

		if (secret == NULL || secret[0] == '\0')
			continue;
		if (!scram_verifier_parse(slice_str(secret), &verifier))
		{
			others++;
			continue;
		}
		scram++;
		if (votes == 0)
			settings->mock_iterations = verifier.iterations;
		votes += verifier.iterations == settings->mock_iterations ? 1 : -1;
		scram_verifier_wipe(&verifier);
	}
	/* as PostgreSQL's password_encryption is by default */
	settings->mock_scram = scram >= others;
	if (!settings->mock_scram)
		settings->mock_iterations = 0;
}

void
config_forget_files(Config *config, const char *key)
{
	Settings *settings = config->settings;
	NetTlsContext **context = strncmp(key, "client_tls", 10) == 0	? &settings->client_tls_context
							  : strncmp(key, "server_tls", 10) == 0 ? &settings->server_tls_context
																	: NULL;

	if (strcmp(key, "auth_hba_file") == 0 || strcmp(key, "auth_ident_file") == 0)
	{
		hba_file_unref(config->hba);
		config->hba = NULL;
	}
	if (context == NULL)
		return;
	net_tls_context_unref(*context);
	*context = NULL;
}

void
config_derive(Config *config, ConfigProblems *problems)
{
	Settings *settings = config->settings;
	char name[300];

	derive_mock(settings);
	derive_passwords(config, problems);
	derive_ldap(config, problems);
	derive_hba(config, problems);
	derive_tls(&settings->client_tls_context, &settings->client_tls, true, problems);
	derive_tls(&settings->server_tls_context, &settings->server_tls, false, problems);

	if (is_set(settings->reporter_name))
		return;
	if (config->process.so_reuseport && is_set(settings->report_user))
		problems_add(
			problems, PROBLEM_WARNING, NULL,
			"so_reuseport without reporter_name: processes on the same port would report under one name");
	first_listener_name(&config->process, name, sizeof(name));
	settings->reporter_name = arena_strdup(&config->_arena, name);
	if (settings->reporter_name == NULL)
		problems_add(problems, PROBLEM_ERROR, NULL, "out of memory");
}

/* --- what cannot work --- */

bool
config_http_address(const char *text, char *host, size_t size, int *port)
{
	const char *colon = text != NULL ? strrchr(text, ':') : NULL;
	const char *digits = colon != NULL ? colon + 1 : text;
	size_t len = colon != NULL ? (size_t) (colon - text) : 0;
	char *end;
	long number;

	if (!is_set(text) || digits[0] < '0' || digits[0] > '9')
		return false;
	number = strtol(digits, &end, 10);
	if (*end != '\0' || number < 1 || number > 65535 || (colon != NULL && len == 0) || len >= size)
		return false;
	if (colon == NULL)
		snprintf(host, size, "127.0.0.1");
	else if (text[0] == '[' && text[len - 1] == ']')
		snprintf(host, size, "%.*s", (int) len - 2, text + 1);
	else if (memchr(text, ':', len) != NULL)
		return false; /* an IPv6 address wants brackets: which colon is the port's? */
	else
		snprintf(host, size, "%.*s", (int) len, text);
	*port = (int) number;
	return host[0] != '\0';
}

static void
check_http(const Config *config, const FilePlace *place, ConfigProblems *problems)
{
	const char *address = config->process.http_listen;
	char host[256];
	int port;

	if (is_set(address) && !config_http_address(address, host, sizeof(host), &port))
		problems_add(problems, PROBLEM_ERROR, place,
					 "http_listen: \"%s\" is not HOST:PORT, as 127.0.0.1:9127, *:9127 or [::1]:9127", address);
}

static void
check_listening(const Config *config, const FilePlace *place, ConfigProblems *problems)
{
	const struct sockaddr_un *address = NULL;
	const char *dir = config->settings->unix_socket_dir;

	if (!is_set(config->process.listen_addr) && !is_set(dir))
		problems_add(problems, PROBLEM_ERROR, place, "nowhere to listen: set listen_addr or unix_socket_dir");
	if (is_set(dir) && strlen(dir) + strlen("/.s.PGSQL.65535") >= sizeof(address->sun_path))
		problems_add(problems, PROBLEM_ERROR, place,
					 "unix_socket_dir: the path is too long for a Unix socket");
}

static void
check_users(const Config *config, const FilePlace *place, ConfigProblems *problems)
{
	const Settings *settings = config->settings;

	if (settings->server_tls.direct && settings->server_tls.mode < NET_TLS_REQUIRE)
		problems_add(problems, PROBLEM_ERROR, place,
					 "server_tls_sslnegotiation = direct needs server_tls_sslmode = require, verify-ca or verify-full: there is no way back to plain text");
	if (settings->auth_type == AUTH_TYPE_HBA && !is_set(config->process.auth_hba_file))
		problems_add(problems, PROBLEM_ERROR, place, "auth_type = hba needs auth_hba_file");
	if (settings->auth_type == AUTH_TYPE_LDAP && settings->ldap == NULL)
		problems_add(problems, PROBLEM_ERROR, place, "auth_type = ldap needs auth_ldap_options");
	if ((settings->auth_type == AUTH_TYPE_LDAP && !external_has_ldap()) || (settings->auth_type == AUTH_TYPE_PAM && !external_has_pam()))
		problems_add(problems, PROBLEM_ERROR, place, "auth_type: this program was built without %s", settings->auth_type == AUTH_TYPE_PAM ? "PAM" : "LDAP");
	if (settings->auth_type == AUTH_TYPE_CERT && settings->client_tls.mode < NET_TLS_VERIFY_CA)
		problems_add(problems, PROBLEM_ERROR, place, "auth_type = cert needs client_tls_sslmode = verify-full or verify-ca");
	if (settings->auth_type == AUTH_TYPE_PAM || settings->auth_type == AUTH_TYPE_LDAP)
		return;
	if (settings->auth_type != AUTH_TYPE_ANY)
	{
		if (!is_set(config->process.auth_file))
			problems_add(problems, PROBLEM_WARNING, place,
						 "auth_file is not set: no user is known, so nobody can log in");
		return;
	}
	for (int i = 0; i < settings->database_count; i++)
	{
		if (settings->databases[i].user != NULL)
			continue;
		problems_add(problems, PROBLEM_WARNING, place,
					 "auth_type = any: database \"%s\" cannot be used, since its entry has no user=",
					 settings->databases[i].name);
		return;
	}
}

static void
check_databases(const Config *config, const FilePlace *place, ConfigProblems *problems)
{
	const Settings *settings = config->settings;
	const char *name = settings->report_database;

	if (settings->database_count == 0 && settings->database_template == NULL)
		problems_add(problems, PROBLEM_WARNING, place,
					 "the section [databases] has no entry: only the console can be reached");
	if (is_set(settings->auth_dbname) && strcmp(settings->auth_dbname, "pgbouncer") == 0)
		problems_add(problems, PROBLEM_ERROR, place, "auth_dbname: the console has no users to ask for");
	if (is_set(name) && settings_find_database(settings, name) == NULL && settings->database_template == NULL)
		problems_add(problems, PROBLEM_ERROR, place,
					 "report_database: there is no entry \"%s\" in [databases]", name);
}

static void
check_deadlines(const Config *config, const FilePlace *place, ConfigProblems *problems)
{
	const Settings *settings = config->settings;

	if (settings->max_query_deadline_us > 0 && settings->query_deadline_us > settings->max_query_deadline_us)
		problems_add(problems, PROBLEM_WARNING, place,
					 "query_deadline is longer than max_query_deadline, which counts");
}

void
config_validate(const Config *config, const char *path, ConfigProblems *problems)
{
	const FilePlace place = {path, 0};

	if (!is_set(config->process.conffile))
		problems_add(problems, PROBLEM_ERROR, &place, "conffile must not be empty");
	check_listening(config, &place, problems);
	check_http(config, &place, problems);
	check_users(config, &place, problems);
	check_databases(config, &place, problems);
	check_deadlines(config, &place, problems);
}
