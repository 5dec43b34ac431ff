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

Size
pgweir_plans_size(void)
{
	return mul_size(groups() * GROUP, slot_size());
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
clear(void)
{
	for (int i = 0; i < groups() * GROUP; i++)
		memset(&slot_at(i)->plan, 0, sizeof(PgweirPlan));
}

void
pgweir_plans_attach(void *memory, LWLockPadded *locks, bool fresh)
{
	slots = memory;
	all_locks = locks;
	if (fresh)
		clear();
}

bool
pgweir_plans_wanted(void)
{
	return slots != NULL && pgweir_max_plans > 0;
}

/* The group of a plan. */
static int
group_of(const PgweirKey *key, int64 plan_id)
{
	struct
	{
		PgweirKey	key;
		int64		plan_id;
	}			whole = {*key, plan_id};

	whole.key.caller = 0;
	return (int) (hash_bytes((const unsigned char *) &whole, sizeof(whole)) % (uint32) groups());
}

static inline LWLock *
lock_of(int group)
{
	return &all_locks[group % LOCKS].lock;
}

/* The plan's place; NULL if it has none, and then *victim is that of the group which is to be taken. */
static Slot *
find(int group, const PgweirKey *key, int64 plan_id, Slot **victim)
{
	PgweirKey	whole = *key;
	int			first = group * GROUP;

	whole.caller = 0;
	*victim = slot_at(first);
	for (int i = first; i < first + GROUP; i++)
	{
		Slot	   *slot = slot_at(i);

		if (slot->plan.plan_id == plan_id && pgweir_key_equal(&slot->plan.key, &whole))
			return slot;
		if (slot->plan.last_seen < (*victim)->plan.last_seen)
			*victim = slot;
	}
	return NULL;
}

/* Exclusive lock. */
static Slot *
enter(int group, const PgweirKey *key, int64 plan_id, TimestampTz seen)
{
	Slot	   *victim;
	Slot	   *slot = find(group, key, plan_id, &victim);

	if (slot == NULL)
	{
		slot = victim;
		memset(&slot->plan, 0, sizeof(PgweirPlan));
		slot->plan.key = *key;
		slot->plan.key.caller = 0;
		slot->plan.plan_id = plan_id;
		slot->plan.first_seen = seen;
	}
	slot->plan.last_seen = Max(slot->plan.last_seen, seen);
	return slot;
}

bool
pgweir_plan_has_text(const PgweirKey *key, int64 plan_id, TimestampTz seen, bool *restless)
{
	int			group = group_of(key, plan_id);
	Slot	   *victim;
	Slot	   *slot;
	bool		result;

	LWLockAcquire(lock_of(group), LW_SHARED);
	slot = find(group, key, plan_id, &victim);
	result = slot != NULL && slot->plan.len > 0;
	*restless = slot == NULL && victim->plan.plan_id != 0 && victim->plan.first_seen + RESTLESS_US > seen;
	LWLockRelease(lock_of(group));
	return result;
}

void
pgweir_plan_put_text(const PgweirKey *key, int64 plan_id, TimestampTz seen, const char *text, int len)
{
	int			kept = len < pgweir_plan_size ? len : pg_mbcliplen(text, len, pgweir_plan_size - 1);
	int			group = group_of(key, plan_id);
	Slot	   *slot;

	LWLockAcquire(lock_of(group), LW_EXCLUSIVE);
	slot = enter(group, key, plan_id, seen);
	memcpy(slot->text, text, kept);
	slot->text[kept] = '\0';
	slot->plan.len = kept;
	slot->plan.encoding = GetDatabaseEncoding();
	LWLockRelease(lock_of(group));
}

bool
pgweir_plan_add(const PgweirKey *key, int64 plan_id, uint64 calls, uint64 ns, TimestampTz seen, bool wait)
{
	int			group = group_of(key, plan_id);
	Slot	   *slot;

	if (!pgweir_acquire(lock_of(group), LW_EXCLUSIVE, wait))
		return false;
	slot = enter(group, key, plan_id, seen);
	slot->plan.calls += calls;
	slot->plan.total_ns += ns;
	LWLockRelease(lock_of(group));
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
		PgweirPlan *plan = &slot_at(i)->plan;

		LWLockAcquire(lock_of(i / GROUP), LW_EXCLUSIVE);
		if (pgweir_key_matches(&plan->key, userid, dbid, queryid))
			memset(plan, 0, sizeof(*plan));
		LWLockRelease(lock_of(i / GROUP));
	}
}

void
pgweir_plan_restore(const PgweirPlan *plan, const char *text)
{
	int			kept = Min(plan->len, pgweir_plan_size - 1);
	Slot	   *slot = enter(group_of(&plan->key, plan->plan_id), &plan->key, plan->plan_id, plan->first_seen);

	/* Cut to a smaller size: at a character of its encoding. */
	if (kept < plan->len)
		kept = pg_encoding_mbcliplen(plan->encoding, text, plan->len, kept);
	slot->plan = *plan;
	slot->plan.len = kept;
	memcpy(slot->text, text, kept);
	slot->text[kept] = '\0';
}
