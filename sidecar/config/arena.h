/*
 * arena.h: memory that is released all at once.
 *
 * Everything a configuration points at lives in its arena, so that freeing it is one call and nothing in it
 * has an owner of its own.  Released memory is wiped, since passwords live here too.  No locking: one thread
 * at a time.
 */
#ifndef PGWEIR_CONFIG_ARENA_H
#define PGWEIR_CONFIG_ARENA_H

#include <stddef.h>

typedef struct ArenaChunk ArenaChunk;

/* A zeroed Arena is valid and empty. */
typedef struct Arena
{
	ArenaChunk *_chunks; /* owned, newest first */
} Arena;

/* Zeroed memory aligned for any type, or NULL when there is none. */
extern void *arena_alloc(Arena *arena, size_t size);
/* A copy of len bytes with a NUL behind them, or NULL. */
extern char *arena_copy(Arena *arena, const char *bytes, size_t len);
/* A copy of a string, or NULL.  A NULL string gives NULL. */
extern char *arena_strdup(Arena *arena, const char *string);
/* Wipe and release everything; the arena is empty and usable again. */
extern void arena_free(Arena *arena);

#endif
