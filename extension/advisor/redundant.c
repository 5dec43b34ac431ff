/*
 * redundant.c: looks for indexes that cost more than they bring.
 *
 * Goes over the catalogs of the current database, table by table; a table that is locked for long is passed over.
 */
#include "postgres.h"

#include "advisor/redundant.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/catalog.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_namespace.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "advisor/index.h"
#include "advisor/isolate.h"
#include "advisor/settings.h"
#include "advisor/suggestion.h"
#include "stores/progress.h"

/* One index of the table at hand. */
typedef struct Examined
{
	PgweirIndex *index;
	bool		valid;
	bool		kept;			/* enforces or carries something: never to be dropped */
	bool		dropped;		/* already suggested */
	double		bytes;
	int64		scans;
} Examined;

typedef struct Examination
{
	Oid			relid;
	List	   *suggestions;
	MemoryContext result;		/* suggestions are made in it */
	double		days;			/* that scans have been counted for at least */
	char	   *since;			/* the same in words */
} Examination;

/* Whether some constraint stands on the index: its own, or a foreign key that refers to its columns. */
static bool
carries_constraint(Oid indexid)
{
	Relation	constraints = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	bool		found;

	ScanKeyInit(&key, Anum_pg_constraint_conindid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(indexid));
	/* There is no index on conindid; only unique indexes get here, so it is done seldom. */
	scan = systable_beginscan(constraints, InvalidOid, false, NULL, 1, &key);
	found = HeapTupleIsValid(systable_getnext(scan));
	systable_endscan(scan);
	table_close(constraints, AccessShareLock);
	return found;
}

bool
pgweir_index_must_be_kept(Relation rel)
{
	Form_pg_index form = rel->rd_index;

	if (form->indisprimary || form->indisexclusion || form->indisreplident || form->indisclustered)
		return true;
	if (rel->rd_rel->relispartition || OidIsValid(getExtensionOfObject(RelationRelationId, RelationGetRelid(rel))))
		return true;
	return form->indisunique && carries_constraint(RelationGetRelid(rel));
}

static List *
examine_indexes(Relation table)
{
	List	   *oids = RelationGetIndexList(table);
	List	   *examined = NIL;
	ListCell   *lc;

	foreach (lc, oids)
	{
		Relation	rel = index_open(lfirst_oid(lc), AccessShareLock);
		Examined   *one = palloc0(sizeof(Examined));

		one->index = pgweir_index_from_relation(rel);
		one->valid = rel->rd_index->indisvalid;
		one->kept = pgweir_index_must_be_kept(rel);
		if (RELKIND_HAS_STORAGE(rel->rd_rel->relkind))
			one->bytes = (double) RelationGetNumberOfBlocks(rel) * BLCKSZ;
		one->scans = DatumGetInt64(DirectFunctionCall1(pg_stat_get_numscans, ObjectIdGetDatum(lfirst_oid(lc))));
		index_close(rel, AccessShareLock);
		examined = lappend(examined, one);
	}
	return examined;
}

static void
suggest(Examination *examination, Examined *one, const char *confidence, char *reason)
{
	MemoryContext old = MemoryContextSwitchTo(examination->result);
	PgweirSuggestion *suggestion = pgweir_suggestion_make("drop", confidence);
	char	   *name = pgweir_table_name(one->index->oid);

	suggestion->identity = psprintf("DROP INDEX %s", name);
	suggestion->table_name = pgweir_table_name(examination->relid);
	/* An index on a partitioned table cannot be dropped concurrently. */
	suggestion->ddl = psprintf("DROP INDEX %s%s;", one->index->partitioned ? "" : "CONCURRENTLY ", name);
	suggestion->reason = pstrdup(reason);
	suggestion->size_bytes = one->bytes;
	suggestion->write_cost = pstrdup("none: writes get cheaper");
	examination->suggestions = lappend(examination->suggestions, suggestion);
	MemoryContextSwitchTo(old);
	one->dropped = true;
}

/* Somebody may be building it right now; that holds a lock that we would have to wait for. */
static bool
is_being_changed(Oid relid)
{
	LOCKTAG		tag;
	int			count;

	SET_LOCKTAG_RELATION(tag, MyDatabaseId, relid);
	(void) GetLockConflicts(&tag, ShareUpdateExclusiveLock, &count);
	return count > 0;
}

static void
find_invalid(Examination *examination, List *indexes)
{
	ListCell   *lc;

	foreach (lc, indexes)
	{
		Examined   *one = lfirst(lc);

		if (one->valid || one->index->partitioned || one->kept || is_being_changed(examination->relid))
			continue;
		suggest(examination, one, "high",
				"It is invalid, left behind by a CREATE INDEX CONCURRENTLY or REINDEX CONCURRENTLY that failed: no "
				"statement reads it, every write maintains it. Drop it and, if it is wanted, build it again.");
	}
}

/* Whether a can go because b is there.  Of two that are alike the one that is younger goes. */
static bool
is_superseded(const Examined *a, const Examined *b)
{
	bool		same;

	if (a == b || a->kept || a->dropped || b->dropped || !a->valid || !b->valid)
		return false;
	if (!pgweir_index_serves(b->index, a->index))
		return false;
	/* Other access methods than B-tree search by any of their columns, but not by a beginning of an order. */
	if (a->index->am != BTREE_AM_OID && a->index->nkeys != b->index->nkeys)
		return false;
	same = a->index->nkeys == b->index->nkeys && a->index->ncolumns == b->index->ncolumns;
	if (a->index->unique)
		return same && b->index->unique && a->index->nulls_not_distinct == b->index->nulls_not_distinct &&
			(b->kept || a->index->oid > b->index->oid);
	if (!same || b->kept || b->index->unique)
		return true;
	return a->index->oid > b->index->oid;
}

