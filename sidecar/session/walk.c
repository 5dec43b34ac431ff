/*
 * walk.c: walks over the connections of all workers that may pause between turns of the loop.
 */
#include "session/session.h"

static const List *
list_of(const Worker *worker, WalkOver over)
{
	switch (over)
	{
		case WALK_CLIENTS: return &worker->clients;
		case WALK_LOGINS: return &worker->logins;
		case WALK_SERVERS: return &worker->servers;
	}
	return NULL;
}

static void
enter(HallWalk *walk, Worker *worker)
{
	walk->worker = worker;
	walk->list = list_of(worker, walk->over);
	walk->next = walk->list->head.next;
	list_append(&worker->walks, &walk->node);
}

void
hall_walk_begin(Hall *hall, HallWalk *walk, WalkOver over)
{
	walk->over = over;
	enter(walk, hall->workers[0]);
}

const ListNode *
hall_walk_next(HallWalk *walk)
{
	const ListNode *node = walk->next;

	while (node == &walk->list->head)
	{
		const Hall *hall = walk->worker->hall;
		int index = walk->worker->index + 1;

		if (index == hall->worker_count)
			return NULL;
		hall_walk_end(walk);
		enter(walk, hall->workers[index]);
		node = walk->next;
	}
	walk->next = node->next;
	return node;
}

void
hall_walk_end(HallWalk *walk)
{
	if (list_linked(&walk->node))
		list_remove(&walk->worker->walks, &walk->node);
}

int
hall_count(const Hall *hall, WalkOver over)
{
	int count = 0;

	for (int i = 0; i < hall->worker_count; i++)
		count += list_of(hall->workers[i], over)->count;
	return count;
}

void
worker_walk_skip(Worker *worker, const ListNode *node)
{
	list_each(item, &worker->walks)
	{
		HallWalk *walk = CONTAINER_OF(item, HallWalk, node);

		if (walk->next == node)
			walk->next = node->next;
	}
}
