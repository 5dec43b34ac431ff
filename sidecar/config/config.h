/*
 * config.h: one complete configuration: what the files and the command line say, checked.
 *
 * A Config is built as a whole or not at all, and does not change afterwards: RELOAD and SET make another
 * one.  So a bad file leaves the old one in use, untouched.  How a caller changes over:
 *
 *     Config *fresh = config_reload(running, &problems);
 *     ... log the problems ...
 *     if (fresh != NULL)
 *     {
 *         worker_apply_settings(worker, fresh->settings);
 *         config_free(running);
 *         running = fresh;
 *     }
 *
 * Everything inside is owned by the Config and gone with it: who must keep something longer copies it.
 * Nothing here logs, opens sockets or knows a connection.  No locking: the owner is one thread.
 */
#ifndef PGWEIR_CONFIG_CONFIG_H
#define PGWEIR_CONFIG_CONFIG_H

#include <stdio.h>
#include "config/arena.h"
#include "config/hba.h"
#include "config/problems.h"
#include "config/settings.h"
#include "session/options.h"

/* The parts of http_listen: "HOST:PORT", "[IPV6]:PORT" or "PORT" for the loopback.  False: it is empty, or none of these. */
extern bool config_http_address(const char *text, char *host, size_t size, int *port) MUST_CHECK;

/* What the process needs and the sessions do not. */
typedef struct ProcessOptions
{
	/* listening; fixed at the start.  Settings.unix_socket_dir is the directory of the Unix socket too. */
	const char *listen_addr; /* comma-separated; "*" = all, "" = Unix socket only */
	int listen_port;
	int listen_backlog;
	int unix_socket_mode;
	const char *unix_socket_group; /* "" = leave it */
	bool so_reuseport;
	int tcp_defer_accept; /* 0 = off */
	const char *http_listen; /* host:port; "" = none */
	/* the log: apply again after a reload */
	const char *logfile; /* "" = none */
	bool syslog;
	const char *syslog_facility;
	const char *syslog_ident;
	int verbose;
	/* the process; fixed at the start */
	const char *pidfile; /* "" = none */
	bool core_dump_memory; /* core dumps are whole */
	const char *user;    /* to switch to when started as root, or NULL */
	int event_backend;	 /* a NetBackend */
	int worker_threads;  /* 0 = one a core, 8 at most */
	/* files */
	const char *server_passfile; /* or NULL; already read into Settings.passwords */
	const char *auth_file; /* or NULL; already read into Settings.users */
	const char *auth_hba_file, *auth_ident_file; /* "" or NULL = none; already read into Settings.hba */
	const char *conffile;  /* what config_reload reads; never NULL */
	/* kept to be shown; without effect, see the help of their rows */
	const char *job_name;
	int pkt_buf;
	int sbuf_loopcnt;
} ProcessOptions;

/* What the command line says; it beats the files, also after a reload. */
typedef struct ConfigOverrides
{
	const char *user; /* -u NAME, or NULL */
	int verbose;      /* number of -v: the least value of `verbose` */
} ConfigOverrides;

typedef struct Config
{
	ProcessOptions process;
	Settings *settings; /* owned; never NULL */
	HbaFile *hba;		/* a reference; what Settings.hba is part of */
	ConfigOverrides overrides;
	Arena _arena;
} Config;

/*
 * Load a file with all it includes, and the auth file.  NULL if there is any error; problems (which the
 * caller has zeroed and frees) holds all errors, and also the warnings of a configuration that is fine.
 * overrides may be NULL.
 */
extern Config *config_load(const char *path, const ConfigOverrides *overrides,
						   ConfigProblems *problems) MUST_CHECK;
/*
 * Load running->process.conffile again.  Keys that cannot change while running keep their values, with a
 * note; so does each changed key get one ("query_timeout changed from 0 to 5").  running is not touched.
 */
extern Config *config_reload(const Config *running, ConfigProblems *problems) MUST_CHECK;
/*
 * The console's SET: a copy of running with one key changed, which lasts until the next reload; the caller
 * applies it and frees the old one, as after a reload.  NULL with a text in error if the key is unknown or
 * the value refused.  A key that cannot change while running is accepted and ignored, as PgBouncer does: the
 * result is then an equal copy.
 */
extern Config *config_set(const Config *running, const char *key, const char *value, char *error,
						  size_t error_size) MUST_CHECK;
extern void config_free(Config *config);

/* A row of SHOW CONFIG.  Strings live as long as the Config, or as this struct. */
typedef struct ConfigShown
{
	const char *key;
	const char *value;   /* NULL = unset */
	const char *initial; /* the default, as written in a file; NULL = unset */
	bool changeable;
	char _text[CONFIG_VALUE_TEXT];
} ConfigShown;

/* Row number i = 0, 1, ... in the order of SHOW CONFIG; false behind the last. */
extern bool config_show(const Config *config, int i, ConfigShown *out);

/* `pgweir --check FILE`: print every problem, one a line, then a closing line; true if the file can be used.
 */
extern bool config_check(const char *path, FILE *out);
/*
 * `pgweir --list-settings`: one line a key, fields separated by tabs: section, key, type, default, reload
 * (yes/no), effect (yes, or no when only the default is accepted), help.  The man page and the sample file
 * are checked against it.
 */
extern void config_list(FILE *out);

#endif
