/*
 * session.h: the objects of the data path: the Hall with databases, roles and pools, and its Workers with clients and servers.
 *
 *   Hall ── Database (by name) ─┐
 *        ├─ Role (by name) ─────┴─ SessionPool (database, role) ── PoolPart (one a worker)
 *        └─ Worker ── Client ── Server while linked
 *                  └─ Server (one per slot of a pool)
 *
 * Threads.  A Worker is a thread with a NetLoop.  What hangs off it belongs to it: nobody else reads or writes it.  What hangs off the
 * Hall is shared, and each part of it is guarded in one of these ways:
 *
 *   Hall.policy (mutex)  Pool, PoolGroup, PoolActions, Worker.arrivals, SessionPool.tick_at: between policy_enter() and policy_leave(),
 *                        where nothing is done but to ask the policy.  What it decides is queued for the worker that owns the object
 *                        (pool.h, Homes), which carries it out outside; only the owner of a client or server closes it, so what it has
 *                        taken from its queue stays true until it is done with it.
 *   Hall.tables (mutex)  the maps and lists of databases, roles, pools and cancel keys; what a login changes in them (counts of clients,
 *                        secrets of roles, a pool's welcome and last error, who is half open).  Taken by logins and ends of sessions, not by transactions.
 *   the registries       (params.h, prepared.h) lock by themselves, and only to make and to end an entry.
 *   parked               everything else (settings, pause, modes, phase) changes only while all other workers are parked at the end of
 *                        a turn: hall_park() ... hall_unpark(), by the first worker.  Meanwhile that one thread may touch everything,
 *                        as if there were no other: console, averages, reports, reload, signals run so.
 *   Hall.spread_lock     who is busy, and how many workers serve clients (move.c).
 *   atomics              whatever is declared so: counts, numbers to draw, flags that say there is something to look at; and the spare servers of
 *                        a Lease, by which a transaction that stays on its worker gets along without Hall.policy: lease.h.
 *
 * Order: tables before policy before a registry, Hall.spread_lock or Worker.post_lock; nothing that may block is called under any of them, and a worker
 * parks with none of them held.  With one worker no lock is taken.
 *
 * A server that is granted to a client of another worker moves there first: at the end of its worker's turn it is detached from the
 * loop, and both its home in the policy and its Worker change in the same section of Hall.policy, which also puts it among the arrivals of
 * the new worker.  That one takes arrivals in whenever it enters the policy, so nothing that is decided there ever meets a server that is not at home: no
 * action, and no request that finds a server idle whose grant came to nothing on its way.
 *
 * A client whose work is to be done elsewhere goes there between two transactions: move.c.
 *
 * A request of a client is a *group*: one Query (or FunctionCall), or the extended-protocol messages up to Sync.  A group ends with
 * one ReadyForQuery.  In transaction mode a client is linked to a server from the first message of a group until a
 * ReadyForQuery says "idle" with nothing outstanding.
 *
 * Life ends in one place: *_close() takes an object out of every list and map at once and closes its socket; its memory is
 * freed by the loop's on_released at the end of the iteration.
 */
#ifndef PGWEIR_SESSION_SESSION_H
#define PGWEIR_SESSION_SESSION_H

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "base/histogram.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "net/jobs.h"
#include "net/net.h"
#include "net/resolver.h"
#include "net/tls.h"
#include "pool/pool.h"
#include "pool/spread.h"
#include "session/class_text.h"
#include "session/derive.h"
#include "session/options.h"
#include "session/apps.h"
#include "session/params.h"
#include "session/prepared.h"
#include "session/repeats.h"
#include "session/stats.h"
#include "wire/auth_scram.h"

typedef struct Hall Hall;
typedef struct Worker Worker;
typedef struct Client Client;
typedef struct Server Server;
typedef struct Database Database;
typedef struct Role Role;
typedef struct SessionPool SessionPool;
typedef struct PoolPart PoolPart;
typedef struct Dedicated Dedicated;
typedef struct PeerCancel PeerCancel;
typedef struct ClientLogin ClientLogin;
typedef struct ServerLogin ServerLogin;
typedef struct AuthLookup AuthLookup;
typedef struct Limit Limit;
typedef struct Lease Lease;

/* --- clients --- */

typedef enum ClientState
{
	CLIENT_STARTUP, /* waits for the startup packet; list logins */
	CLIENT_AUTH,	/* authentication dialogue; list logins */
	CLIENT_WELCOME, /* authenticated; waits for a server connection to learn the server's parameters; list logins */
	CLIENT_IDLE,	/* logged in, no server; list clients */
	CLIENT_WAITING, /* its request is in the pool's queue; input paused; list clients */
	CLIENT_SYNCING, /* linked; its session parameters are being set on the server; input paused; list clients */
	CLIENT_ACTIVE,	/* linked; list clients */
	CLIENT_CONSOLE, /* talks to the admin console; list clients */
	CLIENT_CLOSED,	/* on no list; freed by on_released */
} ClientState;

/* What happens to the rest of a group that was answered by the sidecar itself. */
typedef enum ClientReject
{
	REJECT_NONE,
	REJECT_TO_SYNC,	 /* an error was sent: drop messages up to Sync, answer that with ReadyForQuery */
	REJECT_MESSAGE,	 /* drop the one message that is being read (a large Query), then ReadyForQuery */
	REJECT_COPY,	 /* our CopyFail was sent: drop CopyData up to CopyDone or CopyFail */
} ClientReject;

