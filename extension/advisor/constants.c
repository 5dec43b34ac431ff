/*
 * constants.c: finds, marks and recognises constants that stay the same.
 */
#include "postgres.h"

#include "advisor/constants.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/scanner.h"
#include "utils/lsyscache.h"

/* Stands in a Const's location, which nothing looks at once a statement is analysed. */
#define MARK (-77)
/* Literals of a text that are looked at. */
#define MAX_LITERALS 1000

/* The codes of the scanner's first tokens, which it promises to keep (see parser/scanner.h). */
enum
{
	TOKEN_IDENT = 258,
	TOKEN_UIDENT,
	TOKEN_FCONST,
	TOKEN_SCONST,
	TOKEN_USCONST,
	TOKEN_BCONST,
	TOKEN_XCONST,
	TOKEN_OP,
	TOKEN_ICONST,
	TOKEN_PARAM
};

typedef struct Marking
{
	bool		all;
} Marking;

static bool
mark_walker(Node *node, void *arg)
{
	const Marking *marking = arg;

	if (node == NULL)
		return false;
	if (IsA(node, Const))
	{
		/* What comes out of the catalogs has no place in the text. */
		if (marking->all || ((Const *) node)->location < 0)
			((Const *) node)->location = MARK;
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, mark_walker, arg, 0);
	return expression_tree_walker(node, mark_walker, arg);
}

void
pgweir_constants_mark(List *queries, bool all)
{
	Marking		marking = {all};
	ListCell   *lc;

	foreach (lc, queries)
		(void) mark_walker((Node *) lfirst(lc), &marking);
}

bool
pgweir_constant_is_marked(const Const *constant)
{
	return constant->location == MARK;
}

/* A text being read token by token. */
typedef struct Reader
{
	core_yyscan_t scanner;
	core_yy_extra_type extra;
	core_YYSTYPE value;
	YYLTYPE		at;
	int			token;			/* 0: the end */
	char		kind;			/* of the value: s string, i integer, else none */
} Reader;

static void
advance(Reader *reader)
{
	reader->token = core_yylex(&reader->value, &reader->at, reader->scanner);
}

static void
start(Reader *reader, const char *text)
{
	reader->scanner = scanner_init(text, &reader->extra, &ScanKeywords, ScanKeywordTokens);
	reader->extra.escape_string_warning = false;
	advance(reader);
}

/* Whether two tokens that are no literals are the same. */
static bool
same_token(const Reader *a, const Reader *b)
{
	if (a->token != b->token)
		return false;
	switch (a->token)
	{
		case TOKEN_IDENT:
		case TOKEN_UIDENT:
		case TOKEN_FCONST:
		case TOKEN_SCONST:
		case TOKEN_USCONST:
		case TOKEN_BCONST:
		case TOKEN_XCONST:
		case TOKEN_OP: return strcmp(a->value.str, b->value.str) == 0;
		case TOKEN_ICONST:
		case TOKEN_PARAM: return a->value.ival == b->value.ival;
		default: return true;
	}
}

/* A keyword is itself a value only if it is true or false. */
static const char *
boolean_keyword(const Reader *reader)
{
	const char *word = reader->extra.scanbuf + reader->at;

	if (pg_strcasecmp(word, "true") == 0 || pg_strcasecmp(word, "false") == 0)
		return word;
	return NULL;
}

/*
 * The text of the literal at which the reader stands, behind its sign if it has one; NULL: there is none, or it is of a
 * kind whose type is not the parameter's.  The reader is left at it.
 */
static char *
take_literal(Reader *reader)
{
	bool		negative = reader->token == '-';

	if (negative)
		advance(reader);
	switch (reader->token)
	{
		case TOKEN_SCONST: return negative ? NULL : psprintf("'%s", reader->value.str);
		case TOKEN_ICONST: return psprintf("%s%d", negative ? "-" : "", reader->value.ival);
		case TOKEN_FCONST:
		case TOKEN_USCONST:
		case TOKEN_BCONST:
		case TOKEN_XCONST:
		case TOKEN_PARAM: return NULL;
		default: return !negative && boolean_keyword(reader) ? pstrdup(boolean_keyword(reader)) : NULL;
	}
}

