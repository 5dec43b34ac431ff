/*
 * pool.h: who gets a server connection, when, and who is told no: policy as pure functions of (state, event,
 * now).
 *
 * Knows no file descriptor, no message and no clock: every event comes with `now`, every consequence leaves
 * as an action that the caller carries out after the call (PoolActions).  No function calls back.  Slots and
 * waiters are embedded in the caller's objects; nothing here allocates but the table of statement classes,
 * which is bounded.
 *
 * A pool (database, user) owns slots (one per server connection) and a queue of waiters (client requests
 * without a server). Groups limit the slots of several pools together (max_db_connections,
 * max_user_connections).
 *
 * Order.  Waiters with a deadline are served earliest deadline first.  Those without one are served in order
 * of arrival, and stand among the others as if their deadline were a second after arrival; once that second
 * is over the two kinds take turns, so that neither can starve the other.  With no deadlines anywhere this is
 * a plain FIFO.
 *
 * Slow lane.  Statement classes that hold a server many times longer than the pool's median request stand in
 * a queue of their own and may hold only a share of the slots as long as other requests were seen within the
 * last second.
 *
 * Caps.  A request may name a cap, which holds requests of its kind to a number of their own over all pools: it is
 * parked until the cap has a place for it, and only then stands in line.
 *
 * A slot or waiter that leaves takes the actions that name it along: an action taken from the queue never
 * names a waiter that was abandoned or a slot that was closed (a grant whose slot was lost puts its waiter
 * back in its old place).  For that, all pools of a process share one PoolActions.
 *
 * Homes.  The caller may keep its objects in several places (threads); a slot and a waiter say where they
 * are at home, and an action is queued for the home of what it names.  The policy itself is one: the caller
 * lets one thread in at a time.  Who needs a slot gets an idle one of its own home if there is one; a slot
 * of another home must move to the waiter's before the grant is carried out (pool_actions_next_move).
 */
#ifndef PGWEIR_POOL_POOL_H
#define PGWEIR_POOL_POOL_H

#include <stdatomic.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/heap.h"
#include "base/histogram.h"
#include "base/list.h"
#include "base/map.h"
#include "pool/classes.h"

/* There are at most so many homes. */
#define POOL_HOMES 16
#define POOL_ANY_HOME (-1)

typedef struct Pool Pool;
typedef struct PoolSlot PoolSlot;
typedef struct PoolWaiter PoolWaiter;
typedef struct PoolGroup PoolGroup;
typedef struct PoolCap PoolCap;

/* Limits of one pool; all are read at each decision, so a reload takes effect at once. Durations <= 0 mean
 * "no limit". */
typedef struct PoolLimits
{
	int size;                  /* server connections; 0 = unlimited */
	int min_size;              /* keep at least so many while the pool has clients (or a forced user) */
	int reserve_size;          /* further ones for waiters older than reserve_timeout_us */
	usec_t reserve_timeout_us; /* 0 disables the reserve */
	usec_t wait_timeout_us;    /* query_wait_timeout: longest wait in the queue */
	usec_t idle_timeout_us;    /* server_idle_timeout: close idle ones above min_size */
	usec_t lifetime_us;    /* server_lifetime: close older ones when unlinked; 0 = use once, < 0 = no limit */
	usec_t check_delay_us; /* server_check_delay: idle longer than this needs POOL_CHECK before a grant; < 0 =
							  never */
	usec_t login_retry_us; /* server_login_retry: after a refused login wait so long, failing fast meanwhile;
							* a server that is unreachable or starting up is tried again sooner: 50 ms,
							* doubling up to 1 s */
	int max_parallel_opening; /* server logins under way at once; at least 1 */
	int max_waiting;          /* max_waiting_clients: refuse the next; 0 = no limit */
	bool round_robin;         /* server_round_robin: oldest idle first; else the most recently used */
	bool turn_by_home;        /* ... where the oldest ones of a home go before older ones of others, and a home may keep its own order for a while */
	bool admission;           /* refuse at once what cannot meet its deadline */
	int slow_lane_percent; /* slow_lane_share: slots that slow classes may hold (at least one); 100 = off */
	int slow_lane_ratio;   /* a class is slow when its mean is so many times the pool's median; 0 = off */
	bool adaptive;         /* let no more slots be active than the server gains from; needs a size */
	int homes;             /* of slots and waiters, 0 = one; pool_init alone reads it */
} PoolLimits;