struct Client
{
	NetConn conn;
	Worker *worker; /* borrowed; the first one for the console; another one after a move (move.c), in Hall.tables */
	ClientState state;
	uint8_t cancel_key[8];
	union
	{
		ListNode half_node;	 /* Hall.half_open or Worker.sent_away, until it has proved who it is; Hall.tables */
		MapNode cancel_node; /* Hall.cancel_keys, from login on */
	};
	ListNode node;
	uint64_t id;
	NetPeer peer;

	Database *database;	 /* borrowed, set by the startup packet */
	Role *role;			 /* borrowed, set by the startup packet */
	SessionPool *pool;	 /* borrowed, set after login; NULL for the console */
	Server *server;		 /* borrowed while SYNCING and ACTIVE */
	PoolWaiter waiter;	 /* queued while WAITING and WELCOME */
	Timer timer;		 /* the earliest of everything that can happen to this client by time */
	const ParamSet *params; /* counted reference */
	ClientStatements *statements; /* owned; NULL until the first named one */
	Statement *unnamed;		 /* counted; its unnamed one, where the text may be needed again: unnamed.h */
	uint64_t unnamed_number; /* 0 = it has none */
	ClientLogin *login;	 /* owned; NULL after login */
	char *startup_app;	 /* owned; application_name suffix base when application_name_add_host */

	/* the message being read */
	size_t stream_left;	 /* bytes of it still to come */
	bool stream_drop;	 /* ... and to be dropped rather than forwarded */
	bool stream_ends_group; /* ... after which the group is complete */

	/* the group being read or run */
	bool in_group;		 /* extended messages since the last Sync were forwarded */
	bool group_begun;	 /* its accounts are opened, and its first message is still unread: it waited for its server */
	bool group_seen_whole; /* its end was visible when it began, so its deadline runs already */
	bool group_extended;
	bool console_admin;	 /* CONSOLE: all commands, not only SHOW */
	bool tx_failed;		 /* the server was taken away inside a transaction: we answer until its end */
	bool local_ends_tx;	 /* tx_failed: the statement parsed last is ROLLBACK or COMMIT */
	bool local_skip;	 /* ... an error was given: drop up to Sync */
	bool local_ran;		 /* ... and that statement was executed */
	bool local_open;	 /* ... it was taken away in the middle of a group, whose Sync is still to come */
	bool local_implicit; /* ... whose transaction ends with it: there is no transaction block */
	bool tx_untold;		 /* tx_failed: by its deadline while idle, and the client has not been told yet */
	bool by_transaction; /* the running group's deadline is that of its transaction */
	bool bad_deadline_told;
	bool hold;			 /* the next group must wait for the running one (deadline, cancel in flight) */
	bool hold_behind;	 /* ... from the end of the group that is being read on: forward_forgets_names() */
	bool wait_notified;	 /* query_wait_notify was sent for this wait */
	bool suspended;
	bool half_open;		 /* in one of these */
	atomic_bool login_busy; /* half open, and something is being done for it: others are sent away rather than it */
	bool has_key;		 /* in Hall.cancel_keys */
	bool counted;		 /* in the clients of its database, role and pool */
	bool quiet;			 /* a cancel request: not worth a log line */
	bool expired;		 /* a cancel for the deadline of the running group is under way */
	bool leaving;		 /* STARTUP, IDLE: goes to another worker at the end of the turn; it stands first in its list */
	bool rerun;			 /* what is being sent was sent before: request_again() */
	bool unhurried;		 /* logged in, and no setting limits the time of what it does: deadline_look_at_settings() */
	uint8_t leave_to;	 /* leaving: to that worker */
	ClientReject reject;
	const char *sent_away; /* static; half open, and to be closed with this for another to come in; Hall.tables */
	const char *doom, *doom_fatal; /* static; close with these once what was read is sent on */
	usec_t group_since;	 /* when it arrived (or was queued) */
	usec_t held_since;	 /* hold: when the next group arrived; 0 = none is held */
	usec_t waited_us;	 /* its time in the queue */
	usec_t granted_at;	 /* when it got its server */
	usec_t budget_us;	 /* its deadline as a duration, 0 = none */
	deadline_t deadline; /* armed from the moment the group is complete */
	deadline_t grace_until;
	uint64_t fingerprint;/* class of its first statement, 0 = not computed */
	uint32_t run_length; /* groups of that class in a row, outside of transactions */
	uint32_t rested_in;	 /* Worker.window in which it last ended a transaction */
	AppCount *app;		 /* borrowed: of Worker.apps; NULL before login */
	const Limit *limit;	 /* borrowed: the rule that the group is under, or NULL */

	usec_t session_deadline_us; /* from startup parameter or SET; 0 = none, -1 = not given */
	usec_t connect_time, request_time, idle_since, tx_since, write_blocked_since;
};

/* --- servers --- */

/* The group that is being kept, after ... */
typedef enum ReplayAt
{
	REPLAY_NOWHERE,	  /* none is */
	REPLAY_FAKED,	  /* a Parse that was not sent on: the next message counts as the first */
	REPLAY_BIND,
	REPLAY_DESCRIBE,  /* of the portal */
	REPLAY_EXECUTE,	  /* or Describe of a statement: the group may end here */
} ReplayAt;

/* What can be run again on a server connection: replay.h. */
typedef struct Replay
{
	Buf kept;	  /* the last groups that were sent, as the client sent them */
	const uint8_t *run; /* borrowed while the client's input is walked: what comes behind that, where it was read */
	size_t run_len;
	int groups;	  /* ... that are whole */
	ReplayAt at;
	Buf withheld; /* what was answered to those that are to be run again */
	int withheld_groups;
	bool failed;  /* the group at the head of the queue is such a one, and has not ended */
	char code[6]; /* why */
	Buf types;	  /* ParameterDescription of a statement, until its columns show that it is not one of those that are refused */
	Buf again;	  /* what is left to run again */
} Replay;

