/*
 * policy.h: what the files of pool/ say to each other; nobody else includes it.
 *
 *   pool.c       life, requests, operations       tick.c       what time does
 *   slots.c      server connections               queue.c      the waiters of a lane, in order
 *   grant.c      who is next                      open.c       when a server may be opened; groups, eviction
 *   admission.c  who cannot make it               lane.c       who is slow
 *   classes.c    service times                    actions.c    the consequences
 *   adaptive.c   how many may be busy              cap.c        kinds of requests with a number of their own
 *   lease.c      what a home does by itself
 */
#ifndef PGWEIR_POOL_POLICY_H
#define PGWEIR_POOL_POLICY_H

#include "pool/pool.h"

/* A waiter without a deadline stands in line as if it had this one. */
#define AGING_US USEC_PER_SEC
/* An action that could not be stored is tried again after this. */
#define MEMORY_RETRY_US (10 * USEC_PER_MSEC)

typedef enum Lane
{
	LANE_NORMAL,
	LANE_SLOW,
	LANE_PARKED, /* no lane: who waits for a place in its cap */
} Lane;

/* --- actions.c --- */
/* Is there room for one more?  Ask before every decision; when there is none, the pool will tick again soon.
 */
extern bool actions_room(Pool *pool, PoolActions *out) MUST_CHECK;
/* There is room. */
extern void actions_add(PoolActions *out, const PoolAction *action);
/* Take back the grant or failure of a waiter, or any action on a slot; false when there is none.  *out_action
 * is a copy. */
extern bool actions_take_waiter(PoolActions *out, const PoolWaiter *waiter, PoolAction *out_action);
extern bool actions_take_slot(PoolActions *out, const PoolSlot *slot, PoolAction *out_action);

/* --- queue.c --- */
extern void queue_init(PoolQueue *queue);
/* Put a waiter on the pool's list by its `since`, and into the queue of lane `_lane`.  References its class.
 */
extern void queue_push(Pool *pool, PoolWaiter *waiter);
extern void queue_remove(Pool *pool, PoolWaiter *waiter);
/* The class turned out to belong to the other lane. */
extern void queue_move(Pool *pool, PoolWaiter *waiter, Lane lane);
/* Expected cost of everybody in the queue with a deadline up to this one. */
extern usec_t queue_ahead_us(const PoolQueue *queue, deadline_t deadline);
static inline PoolWaiter *
queue_first_plain(const PoolQueue *queue)
{
	ListNode *node = list_first(&queue->plain);

	return node != NULL ? CONTAINER_OF(node, PoolWaiter, _plain) : NULL;
}
static inline PoolWaiter *
queue_oldest(const Pool *pool)
{
	ListNode *node = list_first(&pool->waiters);

	return node != NULL ? CONTAINER_OF(node, PoolWaiter, node) : NULL;
}

/* --- cap.c --- */
/* Take a place for a request that is not queued; false when it must be parked.  True without a cap. */
extern bool cap_take(PoolWaiter *waiter) MUST_CHECK;
/* May not even be parked? */
extern bool cap_is_full(const PoolWaiter *waiter);
/* How long a request without a place is expected to be parked. */
extern usec_t cap_wait_us(const PoolWaiter *waiter, usec_t own_us);
/* Onto the list of the parked, and off it; for queue.c. */
extern void cap_enter(PoolWaiter *waiter);
extern void cap_leave(PoolWaiter *waiter);
/* Places for the parked, as far as there are.  Other pools than the caller's (NULL: all) are served at once, the caller's own by
 * the caller, whose lists this may lengthen. */
extern void cap_serve(PoolCap *cap, const Pool *caller, usec_t now, PoolActions *out);
extern void cap_give_back(PoolCap *cap, const Pool *caller, usec_t now, PoolActions *out);

/* --- lane.c --- */
/* Judge a class (NULL: unknown, hence normal) by what is known now. */
extern Lane lane_of(Pool *pool, PoolClass *class, usec_t now);
/* A slot begins or ceases to run a class; NULL is fine. */
extern void lane_starts(PoolSlot *slot, PoolClass *class, usec_t now);
extern void lane_ends(PoolSlot *slot);
/* A request of the normal lane arrived. */
extern void lane_note_normal(Pool *pool, usec_t now);
/* How many more slots the slow lane may take now; INT_MAX = as many as there are. */
extern int lane_room(const Pool *pool, usec_t now);
/* Slots the slow lane is limited to while others are about; INT_MAX when the lane is off. */
extern int lane_limit(const Pool *pool);
/* When lane_room will grow by itself. */
extern deadline_t lane_opens_at(const Pool *pool, usec_t now);
/* A request has held a slot for so long. */
extern void lane_learn_hold(Pool *pool, PoolClass *class, usec_t hold_us, usec_t now);

/* --- admission.c --- */
/* Can this request, if queued now, not make its deadline?  Then the numbers that say so are in *wait_us and
 * *run_us. Marks a waiter let in against them (_probe). */
extern bool admission_refuses(Pool *pool, PoolWaiter *waiter, usec_t now, usec_t *wait_us, usec_t *run_us);
/* How long it is expected to hold a slot, for the sums of the queue. */
extern usec_t admission_cost_us(const Pool *pool, const PoolWaiter *waiter);
/* From this instant on a queued waiter cannot make its deadline even if it is granted at once. */
extern deadline_t admission_lost_at(const Pool *pool, const PoolWaiter *waiter);
/* The slot begins to serve this waiter, whose deadline will show how good the estimate was. */
extern void admission_granted(PoolSlot *slot, const PoolWaiter *waiter, usec_t now);
/* A waiter that was let in and queued did not make it. */
extern void admission_learn_miss(Pool *pool, usec_t since, usec_t now);
extern void admission_learn_run(PoolSlot *slot, usec_t run_us, bool completed, usec_t now);

