/*
 * save.c: the file that carries counts over a restart.
 *
 * A head, then callers, classes and plans, each as a fixed struct and its text, then the checksum of all.  The file is read whole and
 * checked before anything of it is used; sizes are checked all the same.
 */
#include "postgres.h"

#include <sys/stat.h>
#include <unistd.h>

#include "compat.h"
#include "guc.h"
#include "mb/pg_wchar.h"
#include "port/pg_crc32c.h"
#include "stores/callers.h"
#include "stores/plans.h"
#include "stores/save.h"
#include "stores/statements_slots.h"
#include "storage/fd.h"
#include "utils/memutils.h"

#define SAVE_FILE "pg_stat/pgweir.stat"
#define MAGIC "pgweir01"
#define FORMAT 1

typedef struct Head
{
	char		magic[8];
	uint32		format;
	uint32		server;			/* major version */
	uint32		counters;
	uint32		buckets;
	uint32		callers;
	uint32		classes;
	uint32		plans;
	uint32		unused;
	TimestampTz since;
} Head;

typedef struct SavedClass
{
	PgweirKey	key;
	int32		text_len;
	int32		encoding;
	int32		truncated;
	int32		n_relations;
	Oid			relation[PGWEIR_CLASS_RELATIONS];
	TimestampTz first_seen;
	uint64		last_seen;
	uint64		min_ns;
	uint64		max_ns;
	uint64		sum_squares;
	uint64		counter[PGWEIR_NCOUNTERS];
	uint64		hist[PGWEIR_BUCKETS];
	PgweirWait	waits[PGWEIR_CLASS_WAITS];
} SavedClass;

/* --- writing --- */

typedef struct Writer
{
	FILE	   *file;
	pg_crc32c	crc;
	bool		failed;
	uint32		plans;
} Writer;

static void
put(Writer *writer, const void *data, Size len)
{
	COMP_CRC32C(writer->crc, data, len);
	if (len > 0 && fwrite(data, len, 1, writer->file) != 1)
		writer->failed = true;
}

static void
put_class(Writer *writer, PgweirSlot *slot)
{
	SavedClass	saved;

	memset(&saved, 0, sizeof(saved));
	saved.key = slot->key;
	saved.text_len = slot->text_len;
	saved.encoding = slot->encoding;
	saved.truncated = slot->text_truncated;
	saved.n_relations = slot->n_relations;
	memcpy(saved.relation, slot->relation, sizeof(saved.relation));
	saved.first_seen = slot->first_seen;
	saved.last_seen = pg_atomic_read_u64(&slot->last_seen);
	saved.min_ns = pg_atomic_read_u64(&slot->min_ns);
	saved.max_ns = pg_atomic_read_u64(&slot->max_ns);
	saved.sum_squares = pg_atomic_read_u64(&slot->sum_squares);
	for (int i = 0; i < PGWEIR_NCOUNTERS; i++)
		saved.counter[i] = pg_atomic_read_u64(&slot->counter[i]);
	for (int i = 0; i < PGWEIR_BUCKETS; i++)
		saved.hist[i] = pg_atomic_read_u64(&slot->hist[i]);
	memcpy(saved.waits, slot->waits, sizeof(saved.waits));
	put(writer, &saved, sizeof(saved));
	put(writer, slot->text, slot->text_len);
}

/* After a crash a slot may hold anything. */
static bool
is_sound(int p, int i)
{
	const PgweirSlot *slot = pgweir_slot(p, i);

	return pgweir_slot_used(p, i) && slot->text_len >= 0 && slot->text_len < pgweir_table->text_size &&
		slot->n_relations >= 0 && slot->n_relations <= PGWEIR_CLASS_RELATIONS;
}

static uint32
count_classes(void)
{
	uint32		n = 0;

	for (int p = 0; p < pgweir_table->partitions; p++)
	{
		for (int i = 0; i < pgweir_table->slots; i++)
			n += is_sound(p, i);
	}
	return n;
}

static void
put_plan(const PgweirPlan *plan, const char *text, void *arg)
{
	Writer	   *writer = arg;

	put(writer, plan, sizeof(*plan));
	put(writer, text, plan->len);
}

