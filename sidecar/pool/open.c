/*
 * open.c: when a server connection may be opened, and who must give one up for it.
 *
 * A pool wants one more slot when it has more waiters that could use it than slots on their way (opening, or
 * being cleaned for no longer than CLEANING_HOPE_US), or fewer slots than its minimum.  It may open one when
 *
 *   - it is neither paused nor retiring;
 *   - the retry time of a failed login is over (until one succeeds, one login runs at a time);
 *   - fewer than max_parallel_opening logins are under way;
 *   - it has fewer than `size` slots; or fewer than size + reserve_size, no login under way, and the oldest
 *     waiter has waited for reserve_timeout;
 *   - its groups have room.  For waiters, an idle slot of another pool of a full group is evicted.
 *
 * A pool that only its groups hold back is `blocked`; it is looked at again when the group loses a slot or
 * gains an idle one.
 */
#include "pool/policy.h"

#include <limits.h>

/* A slot being cleaned is expected back within this. */
#define CLEANING_HOPE_US (20 * USEC_PER_MSEC)
/* Retries of an unreachable server: the first, and the slowest. */
#define RETRY_FIRST_US (50 * USEC_PER_MSEC)
#define RETRY_SLOWEST_US USEC_PER_SEC
typedef enum MayOpen
{
	OPEN_YES,
	OPEN_NO,
	OPEN_GROUP_FULL, /* nothing else is in the way */
} MayOpen;

/* --- what is wanted --- */

int
open_minimum(const Pool *pool)
{
	int minimum = pool->clients > 0 || pool->forced_user ? pool->limits.min_size : 0;

	return pool->limits.size > 0 && minimum > pool->limits.size ? pool->limits.size : minimum;
}

/* Slots being cleaned that may be back soon; not counted beyond `enough`. */
static int
coming_back(const Pool *pool, int enough, usec_t now)
{
	int count = 0;

	for (const ListNode *node = pool->cleaning.head.prev; node != &pool->cleaning.head && count < enough;
		 node = node->prev)
	{
		const PoolSlot *slot = CONTAINER_OF(node, const PoolSlot, node);

		if (now - slot->state_since >= CLEANING_HOPE_US)
			break;
		count += !slot->close_needed;
	}
	return count;
}

/* Waiters for whom no slot is on its way, slots being cleaned left aside. */
static int
unserved(const Pool *pool, usec_t now)
{
	if (list_empty(&pool->waiters))
		return 0;
	return grant_eligible(pool, now) - pool->opening.count - pool->pending_opens - pool->idle.count;
}

/* --- what is allowed --- */

static usec_t
retry_delay(const Pool *pool)
{
	usec_t delay = RETRY_FIRST_US;
	usec_t most = pool->limits.login_retry_us;

	if (pool->_login_refused)
		return most > RETRY_FIRST_US ? most : RETRY_FIRST_US;
	for (int i = 1; i < pool->_failures && delay < RETRY_SLOWEST_US; i++)
		delay *= 2;
	if (delay > RETRY_SLOWEST_US)
		delay = RETRY_SLOWEST_US;
	return most > RETRY_FIRST_US && delay > most ? most : delay;
}

/* When the next login may be tried; 0 = at any time. */
static usec_t
retry_at(const Pool *pool)
{
	return pool->last_open_failure == 0 ? 0 : pool->last_open_failure + retry_delay(pool);
}

/* When the reserve may be used for the oldest waiter. */
static deadline_t
reserve_at(const Pool *pool)
{
	const PoolWaiter *oldest = queue_oldest(pool);

	if (oldest == NULL || open_reserve(pool) == 0)
		return DEADLINE_NONE;
	return oldest->since + pool->limits.reserve_timeout_us;
}

static inline bool
is_full(const PoolGroup *group)
{
	return group != NULL && group->limit > 0 && group->used >= group->limit;
}

/* Does another pool of the group hold back waiters for want of room? */
static inline bool
others_hungry(const PoolGroup *group, const Pool *pool)
{
	return group != NULL && group->_hungry > (pool->_blocked == POOL_BLOCKED_WAITERS ? 1 : 0);
}

