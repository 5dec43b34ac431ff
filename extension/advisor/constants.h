/*
 * constants.h: constants that are the same in every execution of a statement.
 *
 * A class of statements has $n where constants stood, and nothing tells a constant of the program's text from one that a
 * user typed.  Two kinds are known to stay: those that come from views, since a class's text does not have them; and
 * literals that are the same in all executions that were kept, if there are enough.  They are marked, and the mark
 * survives rewriting and planning; constants that stand for one execution's values have none.
 */
#ifndef PGWEIR_ADVISOR_CONSTANTS_H
#define PGWEIR_ADVISOR_CONSTANTS_H

#include "nodes/parsenodes.h"
#include "nodes/primnodes.h"

/* Executions of a statement that must have the same literal. */
#define PGWEIR_MIN_SAME 5

/* Marks the constants in the queries: all, or only those that do not stand in the statement's own text. */
extern void pgweir_constants_mark(List *queries, bool all);

extern bool pgweir_constant_is_marked(const Const *constant);

/*
 * The literals of a text that stand where the class's text has parameters: a list of as many char * as it has, NULL where
 * there is none or its kind cannot be a parameter's value.  False when the texts differ in anything else.
 */
extern bool pgweir_constants_align(const char *class_text, const char *text, List **literals);

/* A copy of the queries with literals (a list as above; NULL: not this) in place of their parameters, marked. */
extern List *pgweir_constants_fix(List *queries, const List *literals);

#endif
