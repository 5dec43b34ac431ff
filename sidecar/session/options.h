/*
 * options.h: everything the sessions need to be told, as plain data.  config/ fills it; nothing here knows a file.
 *
 * A Settings object is immutable once published; a reload builds a new one and hands it to worker_apply_settings(),
 * which keeps it until the next.  Strings are owned by the Settings object (its arena).
 */
#ifndef PGWEIR_SESSION_OPTIONS_H
#define PGWEIR_SESSION_OPTIONS_H

#include "base/clock.h"
#include "base/map.h"
#include "net/tls.h"
#include "session/hba.h"

typedef enum PoolMode
{
	POOL_MODE_SESSION,
	POOL_MODE_TRANSACTION,
	POOL_MODE_STATEMENT,
	POOL_MODE_INHERIT = -1
} PoolMode;

typedef enum AuthType
{
	AUTH_TYPE_ANY,
	AUTH_TYPE_TRUST,
	AUTH_TYPE_PLAIN,
	AUTH_TYPE_MD5,
	AUTH_TYPE_SCRAM_SHA_256,
	AUTH_TYPE_CERT,
	AUTH_TYPE_PAM,
	AUTH_TYPE_LDAP,
	AUTH_TYPE_HBA,	 /* as the rule that fits says */
	AUTH_TYPE_PEER,	 /* only by a rule */
	AUTH_TYPE_REJECT /* likewise */
} AuthType;

#define OPTION_INHERIT (-1) /* int and usec_t fields of DatabaseSpec and UserSpec: not set here */

/* One entry of [databases]. */
typedef struct DatabaseSpec
{
	const char *name;
	const char *dbname;			 /* on the server; NULL only in the template: the database's own name */
	const char *host;			 /* NULL = Unix socket in unix_socket_dir; comma-separated list allowed */
	int port;
	const char *user;			 /* forced server user or NULL */
	const char *password;		 /* of the forced user or NULL */
	const char *client_encoding, *datestyle, *timezone, *application_name; /* sent at server login, or NULL */
	const char *connect_query;	 /* or NULL */
	const char *auth_user, *auth_dbname, *auth_query; /* or NULL: those of Settings */
	int pool_size, min_pool_size, reserve_pool_size;
	int max_db_connections, max_db_client_connections;
	PoolMode pool_mode;
	usec_t server_lifetime_us, query_wait_timeout_us;
	usec_t query_deadline_us, max_query_deadline_us, transaction_deadline_us; /* 0 = none */
	bool load_balance_disabled;
	bool from_template;			 /* made on demand from `*` */
} DatabaseSpec;

/* One user: from [users] and/or the auth file. */
/* worker_threads at most. */
#define WORKERS_MAX 16

typedef struct UserSpec
{
	MapNode node;				 /* Settings.users, by name */
	const char *name;
	const char *secret;			 /* plain, md5..., SCRAM-SHA-256$..., "" = none; NULL = not in the auth file */
	PoolMode pool_mode;
	int pool_size, reserve_pool_size, max_user_connections, max_user_client_connections;
	usec_t query_timeout_us, idle_transaction_timeout_us, transaction_timeout_us, client_idle_timeout_us;
	usec_t query_wait_timeout_us;
	usec_t query_deadline_us, max_query_deadline_us, transaction_deadline_us;
} UserSpec;

/* One entry of [peers]: another process that serves the same clients. */
typedef struct PeerSpec
{
	struct PeerSpec *next; /* by id */
	int id;
	const char *host;
	int port;
	int pool_size; /* cancel requests on their way there at once */
} PeerSpec;

/* One entry of [limits]: what holds for requests that fit all that is given.  The first entry that fits applies. */
typedef struct LimitSpec
{
	struct LimitSpec *next; /* as in the file */
	const char *name;
	const char *user, *database, *application_name; /* NULL = any; a * at the end stands for any rest */
	const char *tag;		   /* "key=value", likewise; NULL = any */
	const char *fingerprint;   /* as SHOW CLASSES prints it; NULL = any */
	uint64_t fingerprint_bits; /* the same as a number; 0 = any */
	int max_active;			   /* OPTION_INHERIT or 0 = no limit */
	int max_waiting;		   /* likewise */
	usec_t query_deadline_us;  /* OPTION_INHERIT = not set here, 0 = none */
} LimitSpec;

/* A line of the password file; "*" fits everything. */
typedef struct ServerPassword
{
	const char *host, *port, *database, *user, *password;
	const struct ServerPassword *next;
} ServerPassword;