/* For `need`, which is not POOL_NOT_BLOCKED. */
static MayOpen
may_open(const Pool *pool, PoolBlocked need, usec_t now)
{
	int under_way = pool->opening.count + pool->pending_opens;
	int slots = open_live(pool) + pool->closing.count;
	int size = pool->limits.size;

	if (pool->paused || pool->retiring)
		return OPEN_NO;
	if (pool->last_open_failure != 0 && (under_way > 0 || retry_at(pool) > now))
		return OPEN_NO;
	if (under_way > 0 && under_way >= pool->limits.max_parallel_opening)
		return OPEN_NO;
	if (size > 0 && slots >= size &&
		(slots >= size + open_reserve(pool) || under_way > 0 || reserve_at(pool) > now))
		return OPEN_NO;
	if (is_full(pool->db_group) || is_full(pool->user_group))
		return OPEN_GROUP_FULL;
	/* room is for waiters first, also while they wait for more of it elsewhere */
	if (need == POOL_BLOCKED_MINIMUM &&
		(others_hungry(pool->db_group, pool) || others_hungry(pool->user_group, pool)))
		return OPEN_GROUP_FULL;
	return OPEN_YES;
}

/* --- groups --- */

static inline Pool *
with_idle(const PoolGroup *group, ListNode *node)
{
	return group->_of_user ? CONTAINER_OF(node, Pool, in_user.with_idle) : CONTAINER_OF(node, Pool, in_db.with_idle);
}

static inline Pool *
blocked_one(const PoolGroup *group, ListNode *node)
{
	return group->_of_user ? CONTAINER_OF(node, Pool, in_user.blocked) : CONTAINER_OF(node, Pool, in_db.blocked);
}

void
open_count_used(Pool *pool, int change)
{
	if (pool->db_group != NULL)
		pool->db_group->used += change;
	if (pool->user_group != NULL)
		pool->user_group->used += change;
}

static void
change_blocked(PoolGroup *group, PoolMember *member, PoolBlocked from, PoolBlocked to)
{
	if (group == NULL)
		return;
	group->_hungry += (to == POOL_BLOCKED_WAITERS) - (from == POOL_BLOCKED_WAITERS);
	if (from == POOL_NOT_BLOCKED)
	{
		list_append(&group->_blocked, &member->blocked);
		member->blocked_as = ++group->_blocked_ever;
	}
	else if (to == POOL_NOT_BLOCKED)
		list_remove(&group->_blocked, &member->blocked);
}

/* What others have on lease may be what a pool is blocked for. */
static void
note_crowded(PoolGroup *group, PoolActions *out)
{
	if (group == NULL || group->_is_crowded || list_empty(&group->leased))
		return;
	group->_is_crowded = true;
	group->_next_crowded = out->_crowded;
	out->_crowded = group;
}

/*
 * Which claim a blocked pool has to a slot, the best first: one was given up for it; it has none; it has some; nobody waits there, and only its
 * minimum is lacking.
 */
static int
rank_of(const Pool *pool)
{
	bool bare = open_live(pool) == 0;

	if (list_empty(&pool->waiters))
		return 4;
	return (pool->_claims ? 0 : 2) + (bare ? 0 : 1);
}

/* Who has waited for longest in the pool. */
static usec_t
waits_since(const Pool *pool)
{
	const PoolWaiter *oldest = queue_oldest(pool);

	return oldest != NULL ? oldest->since : DEADLINE_NONE;
}

/* Of two ranked ones. */
static inline bool
comes_before(const Pool *a, const Pool *b)
{
	return a->_rank != b->_rank ? a->_rank < b->_rank : a->_rank_since < b->_rank_since;
}

static inline bool
is_equal(const Pool *a, const Pool *b)
{
	return a->_rank == b->_rank && a->_rank_since == b->_rank_since;
}

static bool
before_in_db(const HeapNode *a, const HeapNode *b)
{
	const Pool *pool = CONTAINER_OF(a, const Pool, in_db.ranked);
	const Pool *other = CONTAINER_OF(b, const Pool, in_db.ranked);

	return comes_before(pool, other) || (is_equal(pool, other) && pool->in_db.blocked_as < other->in_db.blocked_as);
}

