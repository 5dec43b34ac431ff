/*
 * backends.c: one slot a backend with the statement it executes.
 */
#include "postgres.h"

#include "compat.h"
#include "stores/backends.h"

typedef struct Slot
{
	pg_atomic_uint32 change;	/* odd while the owner writes */
	PgweirActivity activity;
	uint64		waits_serial;	/* the statement that the waits are of; the sampler's, as they are */
	PgweirWait	waits[PGWEIR_BACKEND_WAITS];
	PgweirBlocker blocker;
} Slot;

#define READ_TRIES 1000

static Slot *slots = NULL;

Size
pgweir_backends_size(void)
{
	return mul_size(pgweir_max_backends(), sizeof(Slot));
}

void
pgweir_backends_attach(void *memory, LWLockPadded *locks, bool fresh)
{
	slots = memory;
	if (!fresh)
		return;
	memset(slots, 0, pgweir_backends_size());
	for (int i = 0; i < pgweir_max_backends(); i++)
		pg_atomic_init_u32(&slots[i].change, 0);
}

/* Only the owner increments, so that no locked instruction is needed. */
static inline void
bump(pg_atomic_uint32 *change)
{
	pg_atomic_write_u32(change, pg_atomic_read_u32(change) + 1);
}

static inline Slot *
own_slot(void)
{
	return &slots[PGWEIR_BACKEND_INDEX()];
}

void
pgweir_backend_begin(const PgweirKey *key, TimestampTz started, int64 deadline_us)
{
	Slot	   *slot = own_slot();

	bump(&slot->change);
	pg_write_barrier();
	slot->activity.pid = MyProcPid;
	/* The parts of one execution (planning, run, triggers) are one statement. */
	if (slot->activity.started != started || slot->activity.last.queryid != key->queryid)
		slot->activity.serial++;
	slot->activity.key = *key;
	slot->activity.started = started;
	slot->activity.deadline_us = deadline_us;
	pg_write_barrier();
	bump(&slot->change);
}

void
pgweir_backend_end(void)
{
	Slot	   *slot = own_slot();

	bump(&slot->change);
	pg_write_barrier();
	slot->activity.last = slot->activity.key;
	slot->activity.key.queryid = 0;
	pg_write_barrier();
	bump(&slot->change);
}

void
pgweir_backend_leave(void)
{
	Slot	   *slot = own_slot();

	bump(&slot->change);
	pg_write_barrier();
	slot->activity.pid = 0;
	slot->activity.key.queryid = 0;
	slot->activity.last.queryid = 0;
	pg_write_barrier();
	bump(&slot->change);
}

bool
pgweir_backend_read(int index, PgweirActivity *activity)
{
	Slot	   *slot = &slots[index];

	for (int i = 0; i < READ_TRIES; i++)
	{
		uint32		before = pg_atomic_read_u32(&slot->change);

		pg_read_barrier();
		*activity = slot->activity;
		pg_read_barrier();
		if ((before & 1) == 0 && before == pg_atomic_read_u32(&slot->change))
			return activity->pid != 0;
	}
	return false;
}

void
pgweir_backend_add_wait(int index, uint64 serial, uint32 event, uint64 ns)
{
	Slot	   *slot = &slots[index];

	if (slot->waits_serial != serial)
	{
		slot->waits_serial = 0;
		pg_write_barrier();
		memset(slot->waits, 0, sizeof(slot->waits));
		memset(&slot->blocker, 0, sizeof(slot->blocker));
		pg_write_barrier();
		slot->waits_serial = serial;
	}
	pgweir_waits_add(slot->waits, PGWEIR_BACKEND_WAITS, event, ns);
}

void
pgweir_backend_read_waits(int index, uint64 serial, PgweirWait *waits)
{
	Slot	   *slot = &slots[index];

	memcpy(waits, slot->waits, sizeof(slot->waits));
	pg_read_barrier();
	if (slot->waits_serial != serial)
		memset(waits, 0, sizeof(slot->waits));
}

void
pgweir_backend_set_blocker(int index, uint64 serial, const PgweirBlocker *blocker)
{
	if (slots[index].waits_serial == serial)
		slots[index].blocker = *blocker;
}

void
pgweir_backend_own_waits(PgweirWait *waits, PgweirBlocker *blocker)
{
	Slot	   *slot = own_slot();

	pgweir_backend_read_waits(PGWEIR_BACKEND_INDEX(), slot->activity.serial, waits);
	if (slot->waits_serial == slot->activity.serial)
		*blocker = slot->blocker;
}