static void
count_plan(const PgweirPlan *plan, const char *text, void *arg)
{
	((Head *) arg)->plans++;
}

static void
put_callers(Writer *writer, int n)
{
	for (int i = 1; i <= n; i++)
	{
		char		text[PGWEIR_CALLER_LEN + 1] = {0};

		(void) pgweir_caller_read(i, text);
		put(writer, text, sizeof(text));
	}
}

static void
put_all(Writer *writer)
{
	Head		head = {0};

	memcpy(head.magic, MAGIC, sizeof(head.magic));
	head.format = FORMAT;
	head.server = PG_VERSION_NUM / 100;
	head.counters = PGWEIR_NCOUNTERS;
	head.buckets = PGWEIR_BUCKETS;
	head.callers = (uint32) pgweir_callers_count();
	head.since = pgweir_statements_since();
	head.classes = count_classes();
	pgweir_plans_visit(count_plan, &head);
	put(writer, &head, sizeof(head));
	put_callers(writer, (int) head.callers);
	for (int p = 0; p < pgweir_table->partitions; p++)
	{
		for (int i = 0; i < pgweir_table->slots; i++)
		{
			if (is_sound(p, i))
				put_class(writer, pgweir_slot(p, i));
		}
	}
	pgweir_plans_visit(put_plan, writer);
}

void
pgweir_save(void)
{
	Writer		writer = {.file = AllocateFile(SAVE_FILE ".new", PG_BINARY_W)};
	pg_crc32c	crc;

	if (writer.file == NULL)
	{
		ereport(LOG, (errcode_for_file_access(), errmsg("could not write file \"%s\": %m", SAVE_FILE ".new")));
		return;
	}
	INIT_CRC32C(writer.crc);
	put_all(&writer);
	crc = writer.crc;
	FIN_CRC32C(crc);
	if (fwrite(&crc, sizeof(crc), 1, writer.file) != 1)
		writer.failed = true;
	if (FreeFile(writer.file) != 0 || writer.failed)
	{
		ereport(LOG, (errcode_for_file_access(), errmsg("could not write file \"%s\": %m", SAVE_FILE ".new")));
		(void) unlink(SAVE_FILE ".new");
		return;
	}
	(void) durable_rename(SAVE_FILE ".new", SAVE_FILE, LOG);
}

/* --- reading --- */

typedef struct Reader
{
	const char *at;
	const char *end;
} Reader;

static const void *
take(Reader *reader, Size len)
{
	const char *at = reader->at;

	if (len > (Size) (reader->end - reader->at))
		return NULL;
	reader->at += len;
	return at;
}

static bool
take_class(Reader *reader)
{
	SavedClass	saved;
	const void *data = take(reader, sizeof(saved));
	const char *text;
	PgweirSlot *slot;

	if (data == NULL)
		return false;
	memcpy(&saved, data, sizeof(saved));
	if (saved.text_len < 0 || saved.n_relations < 0 || saved.n_relations > PGWEIR_CLASS_RELATIONS ||
		(saved.text_len > 0 && !PG_VALID_ENCODING(saved.encoding)))
		return false;
	text = take(reader, saved.text_len);
	if (text == NULL)
		return false;
	if (saved.key.caller > pgweir_callers_count())
		saved.key.caller = Min(PGWEIR_CALLER_OTHERS, pgweir_callers_count());
	slot = pgweir_statements_restore(&saved.key, text, saved.text_len, saved.encoding, saved.truncated != 0);
	if (slot == NULL)
		return true;			/* two callers have become one, of which the first stays */
	slot->n_relations = saved.n_relations;
	memcpy(slot->relation, saved.relation, sizeof(slot->relation));
	slot->first_seen = saved.first_seen;
	pg_atomic_write_u64(&slot->last_seen, saved.last_seen);
	pg_atomic_write_u64(&slot->min_ns, saved.min_ns);
	pg_atomic_write_u64(&slot->max_ns, saved.max_ns);
	pg_atomic_write_u64(&slot->sum_squares, saved.sum_squares);
	for (int i = 0; i < PGWEIR_NCOUNTERS; i++)
		pg_atomic_write_u64(&slot->counter[i], saved.counter[i]);
	for (int i = 0; i < PGWEIR_BUCKETS; i++)
		pg_atomic_write_u64(&slot->hist[i], saved.hist[i]);
	memcpy(slot->waits, saved.waits, sizeof(slot->waits));
	return true;
}

