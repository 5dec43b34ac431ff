/*
 * executed.c: reads plans of executions.
 */
#include "postgres.h"

#include "advisor/executed.h"

#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"

#include "advisor/predicates.h"

/* The member of an object as a string; NULL: there is none. */
static char *
member_text(JsonbContainer *node, const char *key)
{
	JsonbValue	value;

	if (getKeyJsonValueFromContainer(node, key, strlen(key), &value) == NULL || value.type != jbvString)
		return NULL;
	return pnstrdup(value.val.string.val, value.val.string.len);
}

static double
member_number(JsonbContainer *node, const char *key)
{
	JsonbValue	value;

	if (getKeyJsonValueFromContainer(node, key, strlen(key), &value) == NULL || value.type != jbvNumeric)
		return 0;
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8, NumericGetDatum(value.val.numeric)));
}

/* Whether the relation of that name is the scan's table or a partition of it. */
static bool
is_relation(const PgweirScan *scan, const char *name)
{
	const char *own = get_rel_name(scan->relid);
	Oid			relid;
	List	   *ancestors;

	if (own && strcmp(own, name) == 0)
		return true;
	if (get_rel_relkind(scan->relid) != RELKIND_PARTITIONED_TABLE)
		return false;
	/* Names of a plan have no schema: partitions are looked for beside their parent. */
	relid = get_relname_relid(name, get_rel_namespace(scan->relid));
	if (!OidIsValid(relid) || !get_rel_relispartition(relid))
		return false;
	ancestors = get_partition_ancestors(relid);
	return list_member_oid(ancestors, scan->relid);
}

/* Rows that the node read of its table, and by which index. */
static void
note_filter(JsonbContainer *node, const char *relation, List *scans)
{
	double		loops = member_number(node, "Actual Loops");
	char	   *index = member_text(node, "Index Name");
	ListCell   *lc;

	if (loops <= 0)
		return;
	foreach (lc, scans)
	{
		PgweirScan *scan = lfirst(lc);

		if (!is_relation(scan, relation))
			continue;
		scan->removed += member_number(node, "Rows Removed by Filter") * loops;
		scan->kept += member_number(node, "Actual Rows") * loops;
		if (index && member_number(node, "Rows Removed by Filter") > 0)
			scan->through = lappend(scan->through, pstrdup(index));
	}
}

/* Notes the sort in the scans of the tables below it. */
static void
note_spill(List *relations, List *scans, double kilobytes)
{
	ListCell   *name;
	ListCell   *lc;

	foreach (lc, scans)
	{
		PgweirScan *scan = lfirst(lc);

		foreach (name, relations)
		{
			if (is_relation(scan, lfirst(name)))
				scan->spilled_kb = Max(scan->spilled_kb, kilobytes);
		}
	}
}

/* Reads the node and what is below it; the names of the relations read there. */
static List *
note_node(JsonbContainer *node, List *scans)
{
	char	   *relation = member_text(node, "Relation Name");
	char	   *space = member_text(node, "Sort Space Type");
	List	   *relations = NIL;
	JsonbValue	plans;
	uint32		i;

	check_stack_depth();
	if (getKeyJsonValueFromContainer(node, "Plans", 5, &plans) != NULL && plans.type == jbvBinary)
	{
		for (i = 0; i < JsonContainerSize(plans.val.binary.data); i++)
		{
			JsonbValue *child = getIthJsonbValueFromContainer(plans.val.binary.data, i);

			if (child && child->type == jbvBinary && JsonContainerIsObject(child->val.binary.data))
				relations = list_concat(relations, note_node(child->val.binary.data, scans));
		}
	}
	if (relation)
	{
		note_filter(node, relation, scans);
		relations = lappend(relations, relation);
	}
	if (space && strcmp(space, "Disk") == 0)
		note_spill(relations, scans, member_number(node, "Sort Space Used"));
	return relations;
}

void
pgweir_executed_note(const char *plan, List *scans)
{
	Jsonb	   *json = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(plan)));
	JsonbValue	root;

	if (JB_ROOT_IS_OBJECT(json) && getKeyJsonValueFromContainer(&json->root, "Plan", 4, &root) != NULL &&
		root.type == jbvBinary && JsonContainerIsObject(root.val.binary.data))
		(void) note_node(root.val.binary.data, scans);
}