typedef enum ServerState
{
	SERVER_RESOLVING,  /* waits for DNS; slot OPENING */
	SERVER_CONNECTING, /* slot OPENING */
	SERVER_LOGIN,	   /* slot OPENING */
	SERVER_IDLE,	   /* slot IDLE, or ACTIVE while it is a spare one on lease: lease.h */
	SERVER_SYNCING,	   /* linked; setting the client's parameters; slot ACTIVE */
	SERVER_ACTIVE,	   /* linked; slot ACTIVE */
	SERVER_CLEANING,   /* between clients; slot CLEANING */
	SERVER_CLOSED,	   /* in no list; freed by on_released */
} ServerState;

struct Server
{
	NetConn conn;
	PoolSlot slot;
	Worker *worker;		/* borrowed; changes when it moves */
	SessionPool *pool;	/* borrowed */
	ServerState state;
	ListNode node;		/* Worker.servers, or arrivals */
	uint64_t id;
	Client *client;		/* borrowed while SYNCING and ACTIVE */
	ServerLogin *login; /* owned; NULL after login */
	ResolverQuery *dns; /* while RESOLVING */
	NetAddress address;
	char host[64];		/* as asked, for the log and SHOW */
	int port;

	uint32_t backend_pid;
	uint8_t cancel_key[32];
	uint8_t cancel_key_len;
	char tx_status;		/* of the last ReadyForQuery: I, T, E */
	bool copy_in;		/* the server reads CopyData */
	bool copy_in_ending;/* CopyDone or CopyFail has been sent */
	bool skipping;		/* after an error in the extended protocol: it drops messages up to a Sync not yet sent */
	bool needs_reset, needs_check;
	bool rewrite_cancel;/* the next 57014 is our deadline's */
	bool own_query, own_query_failed; /* a statement of the sidecar's own (SET, reset, check) is running; it failed */
	bool connect_query_sent;
	bool fatal_error;	/* the server said FATAL: its end follows */
	bool partial_request; /* half a message was forwarded: unusable if the client goes now */
	int outstanding;	/* ReadyForQuery messages still to come */
	uint64_t group_serial; /* counts finished groups: a late cancel can tell that its target is over */
	uint32_t xact_groups;  /* ... of the running transaction */
	RepeatTally repeats;   /* of the running transaction */
	int cancels;		/* cancel connections that may still hit this server */
	size_t stream_left; /* bytes of the current message still to be forwarded */
	bool stream_drop;
	Buf expected;		/* one byte per answer still to come: expect.h */
	Buf subjects;		/* what those answers are about that are about a statement: expect.h */
	int unproved;		/* answers still to come that may turn out not to: expect_in_doubt() */
	bool answered;		/* the client has seen something of the answer to the group at the head of `expected` */
	Replay replay;
	ServerStatements statements;
	uint64_t unnamed_number; /* whose unnamed statement is there: unnamed.h; 0 = not known */
	const ParamSet *params; /* counted reference; NULL before login */
	Timer timer;
	struct
	{
		ListNode node; /* Lease.runs, while it serves a client and the policy is not told */
		PoolLeaseRun run;
		usec_t spare_since; /* when its last client was done with it */
		bool adopted;		/* the policy has granted it */
	} lease;			/* lease.h */
	usec_t connect_time, request_time, linked_at, query_since;
	const char *close_reason; /* static; set while closing */
};

/* --- databases, roles, pools --- */

struct Database
{
	MapNode node;			  /* Hall.databases */
	char *name;				  /* owned */
	const DatabaseSpec *spec; /* borrowed from the current Settings, or own_spec; NULL once removed from the file */
	DatabaseSpec own_spec;	  /* filled from the template for automatic ones */
	PoolGroup group;
	int clients;
	bool paused, disabled, waiting_close;
	int next_host;			  /* round robin over a host list */
	int pools_used;			  /* its pools that have a client or a server */
	Timer timer;			  /* the first worker's.  Nobody uses it: to be forgotten then (idle.c) */
	ListNode changed;		  /* Hall.changed_databases */
	Hall *hall;
};

struct Role
{
	MapNode node;			  /* Hall.roles */
	char *name;				  /* owned */
	const UserSpec *spec;	  /* borrowed from the current Settings; NULL when not listed */
	PoolGroup group;
	int clients;
	char *looked_up;		  /* owned, wiped: secret that auth_query gave last */
	char *plain;			  /* owned, wiped: password captured by auth_type plain */
	ScramKeys own_keys;		  /* made from a clear password of the auth file, for clients; iterations == 0: not yet */
	ScramKeys scram_keys;	  /* captured at a SCRAM login, or derived once: reach the server without a stored password */
};

/* What one worker has of a pool. */
struct PoolPart
{
	SessionPool *pool; /* borrowed */
	Worker *worker;	   /* borrowed */
	Timer timer;	   /* pool_next_event, or earlier: what fires early only looks; see SessionPool.tick_at */
	NetDeferred rearm; /* the timer is to be looked at, at the end of the turn */
	Lease *lease;	   /* owned; NULL while there is none: lease.h; made and freed in the policy */
	SessionStats stats;
};

/* Why a login to the server failed. */
typedef struct LoginError
{
	char text[256]; /* "" since one has succeeded */
	char code[6];
} LoginError;

