/*
 * list.h: intrusive doubly linked lists.
 *
 * The node is embedded in the object, so putting an object on a list cannot fail.  A node that is on no list has
 * next == NULL; a zeroed node is such a node.  A List must be initialised with list_init (it points at itself).
 */
#ifndef PGWEIR_BASE_LIST_H
#define PGWEIR_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

typedef struct ListNode
{
	struct ListNode *prev;
	struct ListNode *next;
} ListNode;

typedef struct List
{
	ListNode head;
	int count;
} List;

#define CONTAINER_OF(ptr, type, member) ((type *) ((char *) (ptr) - offsetof(type, member)))

/* Walk a list; the current node may be removed (and freed) inside the body. */
#define list_each(node, list)                                                                                  \
	for (ListNode *node = (list)->head.next, *node##_next = node->next; node != &(list)->head;                 \
		 node = node##_next, node##_next = node->next)

static inline void
list_init(List *list)
{
	list->head.prev = list->head.next = &list->head;
	list->count = 0;
}

static inline bool
list_empty(const List *list)
{
	return list->count == 0;
}

static inline bool
list_linked(const ListNode *node)
{
	return node->next != NULL;
}

static inline void
list_insert_before(List *list, ListNode *where, ListNode *node)
{
	node->prev = where->prev;
	node->next = where;
	where->prev->next = node;
	where->prev = node;
	list->count++;
}

static inline void
list_append(List *list, ListNode *node)
{
	list_insert_before(list, &list->head, node);
}

static inline void
list_prepend(List *list, ListNode *node)
{
	list_insert_before(list, list->head.next, node);
}

static inline void
list_remove(List *list, ListNode *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	node->prev = node->next = NULL;
	list->count--;
}

static inline ListNode *
list_first(const List *list)
{
	return list->count > 0 ? list->head.next : NULL;
}

static inline ListNode *
list_last(const List *list)
{
	return list->count > 0 ? list->head.prev : NULL;
}

static inline ListNode *
list_pop(List *list)
{
	ListNode *node = list_first(list);

	if (node != NULL)
		list_remove(list, node);
	return node;
}

#endif