/* Passes the rest of a list of which the class's text keeps only the first. */
static bool
skip_list(Reader *reader)
{
	int			depth = 0;

	while (reader->token != 0 && !(reader->token == ')' && depth == 0))
	{
		depth += reader->token == '(' ? 1 : reader->token == ')' ? -1 : 0;
		advance(reader);
	}
	return reader->token != 0;
}

bool
pgweir_constants_align(const char *class_text, const char *text, List **literals)
{
	Reader		class;
	Reader		one;
	char	  **found = palloc0(sizeof(char *) * (MAX_LITERALS + 1));
	int			count = 0;
	bool		same = true;
	int			i;

	start(&class, class_text);
	start(&one, text);
	while (same && class.token != 0 && one.token != 0)
	{
		if (class.token == TOKEN_PARAM && one.token != TOKEN_PARAM)
		{
			int			number = class.value.ival;
			char	   *literal = take_literal(&one);

			advance(&class);
			advance(&one);
			if (class.token == ')' && one.token == ',')
			{
				literal = NULL;
				same = skip_list(&one);
			}
			if (number < 1 || number > MAX_LITERALS)
				continue;
			found[number] = literal;
			count = Max(count, number);
			continue;
		}
		/* A parameter of the class may have another number where a list was shortened. */
		same = class.token == TOKEN_PARAM || same_token(&class, &one);
		advance(&class);
		advance(&one);
	}
	/* One may end in a semicolon. */
	same = same && (class.token == 0 || class.token == ';') && (one.token == 0 || one.token == ';');
	scanner_finish(class.scanner);
	scanner_finish(one.scanner);
	*literals = NIL;
	for (i = 1; i <= count; i++)
		*literals = lappend(*literals, found[i]);
	return same;
}

/* Whether the literal, compared with the column, leaves the column's type as it is. */
static bool
fits_type(const char *literal, Oid type)
{
	if (*literal == '\'')
		return true;
	if (strcmp(literal, "true") == 0 || strcmp(literal, "false") == 0)
		return type == BOOLOID;
	return type == INT2OID || type == INT4OID || type == INT8OID;
}

static Node *
fix_mutator(Node *node, void *arg)
{
	const List *literals = arg;

	if (node == NULL)
		return NULL;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXTERN)
	{
		const Param *param = (Param *) node;
		char	   *literal = NULL;
		Const	   *constant;
		Oid			input;
		Oid			ioparam;
		int16		typlen;
		bool		byval;

		if (param->paramid >= 1 && param->paramid <= list_length(literals))
			literal = list_nth(literals, param->paramid - 1);
		if (literal == NULL || !fits_type(literal, param->paramtype))
			return copyObject(node);
		getTypeInputInfo(param->paramtype, &input, &ioparam);
		get_typlenbyval(param->paramtype, &typlen, &byval);
		constant = makeConst(param->paramtype, param->paramtypmod, param->paramcollid, typlen,
							 OidInputFunctionCall(input, *literal == '\'' ? literal + 1 : literal, ioparam,
												  param->paramtypmod), false, byval);
		constant->location = MARK;
		return (Node *) constant;
	}
	if (IsA(node, Query))
		return (Node *) query_tree_mutator((Query *) node, fix_mutator, arg, 0);
	return expression_tree_mutator(node, fix_mutator, arg);
}

List *
pgweir_constants_fix(List *queries, const List *literals)
{
	List	   *fixed = NIL;
	ListCell   *lc;

	foreach (lc, queries)
		fixed = lappend(fixed, fix_mutator(lfirst(lc), unconstify(List *, literals)));
	return fixed;
}
