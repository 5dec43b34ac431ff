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
	for (int i = 0; i < STATEMENT_SHARDS; i++)
	{
		pthread_mutex_init(&registry->shards[i].lock, NULL);
		map_init(&registry->shards[i].by_body, body_equal);
	}
	registry->seed = seed;
}

void
statements_free(StatementRegistry *registry)
{
	for (int i = 0; i < STATEMENT_SHARDS; i++)
	{
		map_free(&registry->shards[i].by_body);
		pthread_mutex_destroy(&registry->shards[i].lock);
	}
}

static inline StatementShard *
shard_of(StatementRegistry *registry, uint64_t hash)
{
	return &registry->shards[(hash >> 32) % STATEMENT_SHARDS];
}

StatementSums
statements_sums(StatementRegistry *registry)
{
	StatementSums sums = {.count = 0};

	for (int i = 0; i < STATEMENT_SHARDS; i++)
	{
		StatementShard *shard = &registry->shards[i];

		pthread_mutex_lock(&shard->lock);
		sums.count += shard->by_body.count;
		sums.bytes += shard->bytes;
		pthread_mutex_unlock(&shard->lock);
	}
	return sums;
}

/* In the shard. */
static Statement *
make(StatementRegistry *registry, StatementShard *shard, Slice body, uint32_t query_len, uint64_t hash)
{
	Statement *statement = malloc(sizeof(Statement) + body.len);

	if (statement == NULL)
		return NULL;
	memset(statement, 0, sizeof(*statement));
	atomic_init(&statement->refs, 1);
	atomic_init(&statement->deadline_us, STATEMENT_DEADLINE_UNKNOWN);
	statement->id = atomic_fetch_add_explicit(&registry->next_id, 1, memory_order_relaxed) + 1;
	statement->name_len = (uint8_t) snprintf(statement->name, sizeof(statement->name), "PGWEIR_%u", statement->id);
	statement->body_len = (uint32_t) body.len;
	statement->query_len = query_len;
	memcpy(statement->body, body.ptr, body.len);
	map_insert(&shard->by_body, &statement->node, hash);
	shard->bytes += sizeof(Statement) + body.len;
	return statement;
}

static Statement *
find_or_make(StatementRegistry *registry, Slice body, uint32_t query_len, uint64_t hash)
{
	StatementShard *shard = shard_of(registry, hash);
	MapNode *found;
	Statement *statement;

	pthread_mutex_lock(&shard->lock);
	found = map_find(&shard->by_body, hash, &body);
	if (found != NULL)
	{
		statement = CONTAINER_OF(found, Statement, node);
		statement_ref(statement);
	}
	else
		statement = make(registry, shard, body, query_len, hash);
	pthread_mutex_unlock(&shard->lock);
	return statement;
}

Statement *
statement_get(StatementRegistry *registry, StatementCache *cache, Slice body, uint32_t query_len)
{
	uint64_t hash = hash_slice(registry->seed, body);
	Statement **place = &cache->places[hash % STATEMENT_CACHE_PLACES];
	Statement *statement = *place;

	if (statement != NULL && statement->node.hash == hash && body_equal(&statement->node, &body))
	{
		statement_ref(statement);
		return statement;
	}
	statement = find_or_make(registry, body, query_len, hash);
	if (statement == NULL || body.len > STATEMENT_CACHE_BODY_MAX)
		return statement;
	statement_unref(registry, *place);
	*place = statement;
	statement_ref(statement);
	return statement;
}