struct SessionPool
{
	Pool policy;
	uint64_t id;		/* no other pool ever has it, unlike the address */
	bool used;			/* it has a client or a server, as far as the first worker has noticed, which alone changes it, in the policy */
	usec_t unused_since;
	Timer idle_timer;	/* the first worker's: to be forgotten then (idle.c) */
	ListNode changed;	/* Hall.changed_pools */
	MapNode node;		/* Hall.pools, unless dedicated */
	ListNode list_node; /* Hall.pool_list in order of creation, or Hall.dedicated */
	Dedicated *dedicated; /* owned; NULL but for the pool of one replication client */
	Hall *hall;
	PoolPart *parts[POOL_HOMES]; /* owned; by Worker.index, each made and used by its worker alone; NULL until then */
	deadline_t tick_at; /* the policy is asked again at this instant, by the timer of worker `ticker`, if not earlier */
	int ticker;
	atomic_bool no_lease; /* lease.h: written in the policy */
	bool settled; /* nothing but requests and releases has been since tick_at was found, when nobody waited */
	Database *database;
	Role *role;			/* whose connections these are: forced user or the client's own */
	PoolMode mode;
	const ParamSet *welcome; /* counted; what the server reported at the first login; NULL before */
	Buf welcome_fixed;	/* ParameterStatus messages of the untracked parameters, ready to send */
	LoginError *last_error; /* owned; why the last server login failed, NULL while none ever has; Hall.tables */
	bool login_refused;	/* the server itself refused the last login */
	usec_t failing_since; /* no connection to the server could be made since then; 0 = the last one could */
};

/* --- replication connections --- */

typedef enum ReplicationKind
{
	REPLICATION_NONE,
	REPLICATION_PHYSICAL,
	REPLICATION_LOGICAL, /* replication=database */
} ReplicationKind;

/* What makes a pool the private one of a replication client. */
struct Dedicated
{
	SessionPool *shared;	/* borrowed: the pool of the same database and role; its clients include this one */
	ReplicationKind kind;
	char *options;			/* owned; the startup parameter as the client gave it, or NULL */
	const ParamSet *wanted; /* counted: the tracked parameters of the client's startup packet */
	bool over;				/* the client has gone: the pool is freed when its last slot has */
};

/* --- the console, seen from here --- */

typedef struct ConsoleOps
{
	void *arg;
	/* A console client sent a command.  The answer may come later: the console pauses the input until then. */
	void (*query)(void *arg, Client *client, Slice sql);
	/* A CancelRequest with this client's key. */
	void (*cancel)(void *arg, Client *client);
	/* The client is going away. */
	void (*closed)(void *arg, Client *client);
} ConsoleOps;

typedef enum WalkOver
{
	WALK_CLIENTS,
	WALK_LOGINS,
	WALK_SERVERS,
} WalkOver;

/*
 * A walk over the clients, logins or servers of all workers, in one or several stretches (while the others are parked).  `next` moves
 * on when the connection it stands at leaves its list.
 */
typedef struct HallWalk
{
	ListNode node; /* Worker.walks, between begin and end */
	Worker *worker; /* whose list it is in */
	WalkOver over;
	const ListNode *next;
	const List *list;
} HallWalk;

typedef enum WorkerPhase
{
	WORKER_RUNNING,
	WORKER_DRAIN_SERVERS, /* SHUTDOWN WAIT_FOR_SERVERS */
	WORKER_DRAIN_CLIENTS, /* SHUTDOWN WAIT_FOR_CLIENTS */
	WORKER_STOPPED,
} WorkerPhase;

struct Hall
{
	Log *log;
	const Settings *settings; /* borrowed until the next hall_apply_settings */
	const char *version;
	NetJobs *jobs; /* owned: slow work of all workers */
	ConsoleOps console;
	WorkerPhase phase;
	bool handed_over; /* another process listens now: who was accepted before that is served to its end */
	bool paused;   /* PAUSE without a database */
	bool suspended;
	usec_t started_at;
	uint64_t hash_seed;
	uint8_t mock_secret[32]; /* makes up verifiers for unknown users, and salts */
	Worker *workers[POOL_HOMES]; /* owned; the first belongs to the main thread */
	NetBackend backend; /* of loops that are made */
	int worker_count, wanted_workers;

	pthread_mutex_t tables;
	List changed_databases; /* for idle_look */
	Map databases, roles, pools, cancel_keys;
	List half_open; /* the clients that have not proved who they are, by id: in order of arrival */
	List pool_list, dedicated;
	const ListNode *report_next; /* in pool_list: the next that is reported; its head: from the beginning.  Moves on when that pool goes */
	ParamRegistry params;
	StatementRegistry statements;

	pthread_mutex_t policy;
	PoolActions actions;
	List changed_pools; /* for idle_look */
	atomic_bool use_changed; /* ... has something to do */
	List limits; /* Limit, in the order of the file: limits.h; changed while parked, their caps with the policy */

	int client_room; /* for so many clients there are descriptors; 0 = not known */
	atomic_int client_count; /* all connected clients, logins included */
	atomic_ullong next_id, next_pool_id;
	atomic_int client_peak; /* since memory was given back; trim.c */
	int client_seen;		/* of the first worker */
	Timer trim_timer;
	int next_worker; /* of the first worker: whose turn it is to get a client */
	pthread_mutex_t spread_lock; /* taken once in a window, or while nothing else is; nothing is done under it but to ask */
	Spread spread;
	atomic_uint session_turn; /* whose turn it is to get a client of a pool in session mode */
	_Atomic(usec_t) clients_held_until; /* nobody goes to another worker before: hall_hold_clients() */