typedef enum SlotState
{
	SLOT_NONE,     /* not in a pool, on no list */
	SLOT_OPENING,  /* connecting or logging in; list opening */
	SLOT_IDLE,     /* ready for a grant; list idle, most recently used first */
	SLOT_ACTIVE,   /* granted to a client, or kept by its home on lease; list active */
	SLOT_CLEANING, /* between clients: reset or check query, or a cancel still in flight; list cleaning */
	SLOT_CLOSING,  /* POOL_CLOSE was asked; list closing until pool_slot_closed */
} SlotState;

struct PoolSlot
{
	ListNode node;
	Pool *pool; /* borrowed: outlives its slots */
	SlotState state;
	int home;           /* 0 after pool_slot_opening; set by the caller before anything else, changed by a move */
	ListNode _home_node; /* Pool._idle_at[home], while idle */
	usec_t opened_at;   /* when the login completed */
	usec_t state_since; /* when the state was entered */
	bool close_needed;  /* close instead of idling: RECONNECT, changed configuration */
	bool reserve;       /* opened from the reserve */
	PoolClass *running; /* while active: class of the current statement, or NULL */
	usec_t _running_since;
	ListNode _run_node;   /* PoolClass._running */
	PoolClass *_held_for; /* class of the request it was granted to, until it is clean again, or NULL */
	usec_t _granted_at;   /* 0 = no grant to learn from */
	bool _probe;          /* the running request measures its class anew */
	bool _checking;       /* CLEANING because of POOL_CHECK */
	deadline_t lease_until; /* not to be leased any longer then; kept by the home while it has the slot on lease */
	deadline_t _goal;     /* ACTIVE: when the answer to who waited for it should be there, or DEADLINE_NONE */
	usec_t _asked_at;     /* ... and when that one came */
	PoolCap *_cap;        /* whose place the request it serves has, or NULL */
};

struct PoolWaiter
{
	ListNode node;                        /* pool's queue in order of arrival */
	Pool *pool;                           /* set while queued, else NULL */
	usec_t since;                         /* when it was enqueued */
	deadline_t deadline;                  /* of the request, DEADLINE_NONE when it has none */
	deadline_t wait_until;                /* since + wait_timeout */
	uint64_t fingerprint;                 /* statement class; 0 = unknown */
	int home;                             /* set by the caller, as the deadline */
	PoolCap *cap;                         /* borrowed: outlives the request; NULL = none */
	ListNode _capped;                     /* PoolCap._parked, while parked */
	PoolClass *_class;                    /* referenced while queued */
	ListNode _plain;                      /* PoolQueue.plain, when it has no deadline */
	PoolWaiter *_parent, *_left, *_right; /* PoolQueue.root, when it has one */
	usec_t _cost_us;                      /* how long it is expected to hold its server */
	usec_t _sum_us;                       /* the same of its whole subtree */
	uint32_t _priority;                   /* of the treap */
	uint8_t _lane;
	bool _probe;     /* let in to measure its class anew */
	bool _has_place; /* in its cap */
};

/* Why a waiter is failed. */
typedef enum PoolFail
{
	POOL_FAIL_DEADLINE,     /* its deadline passed in the queue */
	POOL_FAIL_HOPELESS,     /* admission: it cannot make its deadline (numbers in the action) */
	POOL_FAIL_QUEUE_FULL,   /* max_waiting_clients */
	POOL_FAIL_CAP_FULL,     /* as many as may wait for its cap do */
	POOL_FAIL_WAIT_TIMEOUT, /* query_wait_timeout */
	POOL_FAIL_LOGIN,        /* logins to the server fail and there is no other server: fail fast */
} PoolFail;