void
statement_cache_clear(StatementRegistry *registry, StatementCache *cache)
{
	for (int i = 0; i < STATEMENT_CACHE_PLACES; i++)
		statement_unref(registry, cache->places[i]);
	*cache = (StatementCache){.places = {NULL}};
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
	StatementShard *shard = shard_of(registry, statement->node.hash);
	bool last;

	pthread_mutex_lock(&shard->lock);
	last = atomic_fetch_sub_explicit(&statement->refs, 1, memory_order_acq_rel) == 1;
	if (last)
	{
		map_remove(&shard->by_body, &statement->node);
		shard->bytes -= sizeof(Statement) + statement->body_len;
	}
	pthread_mutex_unlock(&shard->lock);
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

static bool
name_equal(const MapNode *node, const void *key)
{
	return slice_equal(client_statement_name(CONTAINER_OF(node, const ClientStatement, node)), *(const Slice *) key);
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

void
client_statement_ref(ClientStatement *entry)
{
	entry->refs++;
}

void
client_statement_unref(StatementRegistry *registry, ClientStatement *entry)
{
	if (--entry->refs > 0)
		return;
	statement_unref(registry, entry->statement);
	free(entry);
}

static size_t
entry_bytes(const ClientStatement *entry)
{
	return sizeof(ClientStatement) + sizeof(Statement) + entry->name_len + entry->statement->body_len;
}

static void
list_name(ClientStatements *map, ClientStatement *entry)
{
	entry->listed = true;
	entry->refs++;
	map_insert(&map->by_name, &entry->node, hash_slice(map->seed, client_statement_name(entry)));
	map->bytes += entry_bytes(entry);
}

void
client_statements_unlist(ClientStatements *map, StatementRegistry *registry, ClientStatement *entry)
{
	if (!entry->listed)
		return;
	entry->listed = false;
	if (map->last == entry)
		map->last = NULL;
	map_remove(&map->by_name, &entry->node);
	map->bytes -= entry_bytes(entry);
	client_statement_unref(registry, entry);
}

void
client_statements_relist(ClientStatements *map, ClientStatement *entry)
{
	if (!entry->listed && client_statements_entry(map, client_statement_name(entry)) == NULL)
		list_name(map, entry);
}

void
client_statements_clear(ClientStatements *map, StatementRegistry *registry)
{
	MapNode *node;

	while (map != NULL && (node = map_next(&map->by_name, NULL)) != NULL)
		client_statements_unlist(map, registry, CONTAINER_OF(node, ClientStatement, node));
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

ClientStatement *
client_statements_look_up(ClientStatements *map, Slice name)
{
	MapNode *node = map_find(&map->by_name, hash_slice(map->seed, name), &name);

	if (node == NULL)
		return NULL;
	map->last = CONTAINER_OF(node, ClientStatement, node);
	return map->last;
}

ClientStatement *
client_statements_add(ClientStatements *map, Slice name, Statement *statement)
{
	ClientStatement *entry = calloc(1, sizeof(ClientStatement) + name.len);

	if (entry == NULL)
		return NULL;
	entry->statement = statement;
	entry->name_len = (uint32_t) name.len;
	memcpy(entry->name, name.ptr, name.len);
	statement_ref(statement);
	list_name(map, entry);
	if (statement->deadline_us >= 0)
		map->any_deadline = true;
	return entry;
}

/* --- what a server has --- */

static bool
statement_equal(const MapNode *node, const void *key)
{
	return CONTAINER_OF(node, const ServerStatement, node)->statement == key;
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

void
server_statement_free(StatementRegistry *registry, ServerStatement *entry)
{
	if (entry == NULL)
		return;
	statement_unref(registry, entry->statement);
	free(entry);
}

static void
server_entry_unlist(ServerStatements *map, ServerStatement *entry)
{
	map_remove(&map->by_statement, &entry->node);
	list_remove(&map->lru, &entry->lru);
}

static void
server_entry_drop(ServerStatements *map, StatementRegistry *registry, ServerStatement *entry)
{
	server_entry_unlist(map, entry);
	server_statement_free(registry, entry);
}

void
server_statements_clear(ServerStatements *map, StatementRegistry *registry)
{
	ListNode *node;

	while ((node = list_first(&map->lru)) != NULL)
		server_entry_drop(map, registry, CONTAINER_OF(node, ServerStatement, lru));
	map_free(&map->by_statement);
}

static ServerStatement *
server_entry_find(const ServerStatements *map, const Statement *statement)
{
	MapNode *node = map_find(&map->by_statement, statement_hash(statement), statement);

	return node != NULL ? CONTAINER_OF(node, ServerStatement, node) : NULL;
}

bool
server_statements_use(ServerStatements *map, const Statement *statement)
{
	ServerStatement *entry = server_entry_find(map, statement);

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
	const ServerStatement *entry = server_entry_find(map, statement);

	return entry != NULL && entry->generation != statement->generation;
}

static void
server_entry_list(ServerStatements *map, ServerStatement *entry)
{
	map_insert(&map->by_statement, &entry->node, statement_hash(entry->statement));
	list_append(&map->lru, &entry->lru);
}

bool
server_statements_add(ServerStatements *map, Statement *statement)
{
	ServerStatement *entry = calloc(1, sizeof(ServerStatement));

	if (entry == NULL)
		return false;
	entry->statement = statement;
	entry->generation = statement->generation;
	statement_ref(statement);
	server_entry_list(map, entry);
	return true;
}

void
server_statements_remove(ServerStatements *map, StatementRegistry *registry, const Statement *statement)
{
	ServerStatement *entry = server_entry_find(map, statement);

	if (entry != NULL)
		server_entry_drop(map, registry, entry);
}

void
server_statements_outdate(ServerStatements *map, Statement *statement)
{
	ServerStatement *entry = server_entry_find(map, statement);

	if (entry == NULL && server_statements_add(map, statement))
		entry = server_entry_find(map, statement);
	if (entry != NULL)
		entry->generation = statement->generation - 1;
}

ServerStatement *
server_statements_take(ServerStatements *map, const Statement *statement)
{
	ServerStatement *entry = server_entry_find(map, statement);

	if (entry != NULL)
		server_entry_unlist(map, entry);
	return entry;
}

void
server_statements_give_back(ServerStatements *map, StatementRegistry *registry, ServerStatement *entry)
{
	if (entry == NULL)
		return;
	if (server_entry_find(map, entry->statement) == NULL)
		server_entry_list(map, entry);
	else
		server_statement_free(registry, entry);
}

Statement *
server_statements_oldest(const ServerStatements *map)
{
	ListNode *node = list_first(&map->lru);

	return node != NULL ? CONTAINER_OF(node, ServerStatement, lru)->statement : NULL;
}