	/* parking */
	pthread_mutex_t park_lock;
	pthread_cond_t all_parked, go_on;
	bool started; /* the threads may begin to turn; park_lock */
	atomic_bool parking;
	int parked;		  /* how many are; park_lock */
	uint64_t parkings; /* park_lock: tells one parking from the next */
	int park_depth;	  /* of the first worker */
	bool ending;	  /* the threads leave their loops, and say their last words for last_words_us */
	usec_t last_words_us;
};

struct Worker
{
	Hall *hall;
	int index; /* its home in the policy; 0 is the first */
	pthread_t thread;
	NetLoop *loop; /* owned but for the first worker's */
	Resolver *resolver;
	NetJobPort *jobs;  /* owned: slow work, off this loop */
	List derivations; /* those under way: derive.h */

	/* the hall's, to have them at hand */
	Log *log;
	const Settings *settings;
	const char *version;
	uint64_t hash_seed;
	ParamRegistry *params;
	StatementRegistry *statements;

	List clients, logins, servers;
	AppTable apps;
	uint64_t login_failures;  /* clients that tried and were not let in */
	uint64_t clients_refused; /* ... of these for max_client_conn */
	List sent_away; /* half-open clients to be closed; Hall.tables */
	int cancel_jobs;
	List cancels;
	List cancels_elsewhere; /* WorkerPost.waiting: requests that other workers have to deal with */
	List peer_cancels; /* requests for other processes; the first worker has them all */
	List walks;
	List leases, lease_runs; /* lease.h */
	Timer lease_timer;
	ClassTexts class_texts;
	StatementCache statement_cache;
	uint64_t unnamed_parses; /* numbers the unnamed statements */
	uint8_t random[256]; /* for cancel keys, the first random_left bytes: drawn together, since a few cost as much as many */
	size_t random_left;
	bool running_actions;
	bool has_actions; /* there may be some in its queue */
	bool has_moves;	  /* ... servers to move */
	bool has_leavers; /* ... clients that are `leaving` */

	/* move.c */
	usec_t measured_at, used_before; /* the window began then, when the thread had used so much of a processor */
	uint32_t window;				 /* its number */
	int rested;						 /* clients that have ended a transaction in it */
	int leave, leave_to;			 /* so many of those that do so go to that worker */
	uint64_t moved_in, moved_out;	 /* logged-in clients, ever */

	/* for the others */
	atomic_int load;	/* clients, those on their way to it included */
	atomic_bool called; /* the bell has been rung */
	atomic_bool has_posts, has_sent_away; /* there may be some in these lists; set before it is called */
	NetWatch bell;		/* an eventfd */
	List arrivals;		/* servers that have moved here; Hall.policy */
	pthread_mutex_t post_lock;
	List posts; /* WorkerPost; post_lock */
};

/* --- hall.c: what is shared --- */
typedef struct HallOptions
{
	NetLoop *loop; /* the first worker's */
	Log *log;
	const Settings *settings;
	const char *version;
	int workers;
	NetBackend backend; /* of the other workers' loops */
} HallOptions;

/* With one worker; hall_start() makes the others. */
extern Hall *hall_create(const HallOptions *options);
/* Of a client or server, which no other has had. */
static inline uint64_t
hall_next_id(Hall *hall)
{
	return atomic_fetch_add(&hall->next_id, 1) + 1;
}
/* After hall_stop().  Accepts NULL. */
extern void hall_free(Hall *hall);
static inline bool
hall_is_shared(const Hall *hall)
{
	return hall->worker_count > 1;
}
static inline void
hall_lock_tables(Hall *hall)
{
	if (hall_is_shared(hall))
		pthread_mutex_lock(&hall->tables);
}
static inline void
hall_unlock_tables(Hall *hall)
{
	if (hall_is_shared(hall))
		pthread_mutex_unlock(&hall->tables);
}
/* Database by name, made from the template if there is one; NULL when unknown. */
extern Database *worker_database(Worker *worker, const char *name);
extern Role *worker_role(Worker *worker, const char *name);
/*
 * There are too many clients: send the one away that has been half open for longest and for which nothing is being done; never
 * `asker`.  false: there is none.
 */
extern bool worker_make_room(Worker *worker, const Client *asker, const char *why);
/* The pool, and the worker's part of it; NULL when out of memory. */
extern SessionPool *worker_pool(Worker *worker, Database *database, Role *role);
/* A pool for one replication client of this worker; takes `dedicated` over, also when it fails (NULL). */
extern SessionPool *worker_dedicated_pool(Worker *worker, Dedicated *dedicated);
/* Why the last login failed, "" if it did not; in the tables, or parked. */
static inline const char *
session_pool_last_error(const SessionPool *pool)
{
	return pool->last_error != NULL ? pool->last_error->text : "";
}
/* The pool whose row of SHOW POOLS a client or server counts in. */
static inline SessionPool *
session_pool_shown(SessionPool *pool)
{
	return pool->dedicated != NULL ? pool->dedicated->shared : pool;
}
/* The worker's part, made at its first use; NULL when out of memory. */
extern PoolPart *session_pool_part(SessionPool *pool, Worker *worker);
/* What all workers have counted, to be freed; parked. */
extern void session_pool_stats(const SessionPool *pool, SessionStats *out);
/* The statements that clients and servers have; parked, for workers let go what only they keep at hand. */
extern StatementSums hall_statement_sums(Hall *hall);
static inline SessionStats *
client_stats(const Client *client)
{
	return &client->pool->parts[client->worker->index]->stats;
}
static inline SessionStats *
server_stats(const Server *server)
{
	return &server->pool->parts[server->worker->index]->stats;
}

