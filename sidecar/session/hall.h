/*
 * hall.h: what the files that look after the whole say to each other; nobody else includes it.
 *
 *   hall.c    databases, roles, pools          operations.c  what an operator asks for
 *   worker.c  threads, parking, posts          move.c        clients that change workers
 *   idle.c    what nobody uses                 half_open.c   clients that have not logged in
 *   trim.c    memory that can be given back    cancel.c      cancel requests, which look for their client everywhere
 */
#ifndef PGWEIR_SESSION_HALL_H
#define PGWEIR_SESSION_HALL_H

#include "session/session.h"

/* --- hall.c --- */
extern int hall_database_limit(const Hall *hall, const DatabaseSpec *spec);
/* The spec of an automatic database: the template under the client's name for it. */
extern void database_from_template(Database *database, const DatabaseSpec *template);
extern void session_pool_limits(const SessionPool *pool, PoolLimits *limits);
extern PoolMode session_pool_mode(const SessionPool *pool);

/* --- idle.c --- */
/* The private pool of a replication client of this one has gone. */
extern void idle_lost_dedicated(Worker *worker, SessionPool *pool);

/* --- half_open.c --- */
extern bool hall_has_too_many_half_open(Hall *hall);
/* Close those of this worker that were sent away. */
extern void worker_send_away(Worker *worker);

/* --- trim.c --- */
extern void trim_init(Hall *hall);
/* At the end of a turn of any worker: have many clients gone? */
extern void trim_look(Worker *worker);
extern void trim_stop(Hall *hall);

/* --- worker.c: posts, by which one worker reaches another --- */
typedef enum PostKind
{
	POST_ACCEPTED, /* a connection */
	POST_LOGIN,	   /* a client that logs in, from another worker */
	POST_CLIENT,   /* one that is logged in */
	POST_CANCEL,   /* a cancel request for a client */
	POST_CANCELED, /* ... has been dealt with, wherever that was: back to where it came from */
	POST_HOST,	   /* a host has other addresses */
} PostKind;

typedef struct WorkerPost
{
	ListNode node; /* Worker.posts */
	PostKind kind;
	int fd;
	NetPeer peer;
	uint64_t id;
	Client *client; /* owned; of a cancel request borrowed, who sent it: NULL once it has left */
	Worker *from;	/* borrowed: whose client it was */
	AppCount app;	/* what it counted among there */
	uint8_t key[8];
	ListNode waiting; /* Worker.cancels_elsewhere of `from`, which alone touches this and the client */
	char *host;			   /* owned */
	NetAddress *addresses; /* owned */
	int count;
} WorkerPost;

/* Takes the post over, which was allocated. */
extern void worker_post(Worker *to, WorkerPost *item);

/* --- cancel.c --- */
/* Deal with a cancel request that came from another worker, or pass it on. */
extern void cancel_take(Worker *worker, WorkerPost *item);
/* It has been dealt with, and its connection can go. */
extern void cancel_taken(Worker *worker, WorkerPost *item);

/* --- move.c --- */
/* Those that are `leaving` go now. */
extern void move_send_leavers(Worker *worker);
/* They have come. */
extern void move_take_login(Worker *worker, Client *client);
/* False: it could not be taken in, and the post was sent on. */
extern bool move_take_client(Worker *worker, WorkerPost *item) MUST_CHECK;
/* A window has passed: how busy was the worker in it, and who is to go? */
extern void move_look(Worker *worker);
/* Who gets a new client; by the first worker. */
extern Worker *move_choose_worker(Hall *hall);

/* --- worker.c --- */
/* The loop stays the caller's.  NULL when out of memory or descriptors. */
extern Worker *worker_create(Hall *hall, int index, NetLoop *loop);
extern void worker_free(Worker *worker);
/* In the policy: the servers that have moved here belong to the worker's loop from now on. */
extern void worker_take_arrivals(Worker *worker);
extern ResolverOptions worker_resolver_options(Worker *worker, const Settings *settings);
/* There is something for it to do: end its sleep.  From any thread. */
extern void worker_call(Worker *worker);

#endif