static void
find_superseded(Examination *examination, List *indexes)
{
	ListCell   *a;
	ListCell   *b;

	foreach (a, indexes)
	{
		Examined   *one = lfirst(a);

		foreach (b, indexes)
		{
			Examined   *other = lfirst(b);
			bool		same;

			if (!is_superseded(one, other))
				continue;
			same = one->index->nkeys == other->index->nkeys && one->index->ncolumns == other->index->ncolumns;
			suggest(examination, one, "high",
					psprintf(same ? "It is a duplicate of %s on (%s): whatever it serves the other serves, too."
							 : "Its columns begin those of %s on (%s), which serves whatever it serves.",
							 pgweir_table_name(other->index->oid), pgweir_index_columns_text(other->index)));
			break;
		}
	}
}

/* Whether the index's first columns are the n given, in any order. */
static bool
begins_with(const PgweirIndex *index, const int16 *attnos, int n)
{
	int			i;
	int			j;

	if (index->nkeys < n || index->predicate)
		return false;
	for (i = 0; i < n; i++)
	{
		for (j = 0; j < n && index->column[i].attno != attnos[j]; j++)
			;
		if (j == n)
			return false;
	}
	return true;
}

/* Whether a foreign key of the table would be left without an index if this one went. */
static bool
alone_supports_foreign_key(Relation table, List *indexes, const Examined *one)
{
	ListCell   *lc;
	ListCell   *other;

	foreach (lc, RelationGetFKeyList(table))
	{
		const ForeignKeyCacheInfo *fkey = lfirst_node(ForeignKeyCacheInfo, lc);
		bool		found = false;

		if (!begins_with(one->index, fkey->conkey, fkey->nkeys))
			continue;
		foreach (other, indexes)
		{
			const Examined *candidate = lfirst(other);

			found |= candidate != one && candidate->valid && !candidate->dropped &&
				begins_with(candidate->index, fkey->conkey, fkey->nkeys);
		}
		if (!found)
			return true;
	}
	return false;
}

static void
find_unused(Examination *examination, Relation table, List *indexes)
{
	ListCell   *lc;

	if (examination->days < pgweir_advisor_unused_days)
		return;
	foreach (lc, indexes)
	{
		Examined   *one = lfirst(lc);

		if (one->kept || one->dropped || !one->valid || one->index->unique || one->index->partitioned ||
			one->scans > 0 || one->bytes < pgweir_advisor_min_table_pages * (double) BLCKSZ ||
			alone_supports_foreign_key(table, indexes, one))
			continue;
		suggest(examination, one, examination->days >= 30 ? "medium" : "low",
				psprintf("It has not been scanned %s. Scans on standbys are not counted here: look at "
						 "pg_stat_user_indexes there, too.", examination->since));
	}
}

static void
examine_table(void *arg)
{
	Examination *examination = arg;
	Relation	table = table_open(examination->relid, AccessShareLock);
	List	   *indexes = examine_indexes(table);

	find_invalid(examination, indexes);
	find_superseded(examination, indexes);
	find_unused(examination, table, indexes);
	table_close(table, AccessShareLock);
}

/* How long scans have been counted: since the reset, else at least since the server started. */
static void
set_observed_days(Examination *examination)
{
	TimestampTz since = PgStartTime;
	bool		known = false;
	PgStat_StatDBEntry *entry = pgstat_fetch_stat_dbentry(MyDatabaseId);

	if (entry && entry->stat_reset_timestamp != 0)
	{
		since = entry->stat_reset_timestamp;
		known = true;
	}
	examination->days = (double) (GetCurrentTimestamp() - since) / USECS_PER_DAY;
	examination->since = psprintf(known ? "since statistics were reset %.1f days ago"
								  : "in the %.1f days that the server has been up, or longer", examination->days);
}

/* Tables that may have indexes of users. */
static List *
user_tables(void)
{
	Relation	classes = table_open(RelationRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(classes, InvalidOid, false, NULL, 0, NULL);
	List	   *oids = NIL;
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);

		if ((form->relkind == RELKIND_RELATION || form->relkind == RELKIND_MATVIEW ||
			 form->relkind == RELKIND_PARTITIONED_TABLE) &&
			form->relhasindex && form->oid >= FirstNormalObjectId && form->relpersistence != RELPERSISTENCE_TEMP &&
			!IsCatalogNamespace(form->relnamespace) && !IsToastNamespace(form->relnamespace))
			oids = lappend_oid(oids, form->oid);
	}
	systable_endscan(scan);
	table_close(classes, AccessShareLock);
	return oids;
}

List *
pgweir_redundant_indexes(void)
{
	Examination examination = {InvalidOid, NIL, CurrentMemoryContext, 0, NULL};
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "pgweir redundant indexes",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old;
	List	   *tables;
	ListCell   *lc;
	Oid			owner;

	set_observed_days(&examination);
	tables = user_tables();
	pgweir_progress_set(PGWEIR_PROGRESS_PHASE, PGWEIR_PHASE_CATALOG);
	pgweir_progress_set(PGWEIR_PROGRESS_TOTAL, list_length(tables));
	foreach (lc, tables)
	{
		CHECK_FOR_INTERRUPTS();
		pgweir_progress_set(PGWEIR_PROGRESS_DONE, foreach_current_index(lc));
		examination.relid = lfirst_oid(lc);
		old = MemoryContextSwitchTo(scratch);
		owner = pgweir_table_owner(examination.relid);
		if (OidIsValid(owner))
			(void) pgweir_isolated(owner, "pg_catalog", examine_table, &examination);
		MemoryContextSwitchTo(old);
		MemoryContextReset(scratch);
	}
	MemoryContextDelete(scratch);
	return examination.suggestions;
}
