/*
 * callers.c: the callers, in an array that only grows, and a hash of chains over it.
 *
 * An entry is complete before it is put at the head of its chain, and is never changed afterwards.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "compat.h"
#include "guc.h"
#include "stores/callers.h"

typedef struct Caller
{
	uint32		hash;
	int32		next;			/* number of the next on the chain; 0: none */
	int32		len;
	char		text[PGWEIR_CALLER_LEN];
} Caller;

typedef struct Shared
{
	pg_atomic_uint32 count;		/* numbers given out */
	Caller		caller[FLEXIBLE_ARRAY_MEMBER];	/* number n stands at n - 1; then as many chains */
} Shared;

static Shared *shared = NULL;
static LWLock *lock = NULL;

static const char others[] = "{\"others\":\"pgweir.max_callers\"}";

static Size
callers_offset(int n)
{
	return MAXALIGN(offsetof(Shared, caller) + mul_size(n, sizeof(Caller)));
}

Size
pgweir_callers_size(void)
{
	return add_size(callers_offset(pgweir_max_callers), mul_size(pgweir_max_callers, sizeof(pg_atomic_uint32)));
}

int
pgweir_callers_locks(void)
{
	return 1;
}

static inline pg_atomic_uint32 *
chain_of(uint32 hash)
{
	pg_atomic_uint32 *chains = (pg_atomic_uint32 *) ((char *) shared + callers_offset(pgweir_max_callers));

	return &chains[hash % (uint32) pgweir_max_callers];
}

static int32
find(uint32 hash, const char *text, int len)
{
	for (int32 n = (int32) pg_atomic_read_u32(chain_of(hash)); n != 0; n = shared->caller[n - 1].next)
	{
		const Caller *caller = &shared->caller[n - 1];

		pg_read_barrier();
		if (caller->hash == hash && caller->len == len && memcmp(caller->text, text, len) == 0)
			return n;
	}
	return 0;
}

/* The lock is held, or nobody else is there yet. */
static int32
append(uint32 hash, const char *text, int len)
{
	pg_atomic_uint32 *chain = chain_of(hash);
	int32		n = (int32) pg_atomic_read_u32(&shared->count) + 1;
	Caller	   *caller = &shared->caller[n - 1];

	if (n > pgweir_max_callers)
		return PGWEIR_CALLER_OTHERS;
	caller->hash = hash;
	caller->len = len;
	memcpy(caller->text, text, len);
	caller->next = (int32) pg_atomic_read_u32(chain);
	pg_write_barrier();
	pg_atomic_write_u32(chain, (uint32) n);
	pg_atomic_write_u32(&shared->count, (uint32) n);
	return n;
}

void
pgweir_callers_attach(void *memory, LWLockPadded *locks, bool fresh)
{
	shared = memory;
	lock = &locks->lock;
	if (!fresh)
		return;
	pg_atomic_init_u32(&shared->count, 0);
	for (int i = 0; i < pgweir_max_callers; i++)
		pg_atomic_init_u32(chain_of(i), 0);
	if (pgweir_max_callers > 0)
		append(hash_bytes((const unsigned char *) others, strlen(others)), others, strlen(others));
}

int32
pgweir_caller_intern(const char *text, int len)
{
	uint32		hash;
	int32		n;

	if (shared == NULL || pgweir_max_callers == 0)
		return 0;
	len = Min(len, PGWEIR_CALLER_LEN);
	hash = hash_bytes((const unsigned char *) text, len);
	n = find(hash, text, len);
	if (n != 0)
		return n;
	if ((int) pg_atomic_read_u32(&shared->count) >= pgweir_max_callers)
		return PGWEIR_CALLER_OTHERS;
	LWLockAcquire(lock, LW_EXCLUSIVE);
	n = find(hash, text, len);
	if (n == 0)
		n = append(hash, text, len);
	LWLockRelease(lock);
	return n;
}

bool
pgweir_caller_read(int32 number, char *text)
{
	const Caller *caller;

	if (shared == NULL || number < 1 || number > (int32) pg_atomic_read_u32(&shared->count))
		return false;
	pg_read_barrier();
	caller = &shared->caller[number - 1];
	memcpy(text, caller->text, caller->len);
	text[caller->len] = '\0';
	return true;
}

int
pgweir_callers_count(void)
{
	return (int) pg_atomic_read_u32(&shared->count);
}
