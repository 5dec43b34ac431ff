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

typedef struct Slot
{
	PgweirPlan	plan;			/* plan_id 0: free */
	char		text[FLEXIBLE_ARRAY_MEMBER];	/* pgweir.plan_size bytes, ends in NUL */
} Slot;

static char *slots = NULL;
static LWLock *lock = NULL;

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
	return 1;
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
	lock = &locks->lock;
	if (fresh)
		clear();
}

bool
pgweir_plans_wanted(void)
{
	return slots != NULL && pgweir_max_plans > 0;
}

/* The plan's place; NULL if it has none, and then *victim is that of the group which is to be taken. */
static Slot *
find(const PgweirKey *key, int64 plan_id, Slot **victim)
{
	struct
	{
		PgweirKey	key;
		int64		plan_id;
	}			whole = {*key, plan_id};
	uint32		hash;
	int			first;

	whole.key.caller = 0;
	hash = hash_bytes((const unsigned char *) &whole, sizeof(whole));
	first = (int) (hash % (uint32) groups()) * GROUP;
	*victim = slot_at(first);
	for (int i = first; i < first + GROUP; i++)
	{
		Slot	   *slot = slot_at(i);

		if (slot->plan.plan_id == plan_id && pgweir_key_equal(&slot->plan.key, &whole.key))
			return slot;
		if (slot->plan.last_seen < (*victim)->plan.last_seen)
			*victim = slot;
	}
	return NULL;
}

/* Exclusive lock. */
static Slot *
enter(const PgweirKey *key, int64 plan_id, TimestampTz seen)
{
	Slot	   *victim;
	Slot	   *slot = find(key, plan_id, &victim);

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
pgweir_plan_has_text(const PgweirKey *key, int64 plan_id)
{
	Slot	   *victim;
	Slot	   *slot;
	bool		result;

	LWLockAcquire(lock, LW_SHARED);
	slot = find(key, plan_id, &victim);
	result = slot != NULL && slot->plan.len > 0;
	LWLockRelease(lock);
	return result;
}

void
pgweir_plan_put_text(const PgweirKey *key, int64 plan_id, TimestampTz seen, const char *text, int len)
{
	int			kept = len < pgweir_plan_size ? len : pg_mbcliplen(text, len, pgweir_plan_size - 1);
	Slot	   *slot;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	slot = enter(key, plan_id, seen);
	memcpy(slot->text, text, kept);
	slot->text[kept] = '\0';
	slot->plan.len = kept;
	slot->plan.encoding = GetDatabaseEncoding();
	LWLockRelease(lock);
}

void
pgweir_plan_add(const PgweirKey *key, int64 plan_id, uint64 calls, uint64 ns, TimestampTz seen)
{
	Slot	   *slot;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	slot = enter(key, plan_id, seen);
	slot->plan.calls += calls;
	slot->plan.total_ns += ns;
	LWLockRelease(lock);
}

void
pgweir_plans_visit(PgweirPlanVisitor visit, void *arg)
{
	Slot	   *copy = palloc(slot_size());

	for (int i = 0; i < groups() * GROUP; i++)
	{
		LWLockAcquire(lock, LW_SHARED);
		memcpy(copy, slot_at(i), slot_at(i)->plan.plan_id == 0 ? sizeof(PgweirPlan) : slot_size());
		LWLockRelease(lock);
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
	LWLockAcquire(lock, LW_EXCLUSIVE);
	for (int i = 0; i < groups() * GROUP; i++)
	{
		PgweirPlan *plan = &slot_at(i)->plan;

		if (pgweir_key_matches(&plan->key, userid, dbid, queryid))
			memset(plan, 0, sizeof(*plan));
	}
	LWLockRelease(lock);
}

void
pgweir_plan_restore(const PgweirPlan *plan, const char *text)
{
	int			kept = Min(plan->len, pgweir_plan_size - 1);
	Slot	   *slot = enter(&plan->key, plan->plan_id, plan->first_seen);

	/* Cut to a smaller size: at a character of its encoding. */
	if (kept < plan->len)
		kept = pg_encoding_mbcliplen(plan->encoding, text, plan->len, kept);
	slot->plan = *plan;
	slot->plan.len = kept;
	memcpy(slot->text, text, kept);
	slot->text[kept] = '\0';
}