typedef enum PoolActionKind
{
	POOL_GRANT, /* slot is ACTIVE for waiter, which has left the queue */
	POOL_OPEN,  /* open one server connection: then pool_slot_opening, or pool_open_impossible */
	POOL_CLOSE, /* close slot (its state is CLOSING), then call pool_slot_closed */
	POOL_CHECK, /* slot (CLEANING) must prove that it is alive: pool_slot_clean, or pool_slot_closed */
	POOL_FAIL,  /* waiter has left the queue with `fail` */
	POOL_EVICT, /* like POOL_CLOSE; slot belongs to another pool of the same group and gives way */
	POOL_LOOK,  /* nothing but that pool_next_event is to be asked anew */
} PoolActionKind;

typedef struct PoolAction
{
	PoolActionKind kind;
	Pool *pool;
	PoolSlot *slot;     /* GRANT, CLOSE, CHECK, EVICT */
	PoolWaiter *waiter; /* GRANT, FAIL */
	PoolFail fail;
	const char *reason;                       /* CLOSE, EVICT: for the log ("server idle timeout"); static */
	usec_t waited_us;                         /* GRANT, FAIL: time in the queue */
	usec_t expected_wait_us, expected_run_us; /* FAIL hopeless */
} PoolAction;

typedef struct PoolActionQueue
{
	PoolAction *items; /* owned */
	int head, count, cap;
} PoolActionQueue;

/* Actions not yet carried out.  While a queue cannot grow nothing is decided: the pool tries again 10 ms
 * later. */
typedef struct PoolActions
{
	PoolActionQueue own[POOL_HOMES];   /* to be carried out at this home */
	PoolActionQueue moves[POOL_HOMES]; /* grants whose slot is at this home, and must leave it first */
	int homes;        /* set by the caller; 0 = 1 */
	int here;         /* set by the caller: the home of who calls */
	unsigned touched; /* bits of homes that have got something to do; cleared by the caller */
	PoolGroup *_crowded; /* groups that have got a blocked pool; pool_actions_next_crowded */
} PoolActions;

/* Counters since the pool began; only ever grow. */
typedef struct PoolCounters
{
	uint64_t granted;   /* grants (server assignments) */
	uint64_t waited_us; /* sum of waits of the granted */
	uint64_t refused_hopeless, refused_full, refused_cap;
	uint64_t expired; /* deadlines that passed in the queue */
	uint64_t wait_timeouts;
	uint64_t login_fails; /* waiters failed because of the server's logins */
	uint64_t opened, open_failures, closed;
	SparseHistogram wait_hist; /* waits of the granted (0 included) and of the failed */
} PoolCounters;

/* A pool's places in the lists of a group. */
typedef struct PoolMember
{
	ListNode all, with_idle, blocked, leased;
	HeapNode ranked;       /* while it is blocked, and its turn has not been in this round */
	uint64_t blocked_as; /* the how manieth of the group */
} PoolMember;

struct PoolGroup
{
	int limit;    /* 0 = none */
	int used;     /* slots of all member pools, those still to be opened included */
	int closing;  /* ... of these are on their way out */
	int _idle;    /* idle slots of all member pools */
	int _hungry;  /* blocked pools that are so for their waiters */
	bool _of_user;
	bool _is_crowded; /* in PoolActions._crowded */
	uint64_t _blocked_ever; /* how often a pool became so */
	Heap _ranked;     /* the blocked ones again: who has the best claim to a slot is first */
	PoolGroup *_next_crowded;
	/* By Pool.in_db or Pool.in_user: the members; those with idle slots; those that would open a slot if a group let them; those of which homes
	 * keep slots on lease. */
	List pools, _with_idle, _blocked, leased;
};