static bool
before_in_user(const HeapNode *a, const HeapNode *b)
{
	const Pool *pool = CONTAINER_OF(a, const Pool, in_user.ranked);
	const Pool *other = CONTAINER_OF(b, const Pool, in_user.ranked);

	return comes_before(pool, other) || (is_equal(pool, other) && pool->in_user.blocked_as < other->in_user.blocked_as);
}

void
open_init_group(PoolGroup *group)
{
	heap_init(&group->_ranked, NULL);
}

static void
change_ranked(PoolGroup *group, HeapNode *node, HeapBefore before, bool ranked)
{
	if (group == NULL)
		return;
	group->_ranked.before = before;
	if (ranked)
		heap_insert(&group->_ranked, node);
	else
		heap_remove(&group->_ranked, node);
}

static void
set_ranked(Pool *pool, bool ranked)
{
	pool->_ranked = ranked;
	change_ranked(pool->db_group, &pool->in_db.ranked, before_in_db, ranked);
	change_ranked(pool->user_group, &pool->in_user.ranked, before_in_user, ranked);
}

/* Put the pool where it belongs now. */
static void
rank(Pool *pool)
{
	bool ranked = pool->_blocked != POOL_NOT_BLOCKED && !pool->_looked_at;

	if (ranked && pool->_ranked && rank_of(pool) == pool->_rank && waits_since(pool) == pool->_rank_since)
		return;
	if (pool->_ranked)
		set_ranked(pool, false);
	if (!ranked)
		return;
	pool->_rank = rank_of(pool);
	pool->_rank_since = waits_since(pool);
	set_ranked(pool, true);
}

static void
change_state(Pool *pool, PoolBlocked blocked, PoolActions *out)
{
	if (pool->_blocked == POOL_NOT_BLOCKED)
	{
		note_crowded(pool->db_group, out);
		note_crowded(pool->user_group, out);
	}
	change_blocked(pool->db_group, &pool->in_db, pool->_blocked, blocked);
	change_blocked(pool->user_group, &pool->in_user, pool->_blocked, blocked);
	pool->_blocked = blocked;
}

static void
set_blocked(Pool *pool, PoolBlocked blocked, PoolActions *out)
{
	if (blocked != pool->_blocked)
		change_state(pool, blocked, out);
	rank(pool);
}

void
open_leave_groups(Pool *pool)
{
	set_blocked(pool, POOL_NOT_BLOCKED, NULL);
	if (pool->db_group != NULL)
		list_remove(&pool->db_group->pools, &pool->in_db.all);
	if (pool->user_group != NULL)
		list_remove(&pool->user_group->pools, &pool->in_user.all);
}

/* The slot of the group, outside this pool, that has been idle for longest.  The pools stand in the order in which they have got idle ones. */
static PoolSlot *
longest_idle(PoolGroup *group, const Pool *but)
{
	PoolSlot *found = NULL;

	if (group->_idle <= but->idle.count)
		return NULL;
	list_each (node, &group->_with_idle)
	{
		Pool *pool = with_idle(group, node);
		PoolSlot *slot = pool != but ? slot_of(list_last(&pool->idle)) : NULL;

		if (found != NULL && pool->_idle_since >= found->state_since)
			break;
		if (slot != NULL && (found == NULL || slot->state_since < found->state_since))
			found = slot;
	}
	return found;
}

/* Can the group give the pool a slot, now or by an eviction?  (When one is being closed we are called again
 * after that.) */
static inline bool
can_relieve(const PoolGroup *group, const Pool *pool)
{
	return !is_full(group) || group->_idle > pool->idle.count;
}

/* Make sure that `wanted` slots of a full group are free or on their way out, as far as idle ones allow. */
static void
evict(PoolGroup *group, const Pool *pool, int wanted, usec_t now, PoolActions *out)
{
	if (!is_full(group))
		return;
	while (group->limit - group->used + group->closing < wanted)
	{
		PoolSlot *slot = longest_idle(group, pool);

		if (slot == NULL || !slot_close(slot, POOL_EVICT, "evicted", now, out))
			return;
	}
}

/* Nothing but groups that the other pool is in as well keeps this pool from opening a slot. */
static bool
blocked_by_groups_of(const Pool *pool, const Pool *other)
{
	return (!is_full(pool->db_group) || pool->db_group == other->db_group) &&
		   (!is_full(pool->user_group) || pool->user_group == other->user_group);
}

