/*
 * statement.c: parses statement texts for the planner.
 *
 * Texts out of the store have $n where constants stood.  Where the grammar wants a constant, as in interval '1 day' or
 * extract(year FROM ...), such a text does not parse; those places are rewritten first (see repair_text).
 */
#include "postgres.h"

#include "advisor/statement.h"

#include <ctype.h>
#include <math.h>

#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "tcop/tcopprot.h"
#include "utils/lsyscache.h"

#include "advisor/compat_advisor.h"

/* Types whose name may stand before a constant: name 'value'. */
static const char *const literal_types[] = {"interval", "date", "timestamp", "timestamptz", "time", "timetz",
											"numeric", "uuid", "inet", "jsonb", "json", "point", "bytea"};

static bool
is_word_char(char c)
{
	return isalnum((unsigned char) c) || c == '_' || c == '$' || IS_HIGHBIT_SET(c);
}

/* The end of what must be copied as it is: a quoted string, quoted name or comment that starts at p; else p. */
static const char *
skip_opaque(const char *p)
{
	if (*p == '\'' || *p == '"')
	{
		const char	quote = *p++;

		while (*p && *p != quote)
			p++;
		return *p ? p + 1 : p;
	}
	if (p[0] == '-' && p[1] == '-')
		return p + strcspn(p, "\n");
	if (p[0] == '/' && p[1] == '*')
	{
		const char *end = strstr(p + 2, "*/");

		return end ? end + 2 : p + strlen(p);
	}
	return p;
}

/* What stands behind the first element of a list of which the rest was left out, and how many it is taken to have had. */
#define SQUASHED " /*, ... */"
#define SQUASHED_ELEMENTS 3

/* The end of the parameter symbol at p; NULL when there is none. */
static const char *
param_end(const char *p)
{
	if (*p != '$' || !isdigit((unsigned char) p[1]))
		return NULL;
	p++;
	while (isdigit((unsigned char) *p))
		p++;
	return p;
}

/* Whether the word may stand before a literal of its type. */
static bool
is_literal_type(const char *word, size_t len)
{
	int			i;

	for (i = 0; i < (int) lengthof(literal_types); i++)
	{
		if (strlen(literal_types[i]) == len && pg_strncasecmp(word, literal_types[i], len) == 0)
			return true;
	}
	return false;
}

/*
 * Replaces what the grammar accepts a constant for but no parameter: interval $1 becomes CAST($1 AS interval), and
 * extract($1 FROM ...) becomes extract(day FROM ...), since which part it was does not matter to a plan.  A list of constants
 * that the server since 18 takes for one whatever its length gets some elements back: one alone would be an equality.
 */
static char *
repair_text(const char *text)
{
	StringInfoData buf;
	const char *p = text;

	initStringInfo(&buf);
	while (*p)
	{
		const char *end = skip_opaque(p);
		const char *next;
		const char *param;

		if (end == p && (param = param_end(p)) != NULL && strncmp(param, SQUASHED, strlen(SQUASHED)) == 0)
		{
			for (int i = 0; i < SQUASHED_ELEMENTS; i++)
				appendStringInfo(&buf, i ? ", %.*s" : "%.*s", (int) (param - p), p);
			p = param + strlen(SQUASHED);
			continue;
		}
		if (end == p && is_word_char(*p))
		{
			while (is_word_char(*end))
				end++;
			next = end + strspn(end, " \t\r\n");
			if (is_literal_type(p, end - p) && (param = param_end(next)) != NULL)
			{
				appendStringInfo(&buf, "CAST(%.*s AS %.*s)", (int) (param - next), next, (int) (end - p), p);
				p = param;
				continue;
			}
			if (end - p == 7 && pg_strncasecmp(p, "extract", 7) == 0 && *next == '(' &&
				(param = param_end(next + 1 + strspn(next + 1, " "))) != NULL)
			{
				appendStringInfoString(&buf, "extract(day");
				p = param;
				continue;
			}
		}
		if (end == p)
			end = p + 1;
		appendBinaryStringInfo(&buf, p, end - p);
		p = end;
	}
	return buf.data;
}

