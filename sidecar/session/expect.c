/*
 * expect.c: the queue of answers a server owes.
 */
#include "session/expect.h"

#include "session/replay.h"
#include "session/unnamed.h"
#include "wire/backend.h"
#include "wire/msg.h"

/* A longer queue is not searched: what comes then waits. */
#define DOUBT_SEARCH_MAX 4096

static bool
is_about_name(Expect what)
{
	return what == EXPECT_PARSE || what == EXPECT_PARSE_HIDDEN || what == EXPECT_PARSE_TWICE || what == EXPECT_PARSE_FAKE ||
		   what == EXPECT_BIND_NAMED || what == EXPECT_DESCRIBE_NAMED || what == EXPECT_CLOSE_FAKE;
}

static bool
has_subject(Expect what)
{
	return is_about_name(what) || what == EXPECT_CLOSE_STATEMENT;
}

/* Something is noted already that is not so when this is skipped. */
static bool
is_change(Expect what)
{
	return what == EXPECT_PARSE || what == EXPECT_PARSE_HIDDEN || what == EXPECT_PARSE_FAKE || what == EXPECT_CLOSE_FAKE ||
		   what == EXPECT_CLOSE_STATEMENT;
}

static void *
subject_at(const Server *server, size_t i)
{
	void *subject;

	memcpy(&subject, buf_ptr(&server->subjects) + i * sizeof(subject), sizeof(subject));
	return subject;
}

static bool
push_subject(Server *server, Expect what, const void *subject)
{
	if (!buf_append(&server->subjects, &subject, sizeof(subject)))
		return false;
	if (!expect_push(server, what))
	{
		server->subjects.end -= sizeof(subject);
		return false;
	}
	server->unproved += is_change(what);
	return true;
}

bool
expect_push_about(Server *server, Expect what, ClientStatement *subject)
{
	if (!push_subject(server, what, subject))
		return false;
	client_statement_ref(subject);
	return true;
}

bool
expect_push_close(Server *server, ServerStatement *subject)
{
	if (push_subject(server, EXPECT_CLOSE_STATEMENT, subject))
		return true;
	server_statement_free(server->worker->statements, subject);
	return false;
}

ClientStatement *
expect_subject(const Server *server)
{
	return is_about_name(expect_head(server)) ? subject_at(server, 0) : NULL;
}

static bool
is_doubtful(Expect what, const void *subject, Slice name, Slice body)
{
	const ClientStatement *entry = subject;

	if (what == EXPECT_CLOSE_STATEMENT)
		return slice_equal(statement_body(((const ServerStatement *) subject)->statement), body);
	if (!is_change(what))
		return false;
	return (what != EXPECT_PARSE_HIDDEN && slice_equal(client_statement_name(entry), name)) ||
		   (what != EXPECT_PARSE_FAKE && what != EXPECT_CLOSE_FAKE && slice_equal(statement_body(entry->statement), body));
}

bool
expect_in_doubt(const Server *server, Slice name, Slice body)
{
	const uint8_t *queue = buf_ptr(&server->expected);
	size_t len = buf_len(&server->expected);
	size_t subject = 0;
	bool found = false;

	if (server->unproved == 0 || server->outstanding == 0)
		return false;
	if (len > DOUBT_SEARCH_MAX)
		return true;
	for (size_t i = 0; i < len; i++)
	{
		Expect what = (Expect) queue[i];

		if (found && (what == EXPECT_SYNC || what == EXPECT_QUERY))
			return true;
		if (has_subject(what))
			found |= is_doubtful(what, subject_at(server, subject++), name, body);
	}
	return false;
}

/* Remove the head; `skipped`: its answer will not come. */
static void
pop(Server *server, bool skipped)
{
	StatementRegistry *registry = server->worker->statements;
	Expect what = expect_head(server);

	buf_consume(&server->expected, 1);
	if (what == EXPECT_QUERY || what == EXPECT_SYNC)
		server->outstanding--;
	if (skipped && what == EXPECT_PARSE_PLAIN)
		unnamed_undo(server);
	else if (skipped && what == EXPECT_PARSE_UNNAMED)
		server->unnamed_number = 0;
	if (has_subject(what))
	{
		void *subject = subject_at(server, 0);

		buf_consume(&server->subjects, sizeof(subject));
		server->unproved -= is_change(what);
		if (is_about_name(what))
			client_statement_unref(registry, subject);
		else
			server_statement_free(registry, subject);
	}
}

void
expect_pop(Server *server)
{
	pop(server, false);
}

static void
undo(Server *server, Expect what, size_t i)
{
	StatementRegistry *registry = server->worker->statements;
	ClientStatements *names = server->client != NULL ? server->client->statements : NULL;
	ClientStatement *entry = subject_at(server, i);

	if (what == EXPECT_CLOSE_STATEMENT)
	{
		server_statements_give_back(&server->statements, registry, (ServerStatement *) (void *) entry);
		memset(buf_ptr(&server->subjects) + i * sizeof(void *), 0, sizeof(void *));
	}
	if (what == EXPECT_PARSE || what == EXPECT_PARSE_HIDDEN)
		server_statements_remove(&server->statements, registry, entry->statement);
	if ((what == EXPECT_PARSE || what == EXPECT_PARSE_FAKE) && names != NULL)
		client_statements_unlist(names, registry, entry);
	if (what == EXPECT_CLOSE_FAKE && names != NULL)
		client_statements_relist(names, entry);
}

void
expect_skip_to_sync(Server *server)
{
	const uint8_t *queue = buf_ptr(&server->expected);
	size_t len = buf_len(&server->expected);
	size_t count = 0;
	size_t subjects = 0;

	if (expect_head(server) == EXPECT_QUERY)
		return;
	for (; count < len && queue[count] != EXPECT_SYNC; count++)
		subjects += has_subject((Expect) queue[count]);
	/* backwards: a name may have been given up and taken again */
	for (size_t i = count; i-- > 0;)
		if (has_subject((Expect) queue[i]))
			undo(server, (Expect) queue[i], --subjects);
	while (count-- > 0)
		pop(server, true);
	server->skipping = expect_head(server) == 0;
}

void
expect_copy_in(Server *server)
{
	Buf *queue = &server->expected;
	size_t kept = queue->start + 1;

	server->copy_in = true;
	server->copy_in_ending = false;
	if (expect_head(server) != EXPECT_EXECUTE)
		return;
	for (size_t i = queue->start + 1; i < queue->end; i++)
	{
		if (queue->data[i] == EXPECT_SYNC)
		{
			server->outstanding--;
			if (server->client != NULL)
				server->client->in_group = true; /* its real Sync is still to come */
		}
		else
			queue->data[kept++] = queue->data[i];
	}
	queue->end = kept;
}

void
expect_clear(Server *server)
{
	while (expect_head(server) != 0)
		pop(server, true);
	buf_free(&server->expected);
	buf_free(&server->subjects);
	replay_forget(server);
	buf_free(&server->replay.kept);
}

bool
expect_answer_fakes(Server *server, Buf *out)
{
	for (;;)
	{
		switch (expect_head(server))
		{
			case EXPECT_PARSE_FAKE:
				if (!wire_write_parse_complete(out))
					return false;
				break;
			case EXPECT_CLOSE_FAKE:
				if (!wire_write_close_complete(out))
					return false;
				break;
			default:
				return true;
		}
		expect_pop(server);
	}
}
