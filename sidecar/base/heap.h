/*
 * heap.h: an intrusive priority queue: who comes first is known at once, and anybody may leave.
 *
 * A pairing heap (Fredman, Sedgewick, Sleator, Tarjan, "The pairing heap", 1986).  The node is embedded in the object, so that putting one in cannot
 * fail.  What the order depends on must not change while the object is in: take it out before, and put it in again.
 */
#ifndef PGWEIR_BASE_HEAP_H
#define PGWEIR_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>

typedef struct HeapNode
{
	struct HeapNode *child, *next;
	struct HeapNode *prev; /* the parent of a first child; NULL for the first of the heap */
} HeapNode;

/* Must a come before b?  Among equals the order is any. */
typedef bool (*HeapBefore)(const HeapNode *a, const HeapNode *b);

typedef struct Heap
{
	HeapNode *first; /* NULL when it is empty */
	HeapBefore before;
} Heap;

static inline void
heap_init(Heap *heap, HeapBefore before)
{
	*heap = (Heap){.before = before};
}
extern void heap_insert(Heap *heap, HeapNode *node);
/* One that is in. */
extern void heap_remove(Heap *heap, HeapNode *node);

#endif
