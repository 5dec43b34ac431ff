/*
 * candidates.c: combines the conditions of a scan into indexes.
 */
#include "postgres.h"

#include "advisor/candidates.h"

#include "catalog/pg_am.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "advisor/methods.h"

/* Columns in a key at most: more rarely pay for their width. */
#define MAX_KEYS 6
/* Columns added to a key so that the table need not be read, and their bytes together. */
#define MAX_INCLUDED 5
#define MAX_INCLUDED_BYTES 80
/* The visibility map must cover this much of the table for that to be worth it. */
#define MIN_VISIBLE 0.5
/* Values wider than this on average do not fit an index well. */
#define MAX_KEY_BYTES 600
/* A partial index must leave out most of the table. */
#define MAX_PARTIAL 0.1
/* Rows read in vain for each that is wanted, from where on more is tried against it. */
#define MIN_REMOVED 10
/* Orders in which columns that are all fixed are tried. */
#define MAX_ROTATIONS 4

/* Key columns in the making. */
typedef struct Key
{
	int			n;
	const PgweirIndexColumn *column[MAX_KEYS];
} Key;

typedef struct Generator
{
	PgweirCandidates *set;
	const PgweirScan *scan;
	PgweirTable *table;
	const PgweirPredicate *partial;		/* all rows of the index satisfy it; NULL: every row is in it */
} Generator;

void
pgweir_candidates_init(PgweirCandidates *set, PgweirTables *tables, MemoryContext context)
{
	memset(set, 0, sizeof(*set));
	set->tables = tables;
	set->context = context;
}

static bool
same_values(const PgweirIndexColumn *a, const PgweirIndexColumn *b)
{
	return a->attno == b->attno && equal(a->expr, b->expr);
}

static bool
key_has(const Key *key, const PgweirIndexColumn *column)
{
	int			i;

	for (i = 0; i < key->n; i++)
	{
		if (same_values(key->column[i], column))
			return true;
	}
	return false;
}

static void
key_add(Key *key, const PgweirIndexColumn *column)
{
	if (key->n < MAX_KEYS && !key_has(key, column))
		key->column[key->n++] = column;
}

static void
key_add_all(Key *key, const Key *more)
{
	int			i;

	for (i = 0; i < more->n; i++)
		key_add(key, more->column[i]);
}

/* Whether the table's existing indexes make this one superfluous. */
static bool
is_served(const PgweirTable *table, const PgweirIndex *index)
{
	ListCell   *lc;

	foreach (lc, table->indexes)
	{
		const PgweirIndex *existing = lfirst(lc);

		if (pgweir_index_serves(existing, index))
			return true;
		/* What follows a whole unique key orders and narrows nothing. */
		if (existing->unique && existing->predicate == NIL && index->ncolumns == index->nkeys &&
			pgweir_index_key_prefix(existing, index))
			return true;
	}
	return false;
}

static double
column_bytes(const PgweirIndex *index, AttrNumber attno)
{
	double		width = attno ? get_attavgwidth(index->relid, attno) : 0;

	return width > 0 ? width : 8;
}

static bool
is_too_wide(const PgweirIndex *index)
{
	double		bytes = 0;
	int			i;

	for (i = 0; i < index->nkeys; i++)
		bytes += column_bytes(index, index->column[i].attno);
	return bytes > MAX_KEY_BYTES;
}

static void
add_candidate(Generator *gen, const PgweirIndex *index)
{
	PgweirCandidates *set = gen->set;
	MemoryContext old;
	PgweirIndex *copy;
	int			i;

	for (i = 0; i < set->count; i++)
	{
		if (set->item[i].index->relid == index->relid && pgweir_index_same(set->item[i].index, index))
			return;
	}
	if (is_served(gen->table, index) || (index->am == BTREE_AM_OID && is_too_wide(index)))
		return;
	old = MemoryContextSwitchTo(set->context);
	if (set->count == set->room)
	{
		set->room = Max(64, set->room * 2);
		set->item = set->item ? repalloc(set->item, sizeof(PgweirCandidate) * set->room)
			: palloc(sizeof(PgweirCandidate) * set->room);
	}
	copy = palloc(sizeof(PgweirIndex));
	*copy = *index;
	copy->predicate = copyObject(index->predicate);
	copy->column = palloc(sizeof(PgweirIndexColumn) * index->ncolumns);
	for (i = 0; i < index->ncolumns; i++)
	{
		copy->column[i] = index->column[i];
		copy->column[i].expr = copyObject(index->column[i].expr);
		if (copy->column[i].expr && index->am != GIN_AM_OID)
			copy->column[i].stats = pgweir_table_expression_stats(set->tables, gen->table, copy->column[i].expr);
	}
	set->item[set->count].index = copy;
	set->item[set->count].table = gen->table;
	set->item[set->count].bytes = -1;
	set->item[set->count].replaced = -1;
	set->count++;
	MemoryContextSwitchTo(old);
}

