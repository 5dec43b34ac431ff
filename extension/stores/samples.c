/*
 * samples.c: the ring of slow executions.
 */
#include "postgres.h"

#include "compat.h"
#include "guc.h"
#include "stores/ring.h"
#include "stores/samples.h"
#include "stores/statements_table.h"

static PgweirRing *ring = NULL;
static LWLock *lock = NULL;

Size
pgweir_samples_size(void)
{
	return add_size(offsetof(PgweirRing, data), mul_size(pgweir_sample_memory_kb, 1024));
}

int
pgweir_samples_locks(void)
{
	return 1;
}

void
pgweir_samples_attach(void *memory, LWLockPadded *locks, bool fresh)
{
	ring = memory;
	lock = &locks->lock;
	if (fresh)
		pgweir_ring_init(ring, pgweir_samples_size());
}

static Size
total_len(const PgweirSample *sample)
{
	Size		len = sizeof(*sample);

	for (int i = 0; i < PGWEIR_SAMPLE_PARTS; i++)
		len += sample->len[i];
	return len;
}

static bool
store(const PgweirSample *sample, const char *const part[PGWEIR_SAMPLE_PARTS])
{
	char	   *p;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	p = pgweir_ring_append(ring, total_len(sample));
	if (p != NULL)
	{
		memcpy(p, sample, sizeof(*sample));
		p += sizeof(*sample);
		for (int i = 0; i < PGWEIR_SAMPLE_PARTS; i++)
		{
			if (sample->len[i] > 0)
				memcpy(p, part[i], sample->len[i]);
			p += sample->len[i];
		}
	}
	LWLockRelease(lock);
	return p != NULL;
}

void
pgweir_sample_store(const PgweirSample *sample, const char *const part[PGWEIR_SAMPLE_PARTS])
{
	PgweirSample smaller;

	if (ring == NULL || store(sample, part))
		return;
	smaller = *sample;
	smaller.len[PGWEIR_SAMPLE_PLAN] = 0;
	smaller.len[PGWEIR_SAMPLE_PLAN_JSON] = 0;
	(void) store(&smaller, part);
}

void
pgweir_samples_visit(PgweirSampleVisitor visit, void *arg)
{
	char	   *copy = MemoryContextAllocHuge(CurrentMemoryContext, ring->size + 1);
	char	   *end = copy;
	uint64		at = 0;
	Size		len;
	const void *record;

	LWLockAcquire(lock, LW_SHARED);
	while ((record = pgweir_ring_next(ring, &at, &len)) != NULL)
	{
		memcpy(end, record, len);
		end += MAXALIGN(len);
	}
	LWLockRelease(lock);

	for (char *p = copy; p < end;)
	{
		const PgweirSample *sample = (const PgweirSample *) p;
		const char *part[PGWEIR_SAMPLE_PARTS];
		char	   *data = p + sizeof(*sample);

		for (int i = 0; i < PGWEIR_SAMPLE_PARTS; i++)
		{
			part[i] = data;
			data += sample->len[i];
		}
		if (sample->pid != 0)
			visit(sample, part, arg);
		p += MAXALIGN(total_len(sample));
	}
	pfree(copy);
}

char *
pgweir_sample_put_param(char *p, Oid type, const char *value, int len)
{
	int32		stored = len;

	memcpy(p, &type, sizeof(type));
	memcpy(p + sizeof(type), &stored, sizeof(stored));
	p += sizeof(type) + sizeof(stored);
	if (len > 0)
		memcpy(p, value, len);
	return p + Max(len, 0);
}

bool
pgweir_sample_next_param(const PgweirSample *sample, const char *const part[PGWEIR_SAMPLE_PARTS],
						 const char **at, Oid *type, const char **value, int *len)
{
	const char *end = part[PGWEIR_SAMPLE_PARAMS] + sample->len[PGWEIR_SAMPLE_PARAMS];
	int32		stored;

	if (*at + sizeof(*type) + sizeof(stored) > end)
		return false;
	memcpy(type, *at, sizeof(*type));
	memcpy(&stored, *at + sizeof(*type), sizeof(stored));
	*at += sizeof(*type) + sizeof(stored);
	*value = stored < 0 ? NULL : *at;
	*len = stored == PGWEIR_PARAM_UNTOLD ? -1 : Max(stored, 0);
	*at += Max(stored, 0);
	return true;
}

void
pgweir_samples_reset(Oid userid, Oid dbid, int64 queryid)
{
	const PgweirSample *sample;
	uint64		at = 0;
	Size		len;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	if (userid == 0 && dbid == 0 && queryid == 0)
		pgweir_ring_clear(ring);
	while ((sample = pgweir_ring_next(ring, &at, &len)) != NULL)
	{
		if (pgweir_key_matches(&sample->key, userid, dbid, queryid))
			unconstify(PgweirSample *, sample)->pid = 0;
	}
	LWLockRelease(lock);
}
