/*
 * normalize.h: the text of a statement with its constants replaced by $n.
 */
#ifndef PGWEIR_CAPTURE_NORMALIZE_H
#define PGWEIR_CAPTURE_NORMALIZE_H

#include "compat.h"

/*
 * The *len bytes at text, the statement that begins at location of the request, with constants replaced; palloc'd, *len
 * is its new length.  With jstate, those constants that the jumble ignored; without, every literal token, so that a text
 * first seen when its parse is over (or of a utility command, with its passwords) gives none away either; with
 * keep_bodies, dollar-quoted ones are left, which are the code in DO and CREATE FUNCTION.
 * NULL when the text cannot be scanned, as after a change of standard_conforming_strings; never raises that error.
 */
extern char *pgweir_normalize(const char *text, int location, int *len, JumbleState *jstate,
							  bool keep_bodies);

#endif
