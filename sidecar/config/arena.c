/*
 * arena.c: a list of chunks; small requests are cut from the newest one, large ones get their own.
 */
#include "config/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES 16384

struct ArenaChunk
{
	ArenaChunk *next;
	size_t size; /* of data */
	size_t used;
	alignas(max_align_t) unsigned char data[];
};

static ArenaChunk *
chunk_add(Arena *arena, size_t size)
{
	ArenaChunk *chunk;

	if (size > SIZE_MAX / 2)
		return NULL;
	chunk = calloc(1, sizeof(*chunk) + size);
	if (chunk == NULL)
		return NULL;
	chunk->size = size;
	chunk->next = arena->_chunks;
	arena->_chunks = chunk;
	return chunk;
}

void *
arena_alloc(Arena *arena, size_t size)
{
	const size_t align = alignof(max_align_t);
	ArenaChunk *chunk = arena->_chunks;
	void *result;

	if (size > SIZE_MAX / 2)
		return NULL;
	size = (size + align - 1) & ~(align - 1);
	if (chunk == NULL || size > chunk->size - chunk->used)
		chunk = chunk_add(arena, size > CHUNK_BYTES ? size : CHUNK_BYTES);
	if (chunk == NULL)
		return NULL;
	result = chunk->data + chunk->used;
	chunk->used += size;
	return result;
}

char *
arena_copy(Arena *arena, const char *bytes, size_t len)
{
	char *copy = len < SIZE_MAX ? arena_alloc(arena, len + 1) : NULL;

	if (copy != NULL && len > 0)
		memcpy(copy, bytes, len);
	return copy;
}

char *
arena_strdup(Arena *arena, const char *string)
{
	return string != NULL ? arena_copy(arena, string, strlen(string)) : NULL;
}

void
arena_free(Arena *arena)
{
	ArenaChunk *chunk = arena->_chunks;

	while (chunk != NULL)
	{
		ArenaChunk *next = chunk->next;

		explicit_bzero(chunk->data, chunk->used);
		free(chunk);
		chunk = next;
	}
	arena->_chunks = NULL;
}