static PgweirIndex *
index_from_key(Generator *gen, const Key *key, int nkeys, int extra)
{
	PgweirIndex *index = pgweir_index_make(gen->scan->relid, BTREE_AM_OID, nkeys + extra);
	int			i;

	index->nkeys = nkeys;
	for (i = 0; i < nkeys; i++)
		index->column[i] = *key->column[i];
	if (gen->partial)
	{
		index->predicate = list_make1(gen->partial->constant);
		index->fraction = gen->partial->selectivity;
	}
	return index;
}

/* The index that also holds whatever else the statement reads of the table, if that is little. */
static void
add_covering(Generator *gen, const Key *key)
{
	Bitmapset  *missing = bms_copy(gen->scan->needed);
	PgweirIndex *index;
	double		bytes = 0;
	int			extra;
	int			attno = -1;
	int			i;

	if (gen->scan->needed == NULL || gen->scan->visible < MIN_VISIBLE)
		return;
	for (i = 0; i < key->n; i++)
		missing = bms_del_member(missing, key->column[i]->attno);
	extra = bms_num_members(missing);
	if (extra == 0 || extra > MAX_INCLUDED)
		return;
	index = index_from_key(gen, key, key->n, extra);
	i = key->n;
	while ((attno = bms_next_member(missing, attno)) >= 0)
	{
		index->column[i++].attno = attno;
		bytes += column_bytes(index, attno);
	}
	if (bytes <= MAX_INCLUDED_BYTES)
		add_candidate(gen, index);
}

/* The key, all its beginnings, and its covering form. */
static void
emit(Generator *gen, const Key *key)
{
	int			n;

	for (n = 1; n <= key->n; n++)
		add_candidate(gen, index_from_key(gen, key, n, 0));
	if (key->n > 0)
		add_covering(gen, key);
}

/* Emits key followed by more, if that says anything new. */
static void
emit_with(Generator *gen, const Key *key, const Key *more)
{
	Key			joined = *key;

	key_add_all(&joined, more);
	if (joined.n > key->n || key->n == 0)
		emit(gen, &joined);
}

static int
compare_selectivity(const ListCell *a, const ListCell *b)
{
	double		x = ((PgweirPredicate *) lfirst(a))->selectivity;
	double		y = ((PgweirPredicate *) lfirst(b))->selectivity;

	return x < y ? -1 : x > y ? 1 : 0;
}

/* The columns of such conditions, most selective first. */
static Key
key_of(const PgweirScan *scan, PgweirPredicateKind kind, int arm)
{
	List	   *sorted = NIL;
	Key			key = {0};
	ListCell   *lc;

	foreach (lc, scan->predicates)
	{
		PgweirPredicate *predicate = lfirst(lc);

		if (predicate->kind == kind && predicate->arm == arm)
			sorted = lappend(sorted, predicate);
	}
	list_sort(sorted, compare_selectivity);
	foreach (lc, sorted)
		key_add(&key, &((PgweirPredicate *) lfirst(lc))->column);
	list_free(sorted);
	return key;
}

static Key
key_rotated(const Key *key, int by)
{
	Key			rotated = {0};
	int			i;

	for (i = 0; i < key->n; i++)
		rotated.column[rotated.n++] = key->column[(i + by) % key->n];
	return rotated;
}

/* The first two columns exchanged. */
static Key
key_turned(const Key *key)
{
	Key			turned = *key;

	turned.column[0] = key->column[1];
	turned.column[1] = key->column[0];
	return turned;
}

static Key
key_of_order(const PgweirOrder *order)
{
	Key			key = {0};
	int			i;

	for (i = 0; i < order->ncolumns && i < MAX_KEYS; i++)
		key_add(&key, &order->column[i]);
	return key;
}

static Key
key_of_one(const PgweirIndexColumn *column)
{
	Key			key = {0};

	key_add(&key, column);
	return key;
}

/* Whether the order is one that another column's direction would spoil: kept apart from plain columns. */
static void
emit_orders(Generator *gen, const Key *fixed)
{
	ListCell   *lc;

	foreach (lc, gen->scan->orders)
	{
		Key			order = key_of_order(lfirst(lc));

		emit_with(gen, fixed, &order);
	}
}

