/*
 * prepared.h: named prepared statements that outlive the server connection they were made on.
 *
 * A Statement (text and parameter types) is interned: all clients that prepare the same one share it, under one name on the
 * servers ("PGWEIR_<n>").  A client maps its own names to Statements; a server knows which Statements it has, least
 * recently used first.  Counted references; nothing here sends anything.
 *
 * The registry is shared by all workers.  It is in shards, each with a lock of its own, which is taken to find or make a Statement by its text, and
 * for the last reference to one; references are counted atomically otherwise.  What a worker has found last it keeps at hand, with a reference
 * (StatementCache), so that texts that all workers prepare again and again are found without a lock.  What is learned about a Statement later is atomic: whoever needs it first works it out,
 * and two that do so at once come to the same.
 */
#ifndef PGWEIR_SESSION_PREPARED_H
#define PGWEIR_SESSION_PREPARED_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"

/* "PGWEIR_4294967295" and its NUL. */
#define STATEMENT_NAME_MAX 18

#define STATEMENT_DEADLINE_UNKNOWN (-2)

typedef struct Statement
{
	MapNode node;
	atomic_uint refs;
	uint32_t id;
	atomic_uint generation; /* grows when the servers must prepare it anew */
	_Atomic(usec_t) deadline_us; /* of the comment in its text; -1 = none, or not yet known */
	_Atomic(uint64_t) fingerprint; /* 0 = not yet computed */
	uint32_t body_len;
	uint32_t query_len;	 /* without the NUL */
	uint8_t name_len;	 /* without the NUL */
	char name[STATEMENT_NAME_MAX]; /* on the servers */
	uint8_t body[];		 /* query text, NUL, parameter type count and types: the tail of a Parse message */
} Statement;

#define STATEMENT_SHARDS 16 /* a power of two */

typedef struct StatementShard
{
	pthread_mutex_t lock; /* of everything here */
	Map by_body;
	size_t bytes;
	uint8_t _apart[64]; /* from the next one's line of the cache */
} StatementShard;

typedef struct StatementRegistry
{
	StatementShard shards[STATEMENT_SHARDS]; /* by the upper bits of the text's hash; a Map looks at the lower ones */
	uint64_t seed;
	atomic_uint next_id;
} StatementRegistry;

/* A worker's: where a text may be by its hash.  Zeroed = empty. */
#define STATEMENT_CACHE_PLACES 256
#define STATEMENT_CACHE_BODY_MAX 2048 /* longer ones are not kept: nobody may use them any more */
typedef struct StatementCache
{
	Statement *places[STATEMENT_CACHE_PLACES]; /* counted, or NULL */
} StatementCache;

extern void statements_init(StatementRegistry *registry, uint64_t seed);
extern void statements_free(StatementRegistry *registry);
/* Find or make; a counted reference, NULL when out of memory.  The cache is that of who asks. */
extern Statement *statement_get(StatementRegistry *registry, StatementCache *cache, Slice body, uint32_t query_len);
extern void statement_cache_clear(StatementRegistry *registry, StatementCache *cache);
/* Different statements, those in caches alone too, and their memory; of some moment, while others make more. */
typedef struct StatementSums
{
	size_t count, bytes;
} StatementSums;
extern StatementSums statements_sums(StatementRegistry *registry);
extern void statement_ref(Statement *statement);
extern void statement_unref(StatementRegistry *registry, Statement *statement);
/* On the servers; with its NUL behind. */
static inline Slice
statement_name(const Statement *statement)
{
	return slice_make((const uint8_t *) statement->name, statement->name_len);
}
extern Slice statement_query(const Statement *statement);
/* What identifies it. */
static inline Slice
statement_body(const Statement *statement)
{
	return slice_make(statement->body, statement->body_len);
}

/* --- a client's names --- */

/* One of them.  Counted: by the client's map while it is listed there, and by the answers due that are about it (expect.h). */
typedef struct ClientStatement
{
	MapNode node;
	Statement *statement; /* counted */
	uint32_t refs;
	uint32_t name_len;
	bool listed; /* in the map */
	uint8_t name[];
} ClientStatement;

