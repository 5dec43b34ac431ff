/*
 * heap.c: see heap.h.
 */
#include "base/heap.h"

/* Two trees become one; either may be NULL. */
static HeapNode *
merge(const Heap *heap, HeapNode *a, HeapNode *b)
{
	if (a == NULL || b == NULL)
		return a != NULL ? a : b;
	if (heap->before(b, a))
	{
		HeapNode *first = b;

		b = a;
		a = first;
	}
	b->prev = a;
	b->next = a->child;
	if (b->next != NULL)
		b->next->prev = b;
	a->child = b;
	return a;
}

/* The first of a row of siblings, cut off from it; *row goes on. */
static HeapNode *
take(HeapNode **row)
{
	HeapNode *node = *row;

	if (node != NULL)
	{
		*row = node->next;
		node->next = node->prev = NULL;
	}
	return node;
}

/* Siblings without their parent become one tree: by two, then all of those, the last first. */
static HeapNode *
merge_row(const Heap *heap, HeapNode *row)
{
	HeapNode *pairs = NULL;
	HeapNode *whole = NULL;

	while (row != NULL)
	{
		HeapNode *a = take(&row);
		HeapNode *pair = merge(heap, a, take(&row));

		pair->next = pairs;
		pairs = pair;
	}
	while (pairs != NULL)
		whole = merge(heap, whole, take(&pairs));
	return whole;
}

void
heap_insert(Heap *heap, HeapNode *node)
{
	*node = (HeapNode){.child = NULL};
	heap->first = merge(heap, heap->first, node);
}

void
heap_remove(Heap *heap, HeapNode *node)
{
	HeapNode *orphans = merge_row(heap, node->child);

	if (node->prev == NULL)
		heap->first = orphans;
	else
	{
		if (node->prev->child == node)
			node->prev->child = node->next;
		else
			node->prev->next = node->next;
		if (node->next != NULL)
			node->next->prev = node->prev;
		heap->first = merge(heap, heap->first, orphans);
	}
	*node = (HeapNode){.child = NULL};
}