static bool
take_plan(Reader *reader)
{
	PgweirPlan	plan;
	const void *data = take(reader, sizeof(plan));
	const char *text;

	if (data == NULL)
		return false;
	memcpy(&plan, data, sizeof(plan));
	text = plan.len < 0 ? NULL : take(reader, plan.len);
	if (text == NULL)
		return false;
	if (pgweir_plans_wanted())
		pgweir_plan_restore(&plan, text);
	return true;
}

/* What is wrong with the file; NULL: nothing, and all of it was taken in. */
static const char *
take_all(Reader *reader)
{
	Head		head;
	const void *data = take(reader, sizeof(head));

	if (data == NULL)
		return "it is too short";
	memcpy(&head, data, sizeof(head));
	if (memcmp(head.magic, MAGIC, sizeof(head.magic)) != 0)
		return "it does not begin as such a file does";
	if (head.format != FORMAT || head.counters != PGWEIR_NCOUNTERS || head.buckets != PGWEIR_BUCKETS)
		return "it is of another version of pgweir";
	if (head.server != PG_VERSION_NUM / 100)
		return "it is of another major version of the server";
	for (uint32 i = 0; i < head.callers; i++)
	{
		const char *text = take(reader, PGWEIR_CALLER_LEN + 1);

		if (text == NULL)
			return "it ends too early";
		(void) pgweir_caller_intern(text, strnlen(text, PGWEIR_CALLER_LEN));
	}
	for (uint32 i = 0; i < head.classes; i++)
	{
		if (!take_class(reader))
			return "a statement in it is not complete";
	}
	for (uint32 i = 0; i < head.plans; i++)
	{
		if (!take_plan(reader))
			return "a plan in it is not complete";
	}
	pg_atomic_write_u64(&pgweir_table->since, (uint64) head.since);
	return NULL;
}

static const char *
take_checked(char *data, Size size)
{
	Reader		reader;
	pg_crc32c	crc;
	pg_crc32c	saved;

	if (size < sizeof(crc))
		return "it is too short";
	size -= sizeof(crc);
	INIT_CRC32C(crc);
	COMP_CRC32C(crc, data, size);
	FIN_CRC32C(crc);
	memcpy(&saved, data + size, sizeof(saved));
	if (!EQ_CRC32C(crc, saved))
		return "its checksum is wrong";
	reader.at = data;
	reader.end = data + size;
	return take_all(&reader);
}

void
pgweir_load(void)
{
	FILE	   *file = AllocateFile(SAVE_FILE, PG_BINARY_R);
	const char *problem = "it could not be read";
	struct stat status;
	char	   *data;

	if (file == NULL)
	{
		if (errno != ENOENT)
			ereport(LOG, (errcode_for_file_access(), errmsg("could not open file \"%s\": %m", SAVE_FILE)));
		return;
	}
	if (fstat(fileno(file), &status) == 0)
	{
		data = MemoryContextAllocHuge(CurrentMemoryContext, status.st_size + 1);
		if (fread(data, 1, status.st_size, file) == (size_t) status.st_size)
			problem = take_checked(data, status.st_size);
		pfree(data);
	}
	FreeFile(file);
	if (problem == NULL)
	{
		(void) unlink(SAVE_FILE);
		return;
	}
	/* What was taken in before the trouble was met. */
	pgweir_statements_reset(0, 0, 0);
	pgweir_plans_reset(0, 0, 0);
	ereport(LOG,
			(errmsg("pgweir begins with empty statistics: file \"%s\" cannot be used, %s", SAVE_FILE, problem),
			 errdetail("It is kept as \"%s\".", SAVE_FILE ".damaged")));
	if (rename(SAVE_FILE, SAVE_FILE ".damaged") != 0)
		ereport(LOG, (errcode_for_file_access(), errmsg("could not rename file \"%s\": %m", SAVE_FILE)));
}