/* fixed columns, then each of the ranges. */
static void
emit_ranges(Generator *gen, const Key *fixed, const Key *ranges)
{
	int			i;

	for (i = 0; i < ranges->n; i++)
	{
		Key			range = key_of_one(ranges->column[i]);

		emit_with(gen, fixed, &range);
	}
}

/* Conditions with values alone: fixed columns in several orders, followed by lists, ranges and wanted orders. */
static void
emit_filters(Generator *gen, const Key *equal, const Key *in, const Key *ranges)
{
	int			rotations = Max(1, Min(equal->n, MAX_ROTATIONS));
	int			r;

	for (r = 0; r < rotations; r++)
	{
		Key			fixed = key_rotated(equal, r);
		Key			listed = fixed;

		emit(gen, &fixed);
		emit_ranges(gen, &fixed, ranges);
		emit_orders(gen, &fixed);
		if (fixed.n > 1)
		{
			Key			first = key_of_one(fixed.column[0]);

			emit_orders(gen, &first);
		}
		if (in->n == 0)
			continue;
		key_add_all(&listed, in);
		emit(gen, &listed);
		emit_ranges(gen, &listed, ranges);
		if (r == 0)
		{
			emit_with(gen, in, &fixed);
			emit_ranges(gen, in, ranges);
		}
	}
}

/* Join columns that belong together: all whose other side is the same. */
static Key
key_of_partner(const PgweirScan *scan, const Bitmapset *partner)
{
	Key			key = {0};
	ListCell   *lc;

	foreach (lc, scan->predicates)
	{
		PgweirPredicate *predicate = lfirst(lc);

		if (predicate->kind == PGWEIR_PREDICATE_JOIN && predicate->arm == 0 &&
			bms_overlap(predicate->partner, partner))
			key_add(&key, &predicate->column);
	}
	return key;
}

static void
emit_joins(Generator *gen, const Key *equal, const Key *ranges)
{
	ListCell   *lc;

	foreach (lc, gen->scan->predicates)
	{
		PgweirPredicate *predicate = lfirst(lc);
		Key			one;
		Key			all;
		Key			first = *equal;
		Key			last;

		if (predicate->kind != PGWEIR_PREDICATE_JOIN || predicate->arm != 0)
			continue;
		one = key_of_one(&predicate->column);
		all = key_of_partner(gen->scan, predicate->partner);
		last = one;
		emit(gen, &one);
		emit_ranges(gen, &one, ranges);
		emit_orders(gen, &one);
		if (all.n > 1)
			emit(gen, &all);
		if (equal->n == 0)
			continue;
		key_add_all(&first, &one);
		emit(gen, &first);
		emit_ranges(gen, &first, ranges);
		emit_orders(gen, &first);
		key_add_all(&last, equal);
		emit(gen, &last);
		emit_ranges(gen, &last, ranges);
	}
}

/* Each arm of an OR wants an index of its own. */
static void
emit_arms(Generator *gen, const Key *equal)
{
	int			arm;

	for (arm = 1; arm <= gen->scan->narms; arm++)
	{
		Key			fixed = key_of(gen->scan, PGWEIR_PREDICATE_EQUAL, arm);
		Key			in = key_of(gen->scan, PGWEIR_PREDICATE_IN, arm);
		Key			join = key_of(gen->scan, PGWEIR_PREDICATE_JOIN, arm);
		Key			ranges = key_of(gen->scan, PGWEIR_PREDICATE_RANGE, arm);
		Key			with = *equal;

		key_add_all(&fixed, &in);
		key_add_all(&fixed, &join);
		emit(gen, &fixed);
		emit_ranges(gen, &fixed, &ranges);
		key_add_all(&with, &fixed);
		emit(gen, &with);
		emit_ranges(gen, &with, &ranges);
	}
}

/* The conditions that a GIN index serves, the most selective first. */
static List *
searches_of(const PgweirScan *scan)
{
	List	   *searches = NIL;
	ListCell   *lc;

	foreach (lc, scan->predicates)
	{
		PgweirPredicate *predicate = lfirst(lc);

		if (predicate->kind == PGWEIR_PREDICATE_SEARCH)
			searches = lappend(searches, predicate);
	}
	list_sort(searches, compare_selectivity);
	return searches;
}

static void
emit_search(Generator *gen, const PgweirIndexColumn *column, int n)
{
	PgweirIndex *index = pgweir_index_make(gen->scan->relid, GIN_AM_OID, n);

	memcpy(index->column, column, sizeof(PgweirIndexColumn) * n);
	if (gen->partial)
	{
		index->predicate = list_make1(gen->partial->constant);
		index->fraction = gen->partial->selectivity;
	}
	add_candidate(gen, index);
}

