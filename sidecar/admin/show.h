/*
 * show.h: inside of admin/: the SHOW commands.  Columns, their types and order are PgBouncer's; what is ours has commands of its own.
 *
 * A handler writes one result set (columns and rows, or a notice) into show->result; the caller ends the answer.  Handlers only
 * read.  Lists of connections can be long and are written in pieces: see ShowWalk.
 */
#ifndef PGWEIR_ADMIN_SHOW_H
#define PGWEIR_ADMIN_SHOW_H

#include "admin/averages.h"
#include "admin/result.h"
#include "session/session.h"

struct Config;
struct pg_result;

typedef struct Show
{
	Worker *worker;
	const Averages *averages;
	const struct Config *config;
	const char *version; /* of pgweir */
	const char *help;	 /* a line a command */
	const NetListener *listeners;
	int listener_count;
	usec_t now;
	Result *result;
} Show;

/*
 * A long list that is being written in pieces, in several turns of the loop.  Zeroed before the first piece; the cursor is ended after
 * the last, or when the rest is not wanted.
 */
typedef struct ShowWalk
{
	HallWalk cursor;   /* begun when started, and not at the end of the last list */
	int list;		   /* number of the list the cursor is in */
	bool started;	   /* the columns are written */
} ShowWalk;

/* Connections looked at for one piece. */
#define SHOW_PIECE 500

typedef struct ShowRow
{
	const char *name;
	void (*all)(const Show *show);
	bool (*piece)(const Show *show, ShowWalk *walk); /* instead of all: the next piece; true when that was the last */
	const char *sql; /* instead of both: what the extension is asked */
	bool admin_only; /* not for those who may only read */
} ShowRow;

/* The row of that name (any case), or NULL. */
extern const ShowRow *show_find(const char *name);
/* What drivers ask a server: SHOW timezone and the like; NULL when it is not one. */
extern const char *show_fixed_value(const char *name);

/* show_config.c */
extern void show_help(const Show *show);
extern void show_version(const Show *show);
extern void show_state(const Show *show);
extern void show_config(const Show *show);
extern void show_lists(const Show *show);
extern void show_mem(const Show *show);
extern void show_dns_hosts(const Show *show);
extern void show_dns_zones(const Show *show);
extern void show_peers(const Show *show);
extern void show_peer_pools(const Show *show);

/* show_fds.c */
extern void show_fds(const Show *show);
/* The same for the process that takes this one's place: the listening sockets themselves; false when that failed. result_done is left to do. */
extern bool show_fds_hand_over(const Show *show, Client *client) MUST_CHECK;

/* show_pools.c */
extern void show_databases(const Show *show);
extern void show_users(const Show *show);
extern void show_pools(const Show *show);

/* show_sockets.c */
extern bool show_clients(const Show *show, ShowWalk *walk);
extern bool show_servers(const Show *show, ShowWalk *walk);
extern bool show_sockets(const Show *show, ShowWalk *walk);
extern bool show_active_sockets(const Show *show, ShowWalk *walk);

/* show_stats.c */
extern void show_stats(const Show *show);
extern void show_stats_totals(const Show *show);
extern void show_stats_averages(const Show *show);
extern void show_totals(const Show *show);

/* show_deadlines.c: ours */
extern void show_deadlines(const Show *show);
extern void show_admission(const Show *show);
extern void show_classes(const Show *show);
extern void show_limits(const Show *show);
extern void show_statements(const Show *show);

/* show_workers.c: ours */
extern void show_workers(const Show *show);

/* show_extension.c: what the extension answers, as it is */
extern void show_answer(Result *result, const struct pg_result *answer);

/* --- helpers they share --- */

/* All pools by database and user name, an array for free(); NULL with *count = 0 when there is none, or (result failed) no memory. */
extern SessionPool **show_sorted_pools(const Show *show, size_t *count);
/* Console clients that are logged in. */
extern int show_console_clients(const Worker *worker);
extern const char *show_pool_mode(PoolMode mode);
/* "round-robin", "disable", or NULL when the host is no list. */
extern const char *show_load_balance(const DatabaseSpec *spec);
/* Is an idle server due for a check before its next use ("used")? */
extern bool show_is_used(const Worker *worker, const PoolSlot *slot, usec_t now);
extern int show_listen_port(const Show *show);

#endif