/* Requests of one kind, over all pools. */
struct PoolCap
{
	int max_active;  /* requests that may have a server, or stand in line for one; 0 = no limit */
	int max_waiting; /* requests that may be parked; 0 = no limit */
	atomic_int active; /* requests that have a place; those on lease take and leave it outside of the policy */
	atomic_int _waiting; /* how many are parked, for those */
	uint64_t parked, refused; /* since the cap began */
	List _parked;       /* waiters, who is due first in front */
	usec_t _parked_us;  /* their expected costs, together */
	bool _serving;
};

#define POOL_LANES 2  /* 0 is the normal one, 1 the slow one */
#define POOL_QUEUES 3 /* the lanes, and those who wait for a place in their cap */

/* The waiters of one lane. */
typedef struct PoolQueue
{
	PoolWaiter *root;  /* those with a deadline, a treap by (deadline, arrival) */
	PoolWaiter *first; /* ... the earliest of them */
	uint32_t random;   /* makes the treap's priorities */
	List plain;        /* those without, in order of arrival */
	usec_t plain_us;   /* their expected costs, together */
	int count;         /* both kinds */
} PoolQueue;

/* What the pool has learned from all its requests. */
typedef struct PoolEstimate
{
	Smoothed hold[POOL_LANES]; /* how long a request holds its slot, by lane */
	Smoothed run;              /* statements without a class */
	Smoothed login;            /* from opening to ready */
	usec_t median_us;          /* of hold times */
	int samples;               /* ... seen, up to where it can be trusted */
	usec_t probed_at;
	usec_t ran_at;       /* when a statement last ended, 0 = never */
	int margin;          /* by how much waits turn out longer than expected, in parts of 2^16 */
	int successes;       /* ... since it was changed */
	usec_t margin_since; /* when that was */
} PoolEstimate;

/* What adaptive.c knows; zeroed = nothing. */
typedef struct PoolAdaptive
{
	double limit;  /* 0 = nothing learned */
	double ratio;  /* of the last window: how many times as long as at rest statements took */
	double ratios; /* of this window, their sum */
	int samples;
	bool held_back; /* in this window requests waited because of the limit */
	usec_t since;
} PoolAdaptive;

/* What only its groups keep a pool from opening a slot for. */
typedef enum PoolBlocked
{
	POOL_NOT_BLOCKED,
	POOL_BLOCKED_MINIMUM, /* min_size */
	POOL_BLOCKED_WAITERS,
} PoolBlocked;

struct Pool
{
	PoolLimits limits;
	PoolGroup *db_group;   /* borrowed, may be NULL */
	PoolGroup *user_group; /* borrowed, may be NULL */
	int home;              /* whose servers are all opened there; POOL_ANY_HOME unless the caller says so */
	PoolMember in_db, in_user;
	List opening, idle, active, cleaning, closing;
	List waiters;             /* arrival order */
	int clients;              /* logged in, kept by the caller, who asks pool_next_event after a change */
	bool forced_user;         /* min_size holds also without clients */
	bool paused;              /* PAUSE: no grants */
	bool retiring;            /* database removed: no grants, idle ones are closed */
	usec_t last_open_failure; /* 0 = the last login succeeded */
	int pending_opens;        /* POOL_OPEN actions not yet answered */
	PoolClasses classes;
	PoolCounters counters;
	PoolEstimate estimate;
	PoolAdaptive adaptive;
	PoolQueue _queue[POOL_QUEUES];
	List *_idle_at; /* owned: the idle ones again, by home */
	int _slow_active;     /* active slots that run a slow class */
	usec_t _normal_seen;  /* the last request of the normal lane, 0 = never */
	int _checks;          /* slots out for POOL_CHECK */
	int _failures;        /* logins failed in a row */
	deadline_t _age_at;   /* no idle slot exceeds its lifetime before */
	usec_t _aged_at;      /* when one was last closed for its age, 0 = never */
	bool _login_refused;  /* the last failed login was refused by the server */
	bool _plain_turn;     /* the next grant goes to a waiter without a deadline */
	PoolBlocked _blocked; /* listed and counted in the groups */
	bool _claims;         /* another pool of a group gave up a slot for this one */
	bool _looked_at;      /* in this round of open_serve_groups */
	bool _ranked;         /* in PoolGroup._ranked, by ... */
	int _rank;            /* ... what it has and wants: see open.c */
	usec_t _rank_since;   /* ... and for how long somebody has waited */
	usec_t _idle_since;   /* with idle slots: all of them have been idle since then, or later */
	Pool *_seen_before;   /* ... and which one before this */
	bool _lanes_moved;    /* who may have a slot has changed since it was last asked */
	bool _starved;        /* an action could not be stored */
	int leases;           /* homes that keep slots on lease */
};

