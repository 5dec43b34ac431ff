/*
 * ring.c: records of any length in a fixed piece of memory.
 *
 * A record stands in one piece: what is too long for the rest of the memory begins at its start again, and the rest is a
 * record of nobody.
 */
#include "postgres.h"

#include "stores/ring.h"

typedef struct Head
{
	uint32		size;			/* of the record with this head, aligned */
	uint32		len;			/* of what the caller stored; SKIPPED: nobody's */
} Head;

#define SKIPPED PG_UINT32_MAX

static inline Head *
head_at(const PgweirRing *ring, uint64 position)
{
	return (Head *) (ring->data + position % ring->size);
}

void
pgweir_ring_init(PgweirRing *ring, Size size)
{
	ring->size = TYPEALIGN_DOWN(MAXIMUM_ALIGNOF, size - offsetof(PgweirRing, data));
	pgweir_ring_clear(ring);
}

void
pgweir_ring_clear(PgweirRing *ring)
{
	ring->head = 0;
	ring->tail = 0;
	ring->pushed_out = 0;
}

static void
push_out(PgweirRing *ring, Size needed)
{
	while (ring->head + needed - ring->tail > ring->size)
	{
		Head	   *oldest = head_at(ring, ring->tail);

		ring->pushed_out += oldest->len != SKIPPED;
		ring->tail += oldest->size;
	}
}

static Head *
put_head(PgweirRing *ring, Size size, uint32 len)
{
	Head	   *head;

	push_out(ring, size);
	head = head_at(ring, ring->head);
	head->size = (uint32) size;
	head->len = len;
	ring->head += size;
	return head;
}

void *
pgweir_ring_append(PgweirRing *ring, Size len)
{
	Size		size = MAXALIGN(sizeof(Head) + len);
	uint64		rest = ring->size - ring->head % ring->size;

	if (size > ring->size / 8)
		return NULL;
	if (rest < size)
		(void) put_head(ring, rest, SKIPPED);
	return put_head(ring, size, (uint32) len) + 1;
}

const void *
pgweir_ring_next(const PgweirRing *ring, uint64 *at, Size *len)
{
	if (*at < ring->tail)
		*at = ring->tail;
	while (*at < ring->head)
	{
		const Head *head = head_at(ring, *at);

		*at += head->size;
		if (head->len == SKIPPED)
			continue;
		*len = head->len;
		return head + 1;
	}
	return NULL;
}
