/*
 * prepared.c: interned statements, and the two maps that point at them.
 */
#include "session/prepared.h"

#include <stdio.h>
#include <stdlib.h>

/* --- registry --- */

static bool
body_equal(const MapNode *node, const void *key)
{
	const Statement *statement = CONTAINER_OF(node, const Statement, node);

	return slice_equal(slice_make(statement->body, statement->body_len), *(const Slice *) key);
}

void
statements_init(StatementRegistry *registry, uint64_t seed)
{
	memset(registry, 0, sizeof(*registry));
	pthread_mutex_init(&registry->lock, NULL);
	map_init(&registry->by_body, body_equal);
	registry->seed = seed;
}

void
statements_free(StatementRegistry *registry)
{
	map_free(&registry->by_body);
	pthread_mutex_destroy(&registry->lock);
}

static Statement *
make(StatementRegistry *registry, Slice body, uint32_t query_len, uint64_t hash)
{
	Statement *statement = malloc(sizeof(Statement) + body.len);

	if (statement == NULL)
		return NULL;
	memset(statement, 0, sizeof(*statement));
	atomic_init(&statement->refs, 1);
	atomic_init(&statement->deadline_us, STATEMENT_DEADLINE_UNKNOWN);
	statement->id = ++registry->next_id;
	statement->name_len = (uint8_t) snprintf(statement->name, sizeof(statement->name), "PGWEIR_%u", statement->id);
	statement->body_len = (uint32_t) body.len;
	statement->query_len = query_len;
	memcpy(statement->body, body.ptr, body.len);
	map_insert(&registry->by_body, &statement->node, hash);
	registry->bytes += sizeof(Statement) + body.len;
	return statement;
}

Statement *
statement_get(StatementRegistry *registry, Slice body, uint32_t query_len)
{
	uint64_t hash = hash_slice(registry->seed, body);
	MapNode *found;
	Statement *statement;

	pthread_mutex_lock(&registry->lock);
	found = map_find(&registry->by_body, hash, &body);
	if (found != NULL)
	{
		statement = CONTAINER_OF(found, Statement, node);
		statement_ref(statement);
	}
	else
		statement = make(registry, body, query_len, hash);
	pthread_mutex_unlock(&registry->lock);
	return statement;
}

/* Of somebody who has a reference, or holds the lock. */
void
statement_ref(Statement *statement)
{
	atomic_fetch_add_explicit(&statement->refs, 1, memory_order_relaxed);
}

/* The last reference goes while nobody can find the statement. */
static void
unref_last(StatementRegistry *registry, Statement *statement)
{
	bool last;

	pthread_mutex_lock(&registry->lock);
	last = atomic_fetch_sub_explicit(&statement->refs, 1, memory_order_acq_rel) == 1;
	if (last)
	{
		map_remove(&registry->by_body, &statement->node);
		registry->bytes -= sizeof(Statement) + statement->body_len;
	}
	pthread_mutex_unlock(&registry->lock);
	if (last)
		free(statement);
}

void
statement_unref(StatementRegistry *registry, Statement *statement)
{
	unsigned refs;

	if (statement == NULL)
		return;
	refs = atomic_load_explicit(&statement->refs, memory_order_relaxed);
	while (refs > 1)
		if (atomic_compare_exchange_weak_explicit(&statement->refs, &refs, refs - 1, memory_order_acq_rel,
												  memory_order_relaxed))
			return;
	unref_last(registry, statement);
}

Slice
statement_query(const Statement *statement)
{
	return slice_make(statement->body, statement->query_len);
}

/* --- a client's names --- */

typedef struct ClientEntry
{
	MapNode node;
	Statement *statement; /* counted */
	uint32_t name_len;
	uint8_t name[];
} ClientEntry;

static bool
name_equal(const MapNode *node, const void *key)
{
	const ClientEntry *entry = CONTAINER_OF(node, const ClientEntry, node);

	return slice_equal(slice_make(entry->name, entry->name_len), *(const Slice *) key);
}

ClientStatements *
client_statements_create(uint64_t seed)
{
	ClientStatements *map = calloc(1, sizeof(ClientStatements));

	if (map != NULL)
	{
		map_init(&map->by_name, name_equal);
		map->seed = seed;
	}
	return map;
}

static void
client_entry_drop(ClientStatements *map, StatementRegistry *registry, ClientEntry *entry)
{
	map_remove(&map->by_name, &entry->node);
	map->bytes -= sizeof(ClientEntry) + entry->name_len;
	statement_unref(registry, entry->statement);
	free(entry);
}

void
client_statements_clear(ClientStatements *map, StatementRegistry *registry)
{
	MapNode *node;

	while (map != NULL && (node = map_next(&map->by_name, NULL)) != NULL)
		client_entry_drop(map, registry, CONTAINER_OF(node, ClientEntry, node));
}

void
client_statements_free(ClientStatements *map, StatementRegistry *registry)
{
	if (map == NULL)
		return;
	client_statements_clear(map, registry);
	map_free(&map->by_name);
	free(map);
}

static ClientEntry *
client_entry_find(const ClientStatements *map, Slice name)
{
	MapNode *node = map_find(&map->by_name, hash_slice(map->seed, name), &name);

	return node != NULL ? CONTAINER_OF(node, ClientEntry, node) : NULL;
}