/* --- life --- */
extern bool pool_init(Pool *pool, const PoolLimits *limits, PoolGroup *db_group, PoolGroup *user_group,
					  usec_t now) MUST_CHECK;
/* No slot and no waiter may be left. */
extern void pool_free(Pool *pool);
extern void pool_group_init(PoolGroup *group, int limit);
extern void pool_actions_free(PoolActions *actions);
extern void pool_cap_init(PoolCap *cap, int max_active, int max_waiting);
/* Other limits; who has a place keeps it.  A cap may be freed when it is not used (pool_cap_is_used). */
extern void pool_cap_change(PoolCap *cap, int max_active, int max_waiting, usec_t now, PoolActions *out);
static inline int
pool_cap_waiting(const PoolCap *cap)
{
	return cap->_parked.count;
}
static inline bool
pool_cap_is_used(const PoolCap *cap)
{
	return cap->active > 0 || cap->_parked.count > 0;
}
/* Take the next action of this home; false when there is none. */
extern bool pool_actions_next(PoolActions *actions, PoolAction *out) MUST_CHECK;
static inline bool
pool_actions_wait(const PoolActions *actions)
{
	return actions->own[actions->here].count > 0;
}
/* The next slot of this home that must move, NULL when there is none, and where to.  Once it has:
 * pool_actions_move, which makes the other home its own and queues the grant there; false when memory is
 * short, and it stays for now. */
extern PoolSlot *pool_actions_next_move(const PoolActions *actions, int *to);
extern bool pool_actions_move(PoolActions *actions) MUST_CHECK;

/* --- requests --- */
/* A client needs a server.  waiter->deadline, ->fingerprint and ->cap are set by the caller.  It is granted, queued
 * or failed: by an action in each case but queueing. */
extern void pool_request(Pool *pool, PoolWaiter *waiter, usec_t now, PoolActions *out);
/* The same where an idle slot of the waiter's home can be had at once, and it has no cap: the slot is ACTIVE for it, without an action.
 * NULL: ask pool_request. */
extern PoolSlot *pool_take(Pool *pool, PoolWaiter *waiter, usec_t now);
/* The client is gone or changed its mind; takes a grant or failure back that was not yet carried out;
 * otherwise harmless when it is not queued. */
extern void pool_abandon(Pool *pool, PoolWaiter *waiter, usec_t now, PoolActions *out);
static inline bool
pool_is_waiting(const PoolWaiter *waiter)
{
	return waiter->pool != NULL;
}

/* --- server connections --- */
/* Answers POOL_OPEN; initialises the slot. */
extern void pool_slot_opening(Pool *pool, PoolSlot *slot, usec_t now);
/* Answers POOL_OPEN: not even an attempt could be made. */
extern void pool_open_impossible(Pool *pool, usec_t now, PoolActions *out);
/* The login is complete: the slot is idle, or granted. */
extern void pool_slot_opened(PoolSlot *slot, usec_t now, PoolActions *out);
/* OPENING failed.  fail_waiters: the server refused the login itself (the waiters are told now unless another
 * connection is there or coming), rather than being unreachable or starting up (they may wait).  The slot is
 * out of the pool on return. */