/* The statement inside those that only wrap one; NULL for other utility statements. */
static Node *
unwrap(Node *stmt)
{
	for (;;)
	{
		if (stmt == NULL)
			return NULL;
		switch (nodeTag(stmt))
		{
			case T_ExplainStmt: stmt = ((ExplainStmt *) stmt)->query; break;
			case T_DeclareCursorStmt: stmt = ((DeclareCursorStmt *) stmt)->query; break;
			case T_PrepareStmt: stmt = ((PrepareStmt *) stmt)->query; break;
			case T_CreateTableAsStmt: stmt = ((CreateTableAsStmt *) stmt)->query; break;
			case T_CopyStmt: stmt = ((CopyStmt *) stmt)->query; break;
			case T_SelectStmt:
			case T_InsertStmt:
			case T_UpdateStmt:
			case T_DeleteStmt: return stmt;
#if PG_VERSION_NUM >= 150000
			case T_MergeStmt: return stmt;
#endif
			default: return NULL;
		}
	}
}

/* Analyses as parse_analyze_varparams() does, without telling anybody. */
static Query *
analyse(RawStmt *raw, const char *text)
{
	ParseState *pstate = make_parsestate(NULL);
	Oid		   *types = NULL;
	int			ntypes = 0;
	Query	   *query;

	pstate->p_sourcetext = text;
	setup_parse_variable_parameters(pstate, &types, &ntypes);
	query = transformTopLevelStmt(pstate, raw);
	check_variable_parameters(pstate, query);
	free_parsestate(pstate);
	return query;
}

/* Lets the position of an error be one in our statement, not in the one that calls us. */
static void
error_callback(void *arg)
{
	int			position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery((const char *) arg);
	}
}

/* The plannable queries of a repaired text. */
static List *
parse(const char *text, const char **reason)
{
	List	   *parsed;
	RawStmt    *raw;
	List	   *queries = NIL;
	ListCell   *lc;

	parsed = raw_parser(text, RAW_PARSE_DEFAULT);
	*reason = NULL;
	if (list_length(parsed) != 1)
	{
		*reason = parsed == NIL ? "empty statement" : "more than one statement";
		return NIL;
	}
	raw = linitial_node(RawStmt, parsed);
	raw->stmt = unwrap(raw->stmt);
	if (raw->stmt == NULL)
	{
		*reason = "utility statement: it has no plan";
		return NIL;
	}
	foreach (lc, pg_rewrite_query(analyse(raw, text)))
	{
		Query	   *query = lfirst_node(Query, lc);

		if (query->commandType != CMD_UTILITY && query->commandType != CMD_NOTHING)
			queries = lappend(queries, query);
	}
	if (queries == NIL)
		*reason = "nothing is left to plan after rules";
	return queries;
}

List *
pgweir_statement_parse(const char *text, const char **reason)
{
	ErrorContextCallback callback;
	List	   *queries;

	text = repair_text(text);
	callback.callback = error_callback;
	callback.arg = unconstify(char *, text);
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	queries = parse(text, reason);
	error_context_stack = callback.previous;
	return queries;
}

static bool
foreign_walker(Node *node, void *context)
{
	ListCell   *lc;

	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		const RangeTblEntry *rte = (const RangeTblEntry *) node;

		if (rte->rtekind != RTE_RELATION)
			return false;
		if (rte->relkind == RELKIND_FOREIGN_TABLE)
			return true;
		if (rte->relkind != RELKIND_PARTITIONED_TABLE)
			return false;
		foreach (lc, find_all_inheritors(rte->relid, NoLock, NULL))
		{
			if (get_rel_relkind(lfirst_oid(lc)) == RELKIND_FOREIGN_TABLE)
				return true;
		}
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, foreign_walker, context, QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, foreign_walker, context);
}

bool
pgweir_statement_is_foreign(List *queries)
{
	ListCell   *lc;

	foreach (lc, queries)
	{
		if (foreign_walker((Node *) lfirst(lc), NULL))
			return true;
	}
	return false;
}

static bool
has_param_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXTERN)
		return true;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, has_param_walker, context, 0);
	return expression_tree_walker(node, has_param_walker, context);
}

bool
pgweir_statement_has_params(List *queries)
{
	ListCell   *lc;

	foreach (lc, queries)
	{
		if (has_param_walker((Node *) lfirst(lc), NULL))
			return true;
	}
	return false;
}

void
pgweir_statement_assume_limit(List *queries, double rows)
{
	ListCell   *lc;

	foreach (lc, queries)
	{
		Query	   *query = lfirst_node(Query, lc);

		if (query->limitCount && has_param_walker(query->limitCount, NULL))
			query->limitCount = (Node *) makeConst(INT8OID, -1, InvalidOid, sizeof(int64),
												   Int64GetDatum((int64) Max(1.0, ceil(rows))), false,
												   FLOAT8PASSBYVAL);
	}
}