/* Adds the column unless it is there; the number of columns then. */
static int
search_add(PgweirIndexColumn *columns, int n, const PgweirIndexColumn *column)
{
	int			i;

	for (i = 0; i < n; i++)
	{
		if (same_values(&columns[i], column))
			return n;
	}
	if (n < MAX_KEYS)
		columns[n++] = *column;
	return n;
}

/*
 * Columns searched within: by an index each; by one of all that have to hold together, since the lists of rows are then
 * intersected inside of it; and, where btree_gin gives their types a class, by one that has the fixed columns besides.
 */
static void
emit_searches(Generator *gen)
{
	List	   *searches = searches_of(gen->scan);
	PgweirIndexColumn columns[MAX_KEYS];
	PgweirIndexColumn scalar;
	int			n = 0;
	ListCell   *lc;

	foreach (lc, searches)
	{
		const PgweirPredicate *predicate = lfirst(lc);

		emit_search(gen, &predicate->column, 1);
		if (predicate->arm == 0)
			n = search_add(columns, n, &predicate->column);
	}
	if (n > 1)
		emit_search(gen, columns, n);
	if (n == 0)
		return;
	foreach (lc, gen->scan->predicates)
	{
		const PgweirPredicate *predicate = lfirst(lc);

		if (predicate->kind == PGWEIR_PREDICATE_EQUAL && predicate->arm == 0 &&
			(gen->partial == NULL || !same_values(&predicate->column, &gen->partial->column)) &&
			pgweir_index_column_init_scalar(&scalar, gen->scan->relid, &predicate->column))
		{
			int			before = n;

			n = search_add(columns, n, &scalar);
			if (n > before)
				emit_search(gen, columns, n);
		}
	}
}

/* What other methods could serve, a column each. */
static void
emit_methods(Generator *gen)
{
	ListCell   *lc;

	foreach (lc, gen->scan->predicates)
	{
		PgweirIndex *hash = pgweir_hash_index(gen->scan, lfirst(lc), gen->table);
		PgweirIndex *brin = pgweir_brin_index(gen->scan, lfirst(lc), gen->table);

		if (hash)
			add_candidate(gen, hash);
		if (brin)
			add_candidate(gen, brin);
	}
}

static Key
key_without(const Key *key, const PgweirIndexColumn *column)
{
	Key			rest = {0};
	int			i;

	for (i = 0; i < key->n; i++)
	{
		if (!same_values(key->column[i], column))
			key_add(&rest, key->column[i]);
	}
	return rest;
}

/*
 * Indexes of the few rows that satisfy a condition which is the same in each execution, on what else the statement asks
 * for.  Conditions with values are not taken: the next execution may have another.
 */
static void
emit_partial(Generator *gen, const Key *equal, const Key *in, const Key *ranges)
{
	ListCell   *lc;

	foreach (lc, gen->scan->predicates)
	{
		const PgweirPredicate *predicate = lfirst(lc);
		Generator	partial = *gen;
		Key			fixed;
		Key			rest;
		Key			alone;

		if (predicate->constant == NULL || predicate->arm != 0 || predicate->selectivity > MAX_PARTIAL)
			continue;
		partial.partial = predicate;
		fixed = key_without(equal, &predicate->column);
		rest = key_without(ranges, &predicate->column);
		alone = key_of_one(&predicate->column);
		emit_filters(&partial, &fixed, in, &rest);
		emit_joins(&partial, &fixed, &rest);
		emit_searches(&partial);
		if (fixed.n == 0 && in->n == 0 && rest.n == 0)
			emit(&partial, &alone);
	}
}

/* The key columns of the table's index of that name; none when it is not a plain B-tree. */
static Key
key_of_existing(const Generator *gen, const char *name, PgweirIndexColumn *columns)
{
	Key			key = {0};
	ListCell   *lc;
	int			i;

	foreach (lc, gen->table->indexes)
	{
		const PgweirIndex *index = lfirst(lc);
		const char *own = get_rel_name(index->oid);

		if (index->am != BTREE_AM_OID || index->predicate || index->nkeys > MAX_KEYS || own == NULL || strcmp(own, name) != 0)
			continue;
		for (i = 0; i < index->nkeys; i++)
		{
			const PgweirIndexColumn *column = &index->column[i];

			/* What exists is known by its family; a definition names the class. */
			if (!pgweir_index_column_init(&columns[i], index->relid, column->attno, column->expr, BTREE_AM_OID,
										  column->collation, false) || columns[i].opfamily != column->opfamily)
				return (Key) {0};
			columns[i].descending = column->descending;
			columns[i].nulls_first = column->nulls_first;
			key_add(&key, &columns[i]);
		}
		break;
	}
	return key;
}