/* A pool of the group that has a better claim to a slot than its owner, or NULL. */
static Pool *
claimant(const PoolGroup *group, const Pool *owner, usec_t now)
{
	if (group == NULL || group->_hungry == 0 || group->closing > 0 || !is_full(group))
		return NULL;
	list_each (node, &group->_blocked)
	{
		Pool *pool = blocked_one(group, node);
		const PoolWaiter *oldest = queue_oldest(pool);

		if (pool == owner || pool->_blocked != POOL_BLOCKED_WAITERS || oldest == NULL ||
			now - oldest->since < OPEN_PATIENCE_US)
			continue;
		if ((open_live(pool) == 0 || open_live(pool) + 1 < open_live(owner)) &&
			blocked_by_groups_of(pool, owner) && may_open(pool, POOL_BLOCKED_WAITERS, now) == OPEN_GROUP_FULL)
			return pool;
	}
	return NULL;
}

bool
open_must_yield(const Pool *pool, usec_t now)
{
	Pool *to = list_empty(&pool->waiters) ? NULL : claimant(pool->db_group, pool, now);

	if (to == NULL && !list_empty(&pool->waiters))
		to = claimant(pool->user_group, pool, now);
	if (to == NULL)
		return false;
	to->_claims = true;
	rank(to);
	return true;
}

/* The blocked pool of the group to look at next in this round, if it is before `found`. */
static Pool *
next_blocked(const PoolGroup *group, Pool *found)
{
	HeapNode *first = group != NULL ? group->_ranked.first : NULL;
	Pool *pool;

	if (first == NULL || (is_full(group) && group->_idle == 0))
		return found;
	pool = group->_of_user ? CONTAINER_OF(first, Pool, in_user.ranked) : CONTAINER_OF(first, Pool, in_db.ranked);
	return found == NULL || comes_before(pool, found) ? pool : found;
}

void
open_serve_groups(Pool *pool, usec_t now, PoolActions *out)
{
	Pool *next;
	Pool *seen = NULL;

	if (!open_has_blocked(pool->db_group) && !open_has_blocked(pool->user_group))
		return;
	while ((next = next_blocked(pool->user_group, next_blocked(pool->db_group, NULL))) != NULL)
	{
		next->_looked_at = true;
		rank(next);
		next->_seen_before = seen;
		seen = next;
		open_fill(next, now, out);
	}
	for (; seen != NULL; seen = seen->_seen_before)
	{
		seen->_looked_at = false;
		rank(seen);
	}
}

/* --- opening --- */

static bool
open_one(Pool *pool, PoolActions *out)
{
	PoolAction action = {.kind = POOL_OPEN, .pool = pool};

	if (!actions_room(pool, out))
		return false;
	pool->pending_opens++;
	open_count_used(pool, 1);
	actions_add(out, &action);
	return true;
}

/* How many of the wanted slots could be opened at once, groups aside. */
static int
openable(const Pool *pool, int wanted)
{
	int parallel = pool->limits.max_parallel_opening - pool->opening.count - pool->pending_opens;
	int below_size = pool->limits.size - open_live(pool) - pool->closing.count;
	int most = parallel > 1 ? parallel : 1;

	if (pool->limits.size > 0 && below_size < most)
		most = below_size > 1 ? below_size : 1;
	return wanted < most ? wanted : most;
}