/* --- adaptive.c --- */
/* How many slots may be active at once, and how many more than now; INT_MAX = as many as there are. */
extern int adaptive_limit(const Pool *pool);
extern int adaptive_room(const Pool *pool);
/* A statement has ended by itself. */
extern void adaptive_learn(Pool *pool, PoolClass *class, usec_t run_us, usec_t now);
/* The same of many, which have run on lease. */
extern void adaptive_learn_tally(Pool *pool, PoolClass *class, const PoolTally *tally, usec_t now);
/* A statement of the class counts as no longer than that; 0 = they do not count. */
extern usec_t adaptive_worst_us(const Pool *pool, const PoolClass *class);

/* --- grant.c --- */
/* An idle slot and a waiter that may have it: the hot path of a request that need not wait.  False: nothing
 * was done. */
extern bool grant_at_once(Pool *pool, PoolWaiter *waiter, usec_t now, PoolActions *out);
/* The same without an action, and only of a slot of the waiter's home; NULL: nothing was done. */
extern PoolSlot *grant_directly(Pool *pool, PoolWaiter *waiter, usec_t now);
/* Fail those at the head who cannot make it, then grant as long as there are slots and waiters. */
extern void grant_serve(Pool *pool, usec_t now, PoolActions *out);
/* Waiters a slot could be given to now. */
extern int grant_eligible(const Pool *pool, usec_t now);
/* Would grant_serve find something to do now? */
extern bool grant_is_due(const Pool *pool, usec_t now);
/* Give exactly this idle slot, just found to be alive, to whoever is next, if anybody is. */
extern void grant_slot(PoolSlot *slot, usec_t now, PoolActions *out);
/* Fail a waiter, queued or about to be; there is room for the action. */
extern void grant_fail(Pool *pool, PoolWaiter *waiter, const PoolAction *why, usec_t now, PoolActions *out);
/* Fail everybody who is out of time. */
extern void grant_expire(Pool *pool, usec_t now, PoolActions *out);

/* --- open.c --- */
/* Slots that are there or will be, those on their way out not counted. */
static inline int
open_live(const Pool *pool)
{
	return pool->opening.count + pool->pending_opens + pool->idle.count + pool->active.count +
		   pool->cleaning.count;
}
/* Slots allowed beyond the pool's size. */
static inline int
open_reserve(const Pool *pool)
{
	return pool->limits.reserve_timeout_us > 0 && pool->limits.reserve_size > 0 ? pool->limits.reserve_size
																				: 0;
}
/* Do pools of the group (NULL: none) want to open a slot, and may not? */
static inline bool
open_has_blocked(const PoolGroup *group)
{
	return group != NULL && !list_empty(&group->_blocked);
}
/* Open what waiters and min_size need, as far as allowed; evict from other pools for waiters. */
extern void open_fill(Pool *pool, usec_t now, PoolActions *out);
extern deadline_t open_next_event(const Pool *pool, usec_t now);
/* min_size where it applies now, else 0. */
extern int open_minimum(const Pool *pool);
/* For so long a pool may keep a slot, and must a waiter have waited, before the slot goes to a poorer pool of
 * the group. */
#define OPEN_PATIENCE_US (500 * USEC_PER_MSEC)
/* Does another pool of the group have the better claim to a slot this pool is about to reuse? */
extern bool open_must_yield(const Pool *pool, usec_t now);
/* An idle slot of this pool can be evicted: serve the pools of its groups that are blocked. */
extern void open_serve_groups(Pool *pool, usec_t now, PoolActions *out);
/* This pool lost a slot: whoever of the groups, itself included, needs one most may open it. */
extern void open_share(Pool *pool, usec_t now, PoolActions *out);
extern void open_failed(Pool *pool, bool refused, usec_t now, PoolActions *out);
/* Are logins refused, with nothing else to wait for? */
extern bool open_fails_fast(const Pool *pool, usec_t now);
extern void open_leave_groups(Pool *pool);
extern void open_init_group(PoolGroup *group);
/* Move the count of the pool's groups. */
extern void open_count_used(Pool *pool, int change);

/* --- pool.c --- */
/* A grant came to nothing: the waiter returns to where it stood. */
extern void pool_requeue(Pool *pool, PoolWaiter *waiter, usec_t now);

/* --- slots.c --- */
extern void slot_set_state(PoolSlot *slot, SlotState state, usec_t now);
/* Ask for an idle, or otherwise unused, slot to be closed.  False without memory: it is idle then, and
 * marked. */
extern bool slot_close(PoolSlot *slot, PoolActionKind kind, const char *reason, usec_t now, PoolActions *out);
/* Close whatever idles although it may not; without memory the rest is for later. */
extern void slots_close_idle(Pool *pool, usec_t now, PoolActions *out);
/* The request that the slot was granted for is done: learn from it. */
extern void slot_end_hold(PoolSlot *slot, usec_t now, PoolActions *out);
/* Why a slot may not stay idle, or NULL.  used: it has served a client since it was opened. */
extern const char *slot_close_reason(const PoolSlot *slot, bool used, usec_t now);
/* When an idle slot will be too old. */
extern deadline_t slot_too_old_at(const PoolSlot *slot);
static inline PoolSlot *
slot_of(ListNode *node)
{
	return node != NULL ? CONTAINER_OF(node, PoolSlot, node) : NULL;
}

#endif
