/*
 * heap_test.c: the first of a heap, against a search, while members come and go.
 */
#include "tap.h"
#include "base/heap.h"
#include "base/list.h"

#define MEMBERS 400
#define STEPS 60000

typedef struct Member
{
	HeapNode node;
	int key;
	bool in;
} Member;

static Member members[MEMBERS];
static unsigned rng = 7;
static int compared;

static int
below(int n)
{
	rng = rng * 1664525u + 1013904223u;
	return (int) ((rng >> 8) % (unsigned) n);
}

static bool
before(const HeapNode *a, const HeapNode *b)
{
	compared++;
	return CONTAINER_OF(a, const Member, node)->key < CONTAINER_OF(b, const Member, node)->key;
}

static bool
first_is_right(const Heap *heap)
{
	int least = -1;

	for (int i = 0; i < MEMBERS; i++)
		if (members[i].in && (least < 0 || members[i].key < least))
			least = members[i].key;
	if (heap->first == NULL)
		return least < 0;
	return CONTAINER_OF(heap->first, Member, node)->in && CONTAINER_OF(heap->first, Member, node)->key == least;
}

int
main(void)
{
	Heap heap;
	bool right = true;
	int last = -1;
	int count = 0;

	heap_init(&heap, before);
	ok(heap.first == NULL, "a new heap is empty");
	for (int step = 0; step < STEPS; step++)
	{
		Member *member = step % 3 == 0 && heap.first != NULL ? CONTAINER_OF(heap.first, Member, node) : &members[below(MEMBERS)];

		if (member->in)
			heap_remove(&heap, &member->node);
		else
		{
			member->key = below(1000); /* there are equals */
			heap_insert(&heap, &member->node);
		}
		member->in = !member->in;
		right &= first_is_right(&heap);
	}
	ok(right, "the first is the least, whoever comes and goes");
	for (int i = 0; i < MEMBERS; i++)
		if (!members[i].in)
		{
			members[i].key = below(1000);
			heap_insert(&heap, &members[i].node);
		}
	right = true;
	compared = 0;
	while (heap.first != NULL)
	{
		Member *member = CONTAINER_OF(heap.first, Member, node);

		right &= member->key >= last;
		last = member->key;
		heap_remove(&heap, &member->node);
		count++;
	}
	ok(right, "taken one by one they come in order");
	is_int(count, MEMBERS, "all of them");
	ok(compared < MEMBERS * 20, "for some comparisons each, not one with every other");
	return done_testing();
}