/*
 * Ask the policy.  Between the two nothing but pool_...() is called, with &hall->actions; leaving arms the timer of `pool` (NULL: of none)
 * anew, and lets the other workers know what was decided for them.
 */
extern void policy_enter(Worker *worker);
extern void policy_leave(Worker *worker, SessionPool *pool);
/* The same after a request or a release, which leave the timer alone where nobody waits. */
extern void policy_leave_busy(Worker *worker, SessionPool *pool);
/* ... and takes the first action of this worker along, which must be carried out before anything else is done: worker_carry_out_from(). */
extern bool policy_leave_with(Worker *worker, SessionPool *pool, PoolAction *first) MUST_CHECK;
/* Nothing but a look at when the pool must be asked again. */
extern void session_pool_rearm(Worker *worker, SessionPool *pool);
/* Nobody may refer to them any more; by the worker of a dedicated pool, else parked. */
extern void session_pool_destroy(SessionPool *pool);
extern void database_destroy(Database *database);

/* --- operations.c: on the whole; parked, all of them --- */
/* Switch to new settings; the old ones may be freed when this returns. */
extern void hall_apply_settings(Hall *hall, const Settings *settings);
/* Carry out everything that is decided, for all workers. */
extern void hall_run_actions(Hall *hall);
/* PAUSE, RESUME, RECONNECT, KILL of one database, or of all (NULL). */
extern void hall_pause(Hall *hall, Database *database);
extern void hall_resume(Hall *hall, Database *database);
extern void hall_reconnect(Hall *hall, Database *database);
extern void hall_kill(Hall *hall, Database *database);
/* Are there servers still linked to a client (PAUSE waits for that), or marked close_needed (WAIT_CLOSE)? */
extern bool hall_has_active_servers(const Hall *hall, const Database *database);
extern bool hall_has_closing_servers(const Hall *hall, const Database *database);
extern void hall_shutdown(Hall *hall, WorkerPhase phase);
/* True when the phase's condition is met and the process may end. */
extern bool hall_is_drained(const Hall *hall);
/* Everybody leaves now; the loops turn once more so that memory is released. */
extern void hall_close_all(Hall *hall);
/* SUSPEND: nothing more is read from clients and servers, until resumed. */
extern void hall_suspend(Hall *hall);
extern void hall_unsuspend(Hall *hall);
/* Is everything that was read sent on? */
extern bool hall_is_quiet(const Hall *hall);
/* --- walk.c; parked --- */
extern void hall_walk_begin(Hall *hall, HallWalk *walk, WalkOver over);
/* The next node, NULL at the end. */
extern const ListNode *hall_walk_next(HallWalk *walk);
/* Harmless when it has ended or never begun. */
extern void hall_walk_end(HallWalk *walk);
/* How many there are. */
extern int hall_count(const Hall *hall, WalkOver over);
/* A node is about to leave its list. */
extern void worker_walk_skip(Worker *worker, const ListNode *node);

/* --- worker.c: the threads --- */
/* Make the other workers and start their threads; false when that is not possible. */
extern bool hall_start(Hall *hall) MUST_CHECK;
/* All say their last words (for limit_us at most); the other threads end. */
extern void hall_stop(Hall *hall, usec_t limit_us);
/*
 * By the first worker, holding no lock: all others stop at the end of a turn and wait.  May be nested.
 * Everything that has moved has arrived then, and no server is on lease.
 */
extern void hall_park(Hall *hall);
extern void hall_unpark(Hall *hall);
/* A connection was accepted (by the first worker): give it to one of them; takes the descriptor over. */
extern void hall_accept(Hall *hall, int fd, const NetPeer *peer);
/* The first worker's turn has ended (those of the others see to it themselves). */
extern void worker_turn(Worker *worker);
/* Carry out what the policy decided.  Every handler that calls into pool/ ends with this. */
extern void worker_carry_out(Worker *worker);
extern void worker_carry_out_from(Worker *worker, const PoolAction *first);
static inline void
worker_run_actions(Worker *worker)
{
	if (worker->has_actions && !worker->running_actions)
		worker_carry_out(worker); /* else the outer call goes on until the queue is empty */
}
/* A host has other addresses than before. */
extern void worker_post_host(Worker *worker, const char *host, const NetAddress *addresses, int count);
static inline usec_t
worker_now(const Worker *worker)
{
	return net_now(worker->loop);
}

/* --- move.c: clients that change workers --- */
/* This client must be with the first worker: true when it is; else it goes there at the end of the turn, and its input waits. */
extern bool client_goes_first(Client *client) MUST_CHECK;
/* It has ended a transaction, and goes to where the worker is told to send some, if it may.  Its flow is to be looked at. */
extern void client_goes_on(Client *client);
/* It is logged in: will it stay with this worker? */
extern void client_settles(Client *client);
static inline void
client_has_come_to_rest(Client *client)
{
	Worker *worker = client->worker;

	worker->rested += client->rested_in != worker->window;
	client->rested_in = worker->window;
	if (worker->leave > 0)
		client_goes_on(client);
}
/* By the first worker: a list of clients is read in several stretches; let nobody go from one worker to another before that instant. */
extern void hall_hold_clients(Hall *hall, usec_t until);

/* --- idle.c: pools and databases that nobody uses; by the first worker --- */
/* Is the pool used, and has the first worker not noticed?  In the policy. */
extern bool idle_pool_differs(const SessionPool *pool);
/* Look at the pools and databases that have changed. */
extern void idle_look(Hall *hall);
extern void idle_pool_init(SessionPool *pool);
extern void idle_database_init(Database *database);
/* Its settings, or whether it is used, have changed. */
extern void idle_database_rearm(Hall *hall, Database *database);

