/*
 * callers.h: those whom the comments of statements name, each once.
 *
 * A caller is a set of tags, written as an object of JSON; its number is part of the key of a statement class (statements.h).
 * Numbers are given out once and keep their meaning until the server restarts, so they are looked up without a lock; one lock guards
 * the giving out.  When all pgweir.max_callers are taken, further ones get the number of "others".
 */
#ifndef PGWEIR_STORES_CALLERS_H
#define PGWEIR_STORES_CALLERS_H

#include "stores/shared.h"

#define PGWEIR_CALLER_LEN 256
#define PGWEIR_CALLER_OTHERS 1	/* the first number; 0 is nobody */

extern Size pgweir_callers_size(void);
extern int	pgweir_callers_locks(void);
extern void pgweir_callers_attach(void *memory, LWLockPadded *locks, bool fresh);

/* The number of a caller, a new one if need be; 0 when none are kept. */
extern int32 pgweir_caller_intern(const char *text, int len);

/* Copies a caller's text, ending in NUL, to text[PGWEIR_CALLER_LEN + 1]; false when the number is nobody's. */
extern bool pgweir_caller_read(int32 caller, char *text);

/* How many there are. */
extern int	pgweir_callers_count(void);

#endif
