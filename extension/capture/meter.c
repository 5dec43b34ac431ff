/*
 * meter.c: measuring and counting one run.
 */
#include "postgres.h"

#include "access/xact.h"
#include "capture/failure.h"
#include "capture/meter.h"
#include "capture/normalize.h"
#include "capture/sample.h"
#include "capture/tags.h"
#include "guc.h"
#include "stores/backends.h"
#include "stores/timeline.h"
#include "storage/bufmgr.h"
#include "utils/timestamp.h"

/* A shorter time between two runs in a transaction is the way from the planner to the executor, not thinking. */
#define MIN_THINK_NS 100000

int			pgweir_level = 0;

static int32 caller = 0;			/* of the top-level statement */
static PgweirMeter *running = NULL; /* innermost first */
static bool exit_registered = false;

/* For the time between statements of a transaction. */
static uint64 last_end_ns = 0;
static LocalTransactionId last_lxid = InvalidLocalTransactionId;

bool
pgweir_meter_wanted(int64 queryid)
{
	if (queryid == 0 || pgweir_track == PGWEIR_TRACK_NONE)
		return false;
	if (pgweir_level > 0 && pgweir_track != PGWEIR_TRACK_ALL)
		return false;
	return pgweir_deltas_own();
}

void
pgweir_meter_key(PgweirKey *key, int64 queryid, const char *text)
{
	/* What is nested is done for the same caller. */
	if (pgweir_level == 0)
		caller = pgweir_caller_of(text);

	memset(key, 0, sizeof(*key));
	key->userid = GetUserId();
	key->dbid = MyDatabaseId;
	key->queryid = queryid;
	key->toplevel = pgweir_level == 0;
	key->caller = caller;
}

static void
note_failure(PgweirUsage *usage, uint64 ns, PgweirCounter kind)
{
	pgweir_usage_begin_rare(usage);
	usage->counter[PGWEIR_FAILED] = 1;
	usage->counter[PGWEIR_FAILED_NS] = ns;
	usage->counter[kind] = 1;
	usage->counter[pgweir_kind_ns(kind)] = ns;
}

/* A FATAL error does not unwind: what is on the chain was being executed. */
static void
count_terminated(int code, Datum arg)
{
	while (running != NULL)
	{
		PgweirUsage usage;
		uint64		ns;

		pgweir_usage_clear(&usage);
		ns = pgweir_meter_read(running, &usage) + running->earlier_ns;
		note_failure(&usage, ns, PGWEIR_TERMINATED);
		pgweir_meter_count(running, &usage, ns);
		running = running->outer;
	}
}

void
pgweir_meter_note_text(int entry, const PgweirSource *source, JumbleState *jstate)
{
	const char *statement;
	char	   *normal;
	int			location = source->location;
	int			len = source->len;

	if (entry < 0 || pgweir_delta_text_known(entry))
		return;
	if (pgweir_delta_look_up(entry))
		return;
	statement = CleanQuerytext(source->text, &location, &len);
	normal = pgweir_normalize(statement, location, &len, jstate, source->has_body);
	/* What cannot be normalised has its place without a text. */
	pgweir_delta_put_text(entry, normal ? normal : "", normal ? len : 0);
	if (normal != NULL)
		pfree(normal);
}

static void
note_think(uint64 now_ns)
{
	if (last_end_ns != 0 && PGWEIR_LXID() == last_lxid && now_ns > last_end_ns + MIN_THINK_NS && IsTransactionBlock())
		pgweir_timeline_note_think(now_ns - last_end_ns);
}

static void
chain(PgweirMeter *meter)
{
	if (!exit_registered)
	{
		before_shmem_exit(count_terminated, (Datum) 0);
		pgweir_timeline_note_connect();
		exit_registered = true;
	}
	if (meter->entry >= 0)
		pgweir_delta_pin(meter->entry);
	meter->outer = running;
	running = meter;
}

void
pgweir_meter_start(PgweirMeter *meter, const PgweirSource *source, bool with_usage)
{
	meter->entry = pgweir_delta_open(&meter->key);
	/* Who knows its tables knows its text. */
	if (unlikely(meter->entry >= 0 && !pgweir_delta_relations_known(meter->entry)))
		pgweir_meter_note_text(meter->entry, source, NULL);
	meter->text = source->text;
	meter->with_usage = with_usage;
	meter->earlier_ns = 0;
	chain(meter);
	if (with_usage)
	{
		meter->buffers = pgBufferUsage;
		meter->wal = pgWalUsage;
	}
	meter->start_ns = pgweir_clock_ns();
	if (pgweir_level == 0)
	{
		note_think(meter->start_ns);
		pgweir_backend_begin(&meter->key, GetCurrentStatementStartTimestamp(), pgweir_deadline_us);
	}
}