typedef struct ClientStatements
{
	Map by_name;
	uint64_t seed;
	size_t bytes; /* of the names listed and their statements, also of those that others have too */
	ClientStatement *last; /* borrowed: the one listed that was last asked for, or NULL */
	bool any_deadline;
} ClientStatements;

extern ClientStatements *client_statements_create(uint64_t seed);
extern void client_statements_free(ClientStatements *map, StatementRegistry *registry);
extern ClientStatement *client_statements_look_up(ClientStatements *map, Slice name);
/* The client's statement of that name, or NULL.  Each is asked for several times in a row. */
static inline ClientStatement *
client_statements_entry(ClientStatements *map, Slice name)
{
	if (map == NULL)
		return NULL;
	if (map->last != NULL && map->last->name_len == name.len && memcmp(map->last->name, name.ptr, name.len) == 0)
		return map->last;
	return client_statements_look_up(map, name);
}
static inline Statement *
client_statements_find(ClientStatements *map, Slice name)
{
	const ClientStatement *entry = client_statements_entry(map, name);

	return entry != NULL ? entry->statement : NULL;
}
/* The name is new; takes its own reference to the statement.  NULL: out of memory. */
extern ClientStatement *client_statements_add(ClientStatements *map, Slice name, Statement *statement) MUST_CHECK;
/* The name is free again; nothing happens when it is not listed. */
extern void client_statements_unlist(ClientStatements *map, StatementRegistry *registry, ClientStatement *entry);
/* ... was not given up after all. */
extern void client_statements_relist(ClientStatements *map, ClientStatement *entry);
extern void client_statement_ref(ClientStatement *entry);
extern void client_statement_unref(StatementRegistry *registry, ClientStatement *entry);
static inline Slice
client_statement_name(const ClientStatement *entry)
{
	return slice_make(entry->name, entry->name_len);
}
/* Would this one more be more than `most` bytes (0 = any) for the client?  map may be NULL. */
static inline bool
client_statements_too_large(const ClientStatements *map, Slice name, Slice body, uint64_t most)
{
	size_t more = sizeof(ClientStatement) + sizeof(Statement) + name.len + body.len;

	return most > 0 && more + (map != NULL ? map->bytes : 0) > most;
}
extern void client_statements_clear(ClientStatements *map, StatementRegistry *registry);
static inline int
client_statements_count(const ClientStatements *map)
{
	return map != NULL ? (int) map->by_name.count : 0;
}

/* --- what a server has --- */
typedef struct ServerStatement
{
	MapNode node;
	ListNode lru;
	Statement *statement; /* counted */
	unsigned generation;
} ServerStatement;

typedef struct ServerStatements
{
	Map by_statement;
	List lru; /* least recently used first */
} ServerStatements;

extern void server_statements_init(ServerStatements *map);
extern void server_statements_clear(ServerStatements *map, StatementRegistry *registry);
/* Is it there, and not outdated?  Marks it as used. */
extern bool server_statements_use(ServerStatements *map, const Statement *statement);
/* Is it there, but to be closed and prepared anew? */
extern bool server_statements_outdated(const ServerStatements *map, const Statement *statement);
extern bool server_statements_add(ServerStatements *map, Statement *statement) MUST_CHECK;
extern void server_statements_remove(ServerStatements *map, StatementRegistry *registry, const Statement *statement);
/* It is there, whatever it is: to be closed before it is prepared. */
extern void server_statements_outdate(ServerStatements *map, Statement *statement);
/* Remove it, but keep what is known of it; NULL when it is not there.  To be given back, or freed. */
extern ServerStatement *server_statements_take(ServerStatements *map, const Statement *statement);
extern void server_statements_give_back(ServerStatements *map, StatementRegistry *registry, ServerStatement *entry);
extern void server_statement_free(StatementRegistry *registry, ServerStatement *entry);
/* The least recently used one, or NULL. */
extern Statement *server_statements_oldest(const ServerStatements *map);
static inline int
server_statements_count(const ServerStatements *map)
{
	return map->lru.count;
}

#endif