extern void pool_slot_open_failed(PoolSlot *slot, bool fail_waiters, usec_t now, PoolActions *out);
/* The client is done with an active slot.  clean: ready at once; else it goes to CLEANING and pool_slot_clean
 * follows. */
extern void pool_release(PoolSlot *slot, bool clean, usec_t now, PoolActions *out);
extern void pool_slot_clean(PoolSlot *slot, usec_t now, PoolActions *out);
/* The connection is gone (or was closed as asked), from any state. The slot is out of the pool on return. */
extern void pool_slot_closed(PoolSlot *slot, usec_t now, PoolActions *out);
/* A statement of this class (0: unknown) starts on / has run on an active slot; a session may run many
 * between grant and release. completed: it ended by itself, so run_us is what it costs; else run_us is what
 * it costs at least. */
extern void pool_starts(PoolSlot *slot, uint64_t fingerprint, usec_t now);
/* A statement may be known to have begun so long before it did: a grant that is carried out at another home takes its time. */
#define POOL_START_SLACK_US USEC_PER_MSEC
/* pool_starts would do nothing that matters, since the grant has said so already.  Of a slot that is active. */
static inline bool
pool_has_started(const PoolSlot *slot, uint64_t fingerprint, usec_t now)
{
	return slot->running != NULL ? slot->running->fingerprint == fingerprint && now - slot->_running_since < POOL_START_SLACK_US
								 : fingerprint == 0;
}
extern void pool_ran(PoolSlot *slot, usec_t run_us, bool completed, usec_t now);

/*
 * --- leases ---
 * A home may keep a slot whose client is done with it, and give it to further waiters of its own without asking: the slot stays ACTIVE.
 * It must take back all that it has to spare (pool_release) before somebody is made to wait, and may lease nothing while pool_may_lease is
 * false.  What ran meanwhile it tells by tallies, one a statement class; what runs for long, or ends unlike others, by pool_lease_shows,
 * after which the slot is as any other.  Limits of groups hold by themselves, as a slot on lease is an active one; a request under a cap takes
 * its place outside of the policy (pool_cap_enter).
 */
#define POOL_TALLY_SAMPLES 4
typedef struct PoolTally
{
	uint64_t fingerprint;
	uint32_t calls;	  /* statements that have run, all to their end */
	uint32_t granted; /* requests that were given a slot, at once */
	usec_t run_us[POOL_TALLY_SAMPLES], hold_us[POOL_TALLY_SAMPLES]; /* of the last ones */
	usec_t last;	  /* when one ended */
	usec_t worst_us;  /* set by the policy: a statement counts as no longer than this in total_us; 0 = neither sum nor least are wanted */
	usec_t total_us, least_us; /* of all statements */
} PoolTally;
/* A statement of the class has run. */
static inline void
pool_tally_run(PoolTally *tally, usec_t run_us, usec_t now)
{
	if (tally->worst_us > 0)
	{
		tally->total_us += run_us < tally->worst_us ? run_us : tally->worst_us;
		if (tally->calls == 0 || run_us < tally->least_us)
			tally->least_us = run_us;
	}
	tally->run_us[tally->calls++ % POOL_TALLY_SAMPLES] = run_us;
	tally->last = now;
}
typedef struct PoolLeaseRun
{
	uint64_t fingerprint; /* of the statement that runs; 0 = unknown, or none does */
	usec_t since;		  /* when it began */
	uint64_t held_for;	  /* the fingerprint that the slot was given for */
	usec_t held_since;	  /* ... and when */
	PoolCap *cap;		  /* whose place it has, or NULL */
} PoolLeaseRun;
extern bool pool_may_lease(const Pool *pool);
/* An idle slot could be granted: what homes keep on lease is not needed for that. */
extern bool pool_has_spare(const Pool *pool);
/* May requests of this class be served without asking?  Those that are new, and slow ones, may not. */
extern bool pool_lease_knows(Pool *pool, uint64_t fingerprint, usec_t now);
/* Instead of pool_release(), of a clean slot; false: it must be released. */
extern bool pool_lease(PoolSlot *slot, usec_t now, PoolActions *out) MUST_CHECK;
extern void pool_lease_shows(PoolSlot *slot, const PoolLeaseRun *run);
/* A home begins, ceases, to keep slots of this pool. */
extern void pool_lease_begins(Pool *pool);
extern void pool_lease_ends(Pool *pool);
/*
 * The next group in which a pool has become blocked since this was last asked, NULL when there is none: what is on lease of its pools
 * (PoolGroup.leased, pool_leased) must be given back.  To be asked before a group is freed.
 */
