/*
 * plans.c: the plans of classes, in groups of places.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "compat.h"
#include "guc.h"
#include "mb/pg_wchar.h"
#include "stores/plans.h"

#define GROUP 8
#define LOCKS 16
#define RESTLESS_US (60 * USECS_PER_SEC)	/* a place that was taken within this time, and is to be taken again */

typedef struct Slot
{
	PgweirPlan	plan;			/* plan_id 0: free */
	char		text[FLEXIBLE_ARRAY_MEMBER];	/* pgweir.plan_size bytes, ends in NUL */
} Slot;

/* What is looked at of a slot to find one, close together: slots are kilobytes apart. */
typedef struct Ref
{
	uint32		hash;			/* of class and plan */
	TimestampTz last_seen;		/* 0: free */
} Ref;

static Ref *refs = NULL;
static char *slots = NULL;
static LWLockPadded *all_locks = NULL;

static int
groups(void)
{
	return (pgweir_max_plans + GROUP - 1) / GROUP;
}

static Size
slot_size(void)
{
	return MAXALIGN(offsetof(Slot, text) + pgweir_plan_size);
}

static Size
refs_size(void)
{
	return MAXALIGN(mul_size(groups() * GROUP, sizeof(Ref)));
}

Size
pgweir_plans_size(void)
{
	return add_size(refs_size(), mul_size(groups() * GROUP, slot_size()));
}

int
pgweir_plans_locks(void)
{
	return LOCKS;
}

static inline Slot *
slot_at(int i)
{
	return (Slot *) (slots + (Size) i * slot_size());
}

static void
clear(int i)
{
	memset(&slot_at(i)->plan, 0, sizeof(PgweirPlan));
	memset(&refs[i], 0, sizeof(Ref));
}

void
pgweir_plans_attach(void *memory, LWLockPadded *locks, bool fresh)
{
	refs = memory;
	slots = (char *) memory + refs_size();
	all_locks = locks;
	for (int i = 0; fresh && i < groups() * GROUP; i++)
		clear(i);
}

bool
pgweir_plans_wanted(void)
{
	return slots != NULL && pgweir_max_plans > 0;
}

static uint32
hash_of(const PgweirKey *key, int64 plan_id)
{
	struct
	{
		PgweirKey	key;
		int64		plan_id;
	}			whole = {*key, plan_id};

	whole.key.caller = 0;
	return hash_bytes((const unsigned char *) &whole, sizeof(whole));
}

static inline int
group_of(uint32 hash)
{
	return (int) (hash % (uint32) groups());
}

static inline LWLock *
lock_of(int group)
{
	return &all_locks[group % LOCKS].lock;
}

/* The number of the plan's place; -1 if it has none, and then *victim is that of the group which is to be taken. */
static int
find(uint32 hash, const PgweirKey *key, int64 plan_id, int *victim)
{
	PgweirKey	whole = *key;
	int			first = group_of(hash) * GROUP;

	whole.caller = 0;
	*victim = first;
	for (int i = first; i < first + GROUP; i++)
	{
		if (refs[i].hash == hash && slot_at(i)->plan.plan_id == plan_id && pgweir_key_equal(&slot_at(i)->plan.key, &whole))
			return i;
		if (refs[i].last_seen < refs[*victim].last_seen)
			*victim = i;
	}
	return -1;
}

/* Exclusive lock. */
static Slot *
enter(uint32 hash, const PgweirKey *key, int64 plan_id, TimestampTz seen)
{
	int			victim;
	int			i = find(hash, key, plan_id, &victim);
	Slot	   *slot = slot_at(i < 0 ? victim : i);

	if (i < 0)
	{
		i = victim;
		clear(i);
		refs[i].hash = hash;
		slot->plan.key = *key;
		slot->plan.key.caller = 0;
		slot->plan.plan_id = plan_id;
		slot->plan.first_seen = seen;
	}
	slot->plan.last_seen = Max(slot->plan.last_seen, seen);
	refs[i].last_seen = Max(slot->plan.last_seen, 1);
	return slot;
}

bool
pgweir_plan_has_text(const PgweirKey *key, int64 plan_id, TimestampTz seen, bool *restless)
{
	uint32		hash = hash_of(key, plan_id);
	LWLock	   *lock = lock_of(group_of(hash));
	int			victim;
	int			i;
	bool		result;

	LWLockAcquire(lock, LW_SHARED);
	i = find(hash, key, plan_id, &victim);
	result = i >= 0 && slot_at(i)->plan.len > 0;
	*restless = i < 0 && refs[victim].last_seen != 0 && slot_at(victim)->plan.first_seen + RESTLESS_US > seen;
	LWLockRelease(lock);
	return result;
}

void
pgweir_plan_put_text(const PgweirKey *key, int64 plan_id, TimestampTz seen, const char *text, int len)
{
	int			kept = len < pgweir_plan_size ? len : pg_mbcliplen(text, len, pgweir_plan_size - 1);
	uint32		hash = hash_of(key, plan_id);
	LWLock	   *lock = lock_of(group_of(hash));
	Slot	   *slot;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	slot = enter(hash, key, plan_id, seen);
	memcpy(slot->text, text, kept);
	slot->text[kept] = '\0';
	slot->plan.len = kept;
	slot->plan.encoding = GetDatabaseEncoding();
	LWLockRelease(lock);
}

bool
pgweir_plan_add(const PgweirKey *key, int64 plan_id, uint64 calls, uint64 ns, TimestampTz seen, bool wait)
{
	uint32		hash = hash_of(key, plan_id);
	LWLock	   *lock = lock_of(group_of(hash));
	Slot	   *slot;

	if (!pgweir_acquire(lock, LW_EXCLUSIVE, wait))
		return false;
	slot = enter(hash, key, plan_id, seen);
	slot->plan.calls += calls;
	slot->plan.total_ns += ns;
	LWLockRelease(lock);
	return true;
}

void
pgweir_plans_visit(PgweirPlanVisitor visit, void *arg)
{
	Slot	   *copy = palloc(slot_size());

	for (int i = 0; i < groups() * GROUP; i++)
	{
		LWLockAcquire(lock_of(i / GROUP), LW_SHARED);
		memcpy(copy, slot_at(i), slot_at(i)->plan.plan_id == 0 ? sizeof(PgweirPlan) : slot_size());
		LWLockRelease(lock_of(i / GROUP));
		if (copy->plan.plan_id != 0)
		{
			copy->text[copy->plan.len] = '\0';
			visit(&copy->plan, copy->text, arg);
		}
	}
	pfree(copy);
}

void
pgweir_plans_reset(Oid userid, Oid dbid, int64 queryid)
{
	for (int i = 0; i < groups() * GROUP; i++)
	{
		LWLockAcquire(lock_of(i / GROUP), LW_EXCLUSIVE);
		if (pgweir_key_matches(&slot_at(i)->plan.key, userid, dbid, queryid))
			clear(i);
		LWLockRelease(lock_of(i / GROUP));
	}
}

void
pgweir_plan_restore(const PgweirPlan *plan, const char *text)
{
	int			kept = Min(plan->len, pgweir_plan_size - 1);
	Slot	   *slot = enter(hash_of(&plan->key, plan->plan_id), &plan->key, plan->plan_id, plan->last_seen);

	/* Cut to a smaller size: at a character of its encoding. */
	if (kept < plan->len)
		kept = pg_encoding_mbcliplen(plan->encoding, text, plan->len, kept);
	slot->plan = *plan;
	slot->plan.len = kept;
	memcpy(slot->text, text, kept);
	slot->text[kept] = '\0';
}