typedef struct Settings Settings;
struct Settings
{
	/* who and how */
	AuthType auth_type;
	const char *auth_user;				   /* NULL and "" = no auth_query */
	const char *auth_dbname;			   /* NULL = the database that the client wants */
	const char *auth_query;
	const char *auth_ldap_options; /* or NULL */
	const LdapOptions *ldap;	   /* what that says; NULL without it */
	const char *auth_pam_service;
	/* what users that do not exist are made to look like: most of those in the auth file */
	bool mock_scram;		  /* they have SCRAM secrets */
	uint32_t mock_iterations; /* ... of so many iterations; 0 = scram_iterations */
	const HbaRules *hba;				   /* with auth_type hba; borrowed: lives as long as the Settings */
	const char *admin_users, *stats_users; /* comma-separated */
	const char *ignore_startup_parameters; /* comma-separated */
	const char *track_extra_parameters;	   /* comma-separated */
	bool application_name_add_host;
	const char *login_notify_message; /* "" = none */
	PoolMode pool_mode;
	/* sizes */
	int max_client_conn, default_pool_size, min_pool_size, reserve_pool_size;
	int max_db_connections, max_user_connections, max_db_client_connections, max_user_client_connections;
	int max_waiting_clients;
	int max_login_clients;
	int worker_spread; /* a SpreadMode */
	int max_prepared_statements;
	uint32_t max_packet_size;
	uint32_t max_client_statement_bytes; /* 0 = any */
	/* durations, 0 = off unless said */
	usec_t reserve_pool_timeout_us, query_timeout_us, query_wait_timeout_us, query_wait_notify_us;
	usec_t client_idle_timeout_us, client_login_timeout_us, idle_transaction_timeout_us, transaction_timeout_us;
	usec_t server_idle_timeout_us, server_lifetime_us, server_connect_timeout_us, server_login_retry_us;
	usec_t autodb_idle_timeout_us, pool_idle_timeout_us;
	usec_t server_check_delay_us, cancel_wait_timeout_us, suspend_timeout_us, stats_period_us;
	usec_t dns_max_ttl_us, dns_nxdomain_ttl_us, dns_zone_check_period_us;
	const char *resolv_conf; /* "" = the system's */
	/* deadlines and overload */
	usec_t query_deadline_us, max_query_deadline_us, transaction_deadline_us, deadline_grace_us;
	bool cancel_on_disconnect, admission, adaptive_pool;
	int slow_lane_percent, slow_lane_ratio;
	/* servers */
	const char *server_check_query; /* "<empty>" = empty query, "" = no check */
	const char *server_reset_query;
	bool server_reset_query_always, server_round_robin, server_fast_close;
	bool disable_pqexec;
	int scram_iterations;
	/* sockets */
	NetSocketOptions socket_options;
	const char *unix_socket_dir;
	/* TLS; the contexts are NULL where the mode is disable, and owned by who owns the Settings */
	NetTlsOptions client_tls, server_tls;
	NetTlsContext *client_tls_context, *server_tls_context;
	/* logs */
	bool log_connections, log_disconnections, log_pooler_errors, log_stats;
	/* report to the extension */
	usec_t report_interval_us;		/* 0 = off */
	const char *report_database;	/* a [databases] entry; "" = the first by name */
	const char *report_user;		/* role that reports; "" = off */
	const char *reporter_name;
	/* tables */
	const DatabaseSpec *databases; /* sorted by name */
	int database_count;
	const DatabaseSpec *database_template; /* `*` or NULL; not among databases */
	Map users;
	const ServerPassword *passwords; /* in the order of the file; NULL = none */
	int peer_id;		   /* our own; 0 = no peering */
	const PeerSpec *peers; /* sorted by id, the own one among them if listed; NULL = none */
	const LimitSpec *limits; /* NULL = none */
};

/* --- lookups; NULL when there is none --- */

extern const DatabaseSpec *settings_find_database(const Settings *settings, const char *name);
extern const UserSpec *settings_find_user(const Settings *settings, const char *name);
/* The password in the password file for this user of a server; NULL when no line fits. */
extern const char *settings_find_password(const Settings *settings, const char *host, int port, const char *database, const char *user);
/* Is name one of a comma-separated list (blanks around the items ignored, case kept)?  NULL and "" hold nothing. */
extern bool settings_list_has(const char *list, const char *name);

/* --- for who fills a Settings --- */

/* An empty table of users. */
extern void settings_init_users(Settings *settings);
/* Add a user (borrowed: lives as long as settings), whose name is not there yet. */
extern void settings_add_user(Settings *settings, UserSpec *user);

#endif