/* --- hosts.c: DNS says something else than before --- */
extern void hosts_changed(void *worker, const char *host, const NetAddress *addresses, int count);
/* ... as another worker has heard it. */
extern void hosts_take_change(Worker *worker, const char *host, const NetAddress *addresses, int count);


/* --- client.c --- */
extern Client *client_create(Worker *worker, int fd, const NetPeer *peer, uint64_t id);
extern void client_set_state(Client *client, ClientState state);
/* End the session: FATAL `message` (sqlstate 08P01) unless NULL, then close; the server it holds is cleaned. `reason` goes to the log. */
extern void client_close(Client *client, const char *reason, const char *fatal_message);
extern void client_close_error(Client *client, const char *sqlstate, const char *message);
extern void client_find_timer(Client *client); /* what client_rearm_timer() does unless there is nothing that time could end */
static inline void
client_rearm_timer(Client *client)
{
	if (client->unhurried && client->deadline == DEADLINE_NONE && !client->expired && (client->state == CLIENT_IDLE || client->state == CLIENT_ACTIVE))
		return;
	client_find_timer(client);
}
/* Decide whether input may flow now, and pause or resume accordingly. */
extern void client_update_flow(Client *client);
extern void client_send_buf(Client *client, Buf *buf); /* sends and frees the content */
extern void client_log(const Client *client, LogLevel level, const char *format, ...) __attribute__((format(printf, 3, 4)));
extern const char *client_name(const Client *client, char *buf, size_t size);
extern bool client_is_linked(const Client *client);
/* It reads its result again, or gets no more of it: the time it held its server up is counted. */
extern void client_unblocked(Client *client);

/* The client's application_name has changed. */
extern void client_enter_app(Client *client, const char *name);

/* --- half_open.c --- */
extern void client_enter_half_open(Client *client);
/* It has proved who it is, is being closed, or goes to another worker.  Not NULL: it was sent away, and is to be closed with this. */
extern const char *client_leave_half_open(Client *client);

/* --- client_login.c --- */
extern size_t client_login_input(Client *client, uint8_t *data, size_t len);
extern void client_login_finish(Client *client); /* the pool's welcome parameters are known */
extern void client_login_free(ClientLogin *login);
/* What the startup packet said, for the log; NULL where it said nothing (yet). The pointers may be NULL. */
extern void client_login_names(const Client *client, const char **database, const char **user);
/* A new connection of our own: logged in without being asked anything. */
extern void client_login_as(Client *client, const char *database, const char *user);
/* The client is being closed: nothing comes back to it any more. */
extern void client_login_stop(Client *client);
/* What ends the dialogue, if it has not gone out: before an error, and before the client waits. */
extern void client_login_send_last_word(Client *client);
/* Does the login wait for auth_query, or for something slow? */
extern bool client_login_waits(const Client *client);
/* auth_query has answered: the user exists or not; takes the secret over (NULL = has none). */
extern void client_login_looked_up(Client *client, bool found, char *secret);
extern void client_login_lookup_failed(Client *client);

/* --- client_rules.c: with auth_type hba, and for certificates --- */
/* The method of the rule that fits, which goes to *rule; of `asked` only replication, database and user count. */
extern AuthType client_rule_method(const Client *client, const HbaQuery *asked, const HbaRule **rule);
/* The client's verified certificate (or, on a Unix socket, its system user) may log in as user; map may be NULL. */
extern bool client_certificate_fits(const Client *client, const char *user, const char *map);
extern bool client_peer_fits(const Client *client, const char *user, const char *map);
/* A password in clear is the one of this stored secret, which is no SCRAM verifier. */
extern bool client_password_matches(Slice given, const char *stored, const char *user);

/* --- auth_query.c --- */
/* Ask for the secret of a user; the answer comes as one of the two above.  NULL: it could not even begin. */
extern AuthLookup *auth_lookup_start(Client *client, const char *database, const char *auth_user, const char *query,
									 const char *user);
/* The client is gone; accepts NULL. */
extern void auth_lookup_abandon(AuthLookup *lookup);

/* --- replication.c --- */
/* The value of the startup parameter; false when it is none that PostgreSQL knows. */
extern bool replication_parse(Slice value, ReplicationKind *kind) MUST_CHECK;
/* "none", "physical", "logical" */
extern const char *replication_name(const SessionPool *pool);
extern Dedicated *dedicated_create(SessionPool *shared, ReplicationKind kind, const char *options, const ParamSet *wanted);
extern void dedicated_free(Worker *worker, Dedicated *dedicated);
struct WireParam;
/* Add what the server's startup packet gets from the client's; returns the new count. */
extern int dedicated_startup(const SessionPool *pool, struct WireParam *params, int n, int max);
/* The client's server is there: welcome the client, and keep the two together. */
extern void dedicated_granted(Client *client, Server *server);
/* Close its server, and free the pool soon. */
extern void dedicated_client_left(Worker *worker, SessionPool *pool);

/* --- local.c: a transaction whose server was taken away --- */
extern size_t local_message(Client *client, uint8_t *data, size_t len);

/* --- relay.c: what servers send --- */
extern size_t relay_input(Server *server, uint8_t *data, size_t len);

