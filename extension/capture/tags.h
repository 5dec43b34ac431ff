/*
 * tags.h: whom a statement's comment names.
 *
 * Frameworks say in a comment which application, controller or route sent a statement, in one of two spellings:
 * key='value' (sqlcommenter) and key:value (marginalia), separated by commas.  Looked at are the comments that a request begins or
 * ends with; kept are the keys that pgweir.tags lists.
 */
#ifndef PGWEIR_CAPTURE_TAGS_H
#define PGWEIR_CAPTURE_TAGS_H

#include "c.h"

/* The caller that a request's text names (stores/callers.h); 0 when it names none.  Takes a lock only for a new one. */
extern int32 pgweir_caller_of(const char *text);

/* Copies the decoded value of one tag of text; returns its length, -1 when there is none.  For a catch block, too. */
extern int	pgweir_tag_value(const char *text, const char *name, char *value, int size);

#endif