static void
read_usage(const PgweirMeter *meter, PgweirUsage *usage)
{
	const BufferUsage *restrict now = &pgBufferUsage;
	const BufferUsage *restrict then = &meter->buffers;
	uint64	   *restrict counter = usage->counter;

	counter[PGWEIR_SHARED_HIT] += now->shared_blks_hit - then->shared_blks_hit;
	counter[PGWEIR_SHARED_READ] += now->shared_blks_read - then->shared_blks_read;
	counter[PGWEIR_SHARED_DIRTIED] += now->shared_blks_dirtied - then->shared_blks_dirtied;
	counter[PGWEIR_SHARED_WRITTEN] += now->shared_blks_written - then->shared_blks_written;
	counter[PGWEIR_LOCAL_HIT] += now->local_blks_hit - then->local_blks_hit;
	counter[PGWEIR_LOCAL_READ] += now->local_blks_read - then->local_blks_read;
	counter[PGWEIR_LOCAL_DIRTIED] += now->local_blks_dirtied - then->local_blks_dirtied;
	counter[PGWEIR_LOCAL_WRITTEN] += now->local_blks_written - then->local_blks_written;
	counter[PGWEIR_TEMP_READ] += now->temp_blks_read - then->temp_blks_read;
	counter[PGWEIR_TEMP_WRITTEN] += now->temp_blks_written - then->temp_blks_written;
	counter[PGWEIR_WAL_RECORDS] += pgWalUsage.wal_records - meter->wal.wal_records;
	counter[PGWEIR_WAL_FPI] += pgWalUsage.wal_fpi - meter->wal.wal_fpi;
	counter[PGWEIR_WAL_BYTES] += pgWalUsage.wal_bytes - meter->wal.wal_bytes;
}

static void
read_io_times(const PgweirMeter *meter, PgweirUsage *usage)
{
	const BufferUsage *now = &pgBufferUsage;
	const BufferUsage *then = &meter->buffers;
	uint64	   *counter = usage->counter;

	pgweir_usage_begin_rare(usage);
	counter[PGWEIR_BLK_READ_NS] += pgweir_block_read_ns(now) - pgweir_block_read_ns(then);
	counter[PGWEIR_BLK_WRITE_NS] += pgweir_block_write_ns(now) - pgweir_block_write_ns(then);
	counter[PGWEIR_LOCAL_READ_NS] += pgweir_local_read_ns(now) - pgweir_local_read_ns(then);
	counter[PGWEIR_LOCAL_WRITE_NS] += pgweir_local_write_ns(now) - pgweir_local_write_ns(then);
	counter[PGWEIR_TEMP_READ_NS] += pgweir_temp_read_ns(now) - pgweir_temp_read_ns(then);
	counter[PGWEIR_TEMP_WRITE_NS] += pgweir_temp_write_ns(now) - pgweir_temp_write_ns(then);
}

uint64
pgweir_meter_read(const PgweirMeter *meter, PgweirUsage *usage)
{
	uint64		ns = pgweir_clock_ns() - meter->start_ns;

	if (meter->with_usage)
	{
		read_usage(meter, usage);
		if (unlikely(track_io_timing))
			read_io_times(meter, usage);
	}
	return ns;
}

static void
count(int entry, PgweirUsage *usage, uint64 ns)
{
	if (entry < 0)
	{
		pgweir_delta_drop();
		return;
	}
	usage->counter[PGWEIR_CALLS] = 1;
	usage->counter[PGWEIR_TOTAL_NS] = ns;
	pgweir_delta_add(entry, usage, ns, GetCurrentStatementStartTimestamp() + (TimestampTz) (ns / 1000));
}

void
pgweir_meter_count(const PgweirMeter *meter, PgweirUsage *usage, uint64 ns)
{
	count(meter->entry, usage, ns);
}

void
pgweir_meter_count_late(const PgweirKey *key, PgweirUsage *usage, uint64 ns)
{
	if (pgweir_deltas_own())
		count(pgweir_delta_find(key), usage, ns);
}

void
pgweir_meter_fail(const PgweirMeter *meter, PgweirUsage *usage, const ParamListInfo params)
{
	uint64		ns = pgweir_meter_read(meter, usage) + meter->earlier_ns;
	PgweirCounter kind = pgweir_failure_kind(geterrcode(), meter->text);

	note_failure(usage, ns, kind);
	pgweir_sample_note_failure(meter, kind, params, ns);
	pgweir_meter_count(meter, usage, ns);
}

void
pgweir_meter_fail_early(const PgweirKey *key, const char *text)
{
	uint64		ns = 1000 * (uint64) Max(GetCurrentTimestamp() - GetCurrentStatementStartTimestamp(), 0);
	PgweirUsage usage;

	pgweir_usage_clear(&usage);
	note_failure(&usage, ns, pgweir_failure_kind(geterrcode(), text));
	pgweir_meter_count_late(key, &usage, ns);
}

void
pgweir_meter_end(PgweirMeter *meter, uint64 now_ns)
{
	running = meter->outer;
	if (meter->entry >= 0)
		pgweir_delta_unpin(meter->entry);
	if (pgweir_level > 0)
		return;
	pgweir_backend_end();
	last_end_ns = now_ns;
	last_lxid = PGWEIR_LXID();
	if (now_ns != 0)
		pgweir_deltas_flush_if_due(now_ns);
}

void
pgweir_meter_resume(PgweirMeter *meter)
{
	meter->entry = pgweir_delta_open(&meter->key);
	chain(meter);
	if (pgweir_level == 0)
		pgweir_backend_begin(&meter->key, GetCurrentStatementStartTimestamp(), pgweir_deadline_us);
}