Statement *
client_statements_find(const ClientStatements *map, Slice name)
{
	ClientEntry *entry = map != NULL ? client_entry_find(map, name) : NULL;

	return entry != NULL ? entry->statement : NULL;
}

bool
client_statements_add(ClientStatements *map, Slice name, Statement *statement)
{
	ClientEntry *entry = malloc(sizeof(ClientEntry) + name.len);

	if (entry == NULL)
		return false;
	entry->statement = statement;
	entry->name_len = (uint32_t) name.len;
	memcpy(entry->name, name.ptr, name.len);
	statement_ref(statement);
	map_insert(&map->by_name, &entry->node, hash_slice(map->seed, name));
	map->bytes += sizeof(ClientEntry) + name.len;
	if (statement->deadline_us >= 0)
		map->any_deadline = true;
	return true;
}

void
client_statements_remove(ClientStatements *map, StatementRegistry *registry, Slice name)
{
	ClientEntry *entry = map != NULL ? client_entry_find(map, name) : NULL;

	if (entry != NULL)
		client_entry_drop(map, registry, entry);
}

void
client_statements_remove_statement(ClientStatements *map, StatementRegistry *registry, const Statement *statement)
{
	ClientEntry *found = NULL;

	if (map == NULL)
		return;
	for (MapNode *node = map_next(&map->by_name, NULL); node != NULL; node = map_next(&map->by_name, node))
	{
		ClientEntry *entry = CONTAINER_OF(node, ClientEntry, node);

		if (entry->statement != statement)
			continue;
		if (found != NULL)
			return;
		found = entry;
	}
	if (found != NULL)
		client_entry_drop(map, registry, found);
}

Slice
client_statements_name_of(const ClientStatements *map, const Statement *statement)
{
	for (MapNode *node = map != NULL ? map_next(&map->by_name, NULL) : NULL; node != NULL;
		 node = map_next(&map->by_name, node))
	{
		ClientEntry *entry = CONTAINER_OF(node, ClientEntry, node);

		if (entry->statement == statement)
			return slice_make(entry->name, entry->name_len);
	}
	return slice_str("");
}

int
client_statements_count(const ClientStatements *map)
{
	return map != NULL ? (int) map->by_name.count : 0;
}

/* --- what a server has --- */

typedef struct ServerEntry
{
	MapNode node;
	ListNode lru;
	Statement *statement; /* counted */
	uint32_t generation;  /* of the statement when it was prepared */
} ServerEntry;

static bool
statement_equal(const MapNode *node, const void *key)
{
	return CONTAINER_OF(node, const ServerEntry, node)->statement == key;
}

/* Statements are interned, so their address identifies them; ids are dense, which spreads well. */
static uint64_t
statement_hash(const Statement *statement)
{
	return (uint64_t) statement->id * UINT64_C(0x9E3779B97F4A7C15);
}

void
server_statements_init(ServerStatements *map)
{
	map_init(&map->by_statement, statement_equal);
	list_init(&map->lru);
}

static void
server_entry_drop(ServerStatements *map, StatementRegistry *registry, ServerEntry *entry)
{
	map_remove(&map->by_statement, &entry->node);
	list_remove(&map->lru, &entry->lru);
	statement_unref(registry, entry->statement);
	free(entry);
}

void
server_statements_clear(ServerStatements *map, StatementRegistry *registry)
{
	ListNode *node;

	while ((node = list_first(&map->lru)) != NULL)
		server_entry_drop(map, registry, CONTAINER_OF(node, ServerEntry, lru));
	map_free(&map->by_statement);
}

static ServerEntry *
server_entry_find(const ServerStatements *map, const Statement *statement)
{
	MapNode *node = map_find(&map->by_statement, statement_hash(statement), statement);

	return node != NULL ? CONTAINER_OF(node, ServerEntry, node) : NULL;
}

bool
server_statements_use(ServerStatements *map, const Statement *statement)
{
	ServerEntry *entry = server_entry_find(map, statement);

	if (entry == NULL || entry->generation != statement->generation)
		return false;
	if (list_last(&map->lru) != &entry->lru)
	{
		list_remove(&map->lru, &entry->lru);
		list_append(&map->lru, &entry->lru);
	}
	return true;
}

bool
server_statements_outdated(const ServerStatements *map, const Statement *statement)
{
	const ServerEntry *entry = server_entry_find(map, statement);

	return entry != NULL && entry->generation != statement->generation;
}

bool
server_statements_add(ServerStatements *map, Statement *statement)
{
	ServerEntry *entry = calloc(1, sizeof(ServerEntry));

	if (entry == NULL)
		return false;
	entry->statement = statement;
	entry->generation = statement->generation;
	statement_ref(statement);
	map_insert(&map->by_statement, &entry->node, statement_hash(statement));
	list_append(&map->lru, &entry->lru);
	return true;
}

void
server_statements_remove(ServerStatements *map, StatementRegistry *registry, const Statement *statement)
{
	ServerEntry *entry = server_entry_find(map, statement);

	if (entry != NULL)
		server_entry_drop(map, registry, entry);
}

Statement *
server_statements_oldest(const ServerStatements *map)
{
	ListNode *node = list_first(&map->lru);

	return node != NULL ? CONTAINER_OF(node, ServerEntry, lru)->statement : NULL;
}