void
open_fill(Pool *pool, usec_t now, PoolActions *out)
{
	int wanted = unserved(pool, now);
	PoolBlocked blocked = POOL_NOT_BLOCKED;
	bool was_hungry = pool->_blocked == POOL_BLOCKED_WAITERS;
	bool opened = false;

	if (wanted > 0)
		wanted -= coming_back(pool, wanted, now);
	while (wanted > 0 || open_live(pool) < open_minimum(pool))
	{
		PoolBlocked need = wanted > 0 ? POOL_BLOCKED_WAITERS : POOL_BLOCKED_MINIMUM;
		MayOpen may = may_open(pool, need, now);

		if (may == OPEN_GROUP_FULL)
		{
			blocked = need;
			if (can_relieve(pool->db_group, pool) && can_relieve(pool->user_group, pool))
			{
				evict(pool->db_group, pool, openable(pool, wanted), now, out);
				evict(pool->user_group, pool, openable(pool, wanted), now, out);
			}
		}
		if (may != OPEN_YES || !open_one(pool, out))
			break;
		opened = true;
		wanted--;
	}
	if (opened || blocked != POOL_BLOCKED_WAITERS)
		pool->_claims = false;
	set_blocked(pool, blocked, out);
	/* This may have been the room for which somebody else has evicted, or somebody may have stood back for
	 * us; unless we are called for their sake. */
	if ((opened || (was_hungry && blocked != POOL_BLOCKED_WAITERS)) && !pool->_looked_at)
		open_serve_groups(pool, now, out);
}

/* The first slot whose cleaning takes too long for `wanted` waiters to go on hoping. */
static deadline_t
hope_ends_at(const Pool *pool, int wanted)
{
	for (const ListNode *node = pool->cleaning.head.prev; node != &pool->cleaning.head; node = node->prev)
	{
		const PoolSlot *slot = CONTAINER_OF(node, const PoolSlot, node);

		if (!slot->close_needed && --wanted == 0)
			return slot->state_since + CLEANING_HOPE_US;
	}
	return DEADLINE_NONE;
}

/* A blocked pool evicts for as many as it wants; when will it want one more? */
static deadline_t
more_wanted_at(const Pool *pool, int wanted, deadline_t at)
{
	int hoped = coming_back(pool, wanted, at);

	return hoped > 0 ? hope_ends_at(pool, hoped) : DEADLINE_NONE;
}

deadline_t
open_next_event(const Pool *pool, usec_t now)
{
	bool below = open_live(pool) < open_minimum(pool);
	int wanted = unserved(pool, now);
	PoolBlocked need = POOL_BLOCKED_WAITERS;
	deadline_t at = now;

	if ((wanted <= 0 && !below) || pool->paused || pool->retiring)
		return DEADLINE_NONE;
	if (coming_back(pool, wanted, now) >= wanted)
	{
		if (below)
			need = POOL_BLOCKED_MINIMUM;
		else
			at = hope_ends_at(pool, wanted);
	}
	if (retry_at(pool) > at)
		at = retry_at(pool);
	switch (may_open(pool, need, at))
	{
		case OPEN_YES: return at;
		case OPEN_GROUP_FULL: return pool->_blocked >= need ? more_wanted_at(pool, wanted, at) : at;
		case OPEN_NO: break;
	}
	/* the reserve is the only thing that comes with time alone */
	if (reserve_at(pool) > at && reserve_at(pool) != DEADLINE_NONE &&
		may_open(pool, need, reserve_at(pool)) != OPEN_NO)
		return reserve_at(pool);
	return DEADLINE_NONE;
}

void
open_share(Pool *pool, usec_t now, PoolActions *out)
{
	/* one of many that want it, though the first to know */
	if (pool->_blocked != POOL_BLOCKED_WAITERS &&
		(open_has_blocked(pool->db_group) || open_has_blocked(pool->user_group)) && unserved(pool, now) > 0)
		set_blocked(pool, POOL_BLOCKED_WAITERS, out);
	open_serve_groups(pool, now, out);
	open_fill(pool, now, out);
}

/* --- failures --- */

bool
open_fails_fast(const Pool *pool, usec_t now)
{
	return pool->_login_refused && retry_at(pool) > now && open_live(pool) == 0;
}

void
open_failed(Pool *pool, bool refused, usec_t now, PoolActions *out)
{
	PoolWaiter *waiter;

	pool->counters.open_failures++;
	pool->last_open_failure = now > 0 ? now : 1;
	/* several that were under way together count as one */
	if (pool->opening.count + pool->pending_opens == 0)
		pool->_failures++;
	pool->_login_refused = refused;
	if (open_fails_fast(pool, now))
	{
		while ((waiter = queue_oldest(pool)) != NULL && actions_room(pool, out))
			grant_fail(pool, waiter, &(PoolAction){.fail = POOL_FAIL_LOGIN}, now, out);
	}
	open_share(pool, now, out);
}