extern PoolGroup *pool_actions_next_crowded(PoolActions *actions);
extern Pool *pool_leased(const PoolGroup *group, ListNode *node);
/* Outside of the policy, from any thread: take a place, if one is free and nobody is parked for it. */
extern bool pool_cap_enter(PoolCap *cap) MUST_CHECK;
/* ... and give it back.  True when somebody is parked: pool_cap_serve() must be called. */
extern bool pool_cap_exit(PoolCap *cap) MUST_CHECK;
extern void pool_cap_serve(PoolCap *cap, usec_t now, PoolActions *out);
/* A request was served on lease at that time, which a tally has not told yet. */
extern void pool_lease_served(Pool *pool, usec_t at);
/* An empty tally of this class, which is known. */
extern PoolTally pool_tally(Pool *pool, uint64_t fingerprint, usec_t now);
/* Empties the tally; false when the class is to be asked about from now on. */
extern bool pool_learn_tally(Pool *pool, PoolTally *tally, usec_t now);

/* --- time --- */
/* Everything due at now: expired waiters, idle and old servers, the reserve, min_size, retries. */
extern void pool_tick(Pool *pool, usec_t now, PoolActions *out);
/* When pool_tick must be called next at the latest (exact, not a sweep), DEADLINE_NONE when nothing can
 * happen by itself. */
extern deadline_t pool_next_event(const Pool *pool, usec_t now);
/*
 * Does nobody wait, and is nothing under way?  Once pool_next_event was asked while a slot was idle, a grant or a release that leaves it so makes
 * no next event earlier than it was, unless a slot grows too old before `at`.
 */
static inline bool
pool_is_settled(const Pool *pool, deadline_t at)
{
	return list_empty(&pool->waiters) && list_empty(&pool->opening) && pool->pending_opens == 0 && pool->last_open_failure == 0 &&
		   !pool->_starved && pool->_blocked == POOL_NOT_BLOCKED && pool->_age_at >= at;
}

/* --- operations --- */
extern void pool_set_limits(Pool *pool, const PoolLimits *limits, usec_t now, PoolActions *out);
/* Closes idle slots, and others as soon as they are idle; waiters wait, and may run out of time. */
extern void pool_pause(Pool *pool, usec_t now, PoolActions *out);
extern void pool_resume(Pool *pool, usec_t now, PoolActions *out);
/* Every slot is to be replaced: idle ones are closed now, the others (close_needed) when they are released.
 */
extern void pool_reconnect(Pool *pool, usec_t now, PoolActions *out);
/* As reconnect, and no new ones. */
extern void pool_retire(Pool *pool, usec_t now, PoolActions *out);
static inline int
pool_slots(const Pool *pool)
{
	return pool->opening.count + pool->idle.count + pool->active.count + pool->cleaning.count +
		   pool->closing.count;
}

/* How the pool decides at this moment, to be looked at. */
typedef struct PoolAdmission
{
	int active_limit; /* slots that may be active; 0 = no limit of its own */
	int slow_limit;   /* slots the slow lane may hold while others are about; 0 = no limit */
	int slow_active, slow_waiting;
	double margin; /* part by which waits turn out longer than expected */
} PoolAdmission;
extern void pool_admission(const Pool *pool, PoolAdmission *out);

#endif
