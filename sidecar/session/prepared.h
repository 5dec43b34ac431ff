/*
 * prepared.h: named prepared statements that outlive the server connection they were made on.
 *
 * A Statement (text and parameter types) is interned: all clients that prepare the same one share it, under one name on the
 * servers ("PGWEIR_<n>").  A client maps its own names to Statements; a server knows which Statements it has, least
 * recently used first.  Counted references; nothing here sends anything.
 *
 * The registry is shared by all workers.  Its lock is taken to find or make a Statement by its text, and for the last reference to one;
 * references are counted atomically otherwise.  What is learned about a Statement later is atomic: whoever needs it first works it out,
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

typedef struct StatementRegistry
{
	pthread_mutex_t lock; /* of everything here */
	Map by_body;
	uint64_t seed;
	uint32_t next_id;
	size_t bytes;
} StatementRegistry;

extern void statements_init(StatementRegistry *registry, uint64_t seed);
extern void statements_free(StatementRegistry *registry);
/* Find or make; a counted reference, NULL when out of memory. */
extern Statement *statement_get(StatementRegistry *registry, Slice body, uint32_t query_len);
extern void statement_ref(Statement *statement);
extern void statement_unref(StatementRegistry *registry, Statement *statement);
/* On the servers; with its NUL behind. */
static inline Slice
statement_name(const Statement *statement)
{
	return slice_make((const uint8_t *) statement->name, statement->name_len);
}
extern Slice statement_query(const Statement *statement);

/* --- a client's names --- */
typedef struct ClientStatements
{
	Map by_name;
	uint64_t seed;
	size_t bytes;
	bool any_deadline;
} ClientStatements;

extern ClientStatements *client_statements_create(uint64_t seed);
extern void client_statements_free(ClientStatements *map, StatementRegistry *registry);
extern Statement *client_statements_find(const ClientStatements *map, Slice name);
/* The name is new; takes its own reference. */
extern bool client_statements_add(ClientStatements *map, Slice name, Statement *statement) MUST_CHECK;
extern void client_statements_remove(ClientStatements *map, StatementRegistry *registry, Slice name);
/* Remove the name that stands for this statement (its Parse failed or was skipped); none when there are several. */
extern void client_statements_remove_statement(ClientStatements *map, StatementRegistry *registry, const Statement *statement);
/* The name under which the client knows this statement; empty when it does not. */
extern Slice client_statements_name_of(const ClientStatements *map, const Statement *statement);
extern void client_statements_clear(ClientStatements *map, StatementRegistry *registry);
extern int client_statements_count(const ClientStatements *map);

/* --- what a server has --- */
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
/* The least recently used one, or NULL. */
extern Statement *server_statements_oldest(const ServerStatements *map);
static inline int
server_statements_count(const ServerStatements *map)
{
	return map->lru.count;
}

#endif