/* --- server.c --- */
extern void server_open(Worker *worker, SessionPool *pool); /* answers POOL_OPEN */
extern void server_set_state(Server *server, ServerState state);
/* Close for `reason`; a linked client is told and closed too. */
extern void server_close(Server *server, const char *reason);
/*
 * server_fast_close: in session mode a server that must go is closed, with its client, as soon as no transaction is open rather than
 * when the client leaves.  True when it was.
 */
extern bool server_close_if_outdated(Server *server);
/* OPENING failed: fail_waiters when the server itself refused. */
extern void server_open_failed(Server *server, const char *sqlstate, const char *reason, bool refused);
extern void server_login_done(Server *server);
/* Take the next step of cleaning; ends in the pool. */
extern void server_clean_next(Server *server);
extern void server_start_check(Server *server); /* answers POOL_CHECK */
extern void server_log(const Server *server, LogLevel level, const char *format, ...) __attribute__((format(printf, 3, 4)));
extern void server_count_error(Server *server, Slice code);

/* --- server_login.c --- */
/* Is an SSLRequest due on a connection to this address?  Not on Unix sockets. */
static inline bool
server_wants_tls(const Settings *settings, const NetAddress *address)
{
	return settings->server_tls_context != NULL && address->addr.ss_family != AF_UNIX;
}
extern void server_login_start(Server *server);
extern size_t server_login_input(Server *server, uint8_t *data, size_t len);
/* The pool learns from this login what its sessions look like, unless it knows already. */
extern void server_login_teach(Server *server);
extern void server_login_free(ServerLogin *login);

/* --- link.c --- */
/* Answers POOL_GRANT; the caller sees to the client's timer and flow. */
extern void link_grant(Client *client, Server *server, usec_t waited_us);
extern void link_fail(Client *client, const PoolAction *action);		  /* answers POOL_FAIL */
/* How long a group ran, as the policy is to know it. */
typedef struct GroupRun
{
	usec_t us;
	bool completed; /* it ended by itself */
} GroupRun;
/* The client needs it no more and the server is between groups: back to the pool. */
extern void link_release(Client *client, const GroupRun *run);
/* The client goes away, whatever the server is doing: cancel, drain, clean. */
extern void link_abandon(Client *client);
/* The same, when it is not the client who leaves. */
extern void link_take_away(Client *client);
/* SYNCING: something of the answer to the SETs was read. */
extern void link_sync_progress(Server *server);

/* --- deadline.c --- */
/* Its settings are known, or are others than before. */
extern void deadline_look_at_settings(Client *client);
/* The deadline that applies to a group, as a duration; tag_us is the statement comment's (-1 = none). */
extern usec_t deadline_tightest(const Client *client, usec_t tag_us);
static inline usec_t
deadline_budget(const Client *client, usec_t tag_us)
{
	if (client->unhurried && tag_us < 0 && client->session_deadline_us < 0 && client->limit == NULL)
		return 0;
	return deadline_tightest(client, tag_us);
}
/* The client's own comment in this statement, -1 when there is none. */
extern usec_t deadline_from_comment(Client *client, Slice sql);
extern usec_t deadline_parse(Slice value); /* -1 = malformed */
/* How long a whole transaction of this client may take, 0 = no limit. */
extern usec_t deadline_transaction_us(const Client *client);
/* An idle transaction's time is over: roll it back, and tell the client with its next statement. */
extern void deadline_transaction_expired(Client *client, usec_t now);
/* The primary message: which deadline it was. */
extern const char *deadline_message(const Client *client);
/* The running group's deadline (or its grace) has passed. */
extern void deadline_expired(Client *client, usec_t now);
extern void deadline_grace_passed(Client *client, usec_t now);
/* DETAIL text: "Deadline 250 ms: waited 180 ms for a server connection, ran 70 ms.", or of the transaction. */
extern const char *deadline_detail(const Client *client, usec_t now, char *buf, size_t size);

/* --- cancel.c --- */
typedef enum CancelWhy
{
	CANCEL_CLIENT,	 /* the client's CancelRequest */
	CANCEL_DEADLINE,
	CANCEL_GONE,	 /* the client disconnected */
} CancelWhy;
/* Cancel what the server runs now; the server takes no other statement until this is over. */
extern void cancel_server(Server *server, CancelWhy why);
/* A client that is nothing but a CancelRequest: carry it out, or pass it on, and close once that has been done. */
extern void cancel_requested(Client *client, uint32_t pid, Slice rest);
/* It leaves before. */
extern void cancel_forget_client(const Client *client);
/* --- peer.c --- */
/* Is this the key of another process's client (and is there any peering)? */
extern bool peer_owns_key(const Settings *settings, uint32_t pid, Slice rest);
/* The peer id in a key, and putting ours there. */
extern int peer_key_owner(const uint8_t key[8]);
extern void peer_key_mark(uint8_t key[8], int peer_id);
/* A CancelRequest with another process's key: pass it on and close the client afterwards.  False: it is not one, or cannot be passed on. */
extern bool peer_cancel(Client *client, uint8_t key[8]);
/* The client that asked has left. */
extern void peer_forget_client(Client *client);
extern void peer_close_all(Worker *worker);
typedef struct PeerCounts
{
	int active, waiting; /* requests on their way, and those for which there was no room */
} PeerCounts;
/* Of the first worker. */
extern PeerCounts peer_counts(const Worker *worker, int peer_id);
static inline int
peer_pool_size(const Settings *settings, const PeerSpec *peer)
{
	int size = peer->pool_size > 0 ? peer->pool_size : settings->default_pool_size;

	return size > 0 ? size : INT_MAX;
}

/* The server is gone. */
extern void cancel_forget_server(Server *server);
extern void cancel_close_all(Worker *worker);

#endif