/*
 * Where executions were seen to read many rows in vain, or to sort on disk: all conditions in one index, since those that
 * do not narrow what is read of it still spare the table; the index that was used with them added; and the wanted order
 * with them behind.
 */
static void
emit_seen(Generator *gen, const Key *equal, const Key *in, const Key *ranges)
{
	const PgweirScan *scan = gen->scan;
	Key			all = *equal;
	ListCell   *lc;

	if (scan->removed < scan->kept * MIN_REMOVED && scan->spilled_kb <= 0)
		return;
	key_add_all(&all, in);
	key_add_all(&all, ranges);
	if (all.n == 0)
		return;
	emit(gen, &all);
	/* Of two ranges it is not their rows alone that say which is the better first, but also what the planner makes of the second. */
	if (equal->n == 0 && in->n == 0 && all.n > 1)
	{
		Key			turned = key_turned(&all);

		emit(gen, &turned);
	}
	foreach (lc, scan->through)
	{
		PgweirIndexColumn columns[MAX_KEYS];
		Key			used = key_of_existing(gen, lfirst(lc), columns);

		if (used.n > 0)
			emit_with(gen, &used, &all);
	}
	foreach (lc, scan->orders)
	{
		Key			order = key_of_order(lfirst(lc));

		emit_with(gen, &order, &all);
	}
}

void
pgweir_candidates_generate(PgweirCandidates *set, const PgweirScan *scan)
{
	Generator	gen = {set, scan, pgweir_tables_get(set->tables, scan->relid), NULL};
	Key			none = {0};
	Key			equal;
	Key			in;
	Key			ranges;

	if (gen.table->excluded || !gen.table->analyzed)
		return;
	equal = key_of(scan, PGWEIR_PREDICATE_EQUAL, 0);
	in = key_of(scan, PGWEIR_PREDICATE_IN, 0);
	ranges = key_of(scan, PGWEIR_PREDICATE_RANGE, 0);
	emit_filters(&gen, &equal, &in, &ranges);
	if (equal.n > 0)
		emit_orders(&gen, &none);
	emit_joins(&gen, &equal, &ranges);
	emit_arms(&gen, &equal);
	emit_searches(&gen);
	emit_methods(&gen);
	emit_partial(&gen, &equal, &in, &ranges);
	emit_seen(&gen, &equal, &in, &ranges);
}

/* Whether the scan has a condition on the column or wants it as an order's first. */
static bool
scan_wants(const PgweirScan *scan, const PgweirIndexColumn *column)
{
	ListCell   *lc;

	foreach (lc, scan->predicates)
	{
		if (same_values(&((PgweirPredicate *) lfirst(lc))->column, column))
			return true;
	}
	foreach (lc, scan->orders)
	{
		if (same_values(&((PgweirOrder *) lfirst(lc))->column[0], column))
			return true;
	}
	return false;
}

/* Whether the scan could begin with the index: by its first column, in GIN by any. */
static bool
index_is_wanted(const PgweirScan *scan, const PgweirIndex *index)
{
	int			n = index->am == GIN_AM_OID ? index->nkeys : 1;
	int			i;

	for (i = 0; i < n; i++)
	{
		if (scan_wants(scan, &index->column[i]))
			return true;
	}
	return false;
}

Bitmapset *
pgweir_candidates_relevant(const PgweirCandidates *set, const PgweirScan *scan)
{
	Bitmapset  *relevant = NULL;
	int			i;

	for (i = 0; i < set->count; i++)
	{
		if (set->item[i].index->relid == scan->relid && index_is_wanted(scan, set->item[i].index))
			relevant = bms_add_member(relevant, i);
	}
	return relevant;
}

double
pgweir_candidate_bytes(PgweirCandidates *set, int id)
{
	PgweirCandidate *candidate = &set->item[id];

	if (candidate->bytes < 0)
		candidate->bytes = (double) pgweir_index_bytes(candidate->index);
	return candidate->bytes;
}

double
pgweir_candidate_net_bytes(PgweirCandidates *set, int id)
{
	PgweirCandidate *candidate = &set->item[id];
	ListCell   *lc;

	if (candidate->replaced < 0)
	{
		candidate->replaced = 0;
		foreach (lc, candidate->table->indexes)
		{
			const PgweirIndex *existing = lfirst(lc);

			if (!existing->unique && pgweir_index_serves(candidate->index, existing))
				candidate->replaced += (double) pgweir_index_bytes(existing);
		}
	}
	return pgweir_candidate_bytes(set, id) - candidate->replaced;
}
