/*
 * walk.c: walks over the worker's lists that may pause between turns of the loop.
 */
#include "session/session.h"

void
worker_walk_begin(Worker *worker, WorkerWalk *walk, const List *list)
{
	walk->list = list;
	walk->next = list->head.next;
	list_append(&worker->walks, &walk->node);
}

const ListNode *
worker_walk_next(WorkerWalk *walk)
{
	const ListNode *node = walk->next;

	if (node == &walk->list->head)
		return NULL;
	walk->next = node->next;
	return node;
}

void
worker_walk_end(Worker *worker, WorkerWalk *walk)
{
	if (list_linked(&walk->node))
		list_remove(&worker->walks, &walk->node);
}

void
worker_walk_skip(Worker *worker, const ListNode *node)
{
	list_each(item, &worker->walks)
	{
		WorkerWalk *walk = CONTAINER_OF(item, WorkerWalk, node);

		if (walk->next == node)
			walk->next = node->next;
	}
}
