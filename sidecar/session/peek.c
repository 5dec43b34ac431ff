/*
 * peek.c: looking at messages that are still in the read buffer.
 */
#include "session/peek.h"

#include "session/limits.h"
#include "wire/frontend.h"
#include "wire/msg.h"

/* A statement's class decides nothing when admission is off and no rule asks for it. */
static uint64_t
class_of(const Client *client, Slice sql)
{
	const Settings *settings = client->worker->settings;
	uint64_t fingerprint;

	if (!settings->admission && !limits_by_class(settings))
		return 0;
	fingerprint = class_texts_class(&client->worker->class_texts, client->worker->hash_seed, sql);
	class_texts_note(&client->worker->class_texts, fingerprint, sql);
	return fingerprint;
}

static uint64_t
class_of_prepared(const Client *client, Statement *statement)
{
	uint64_t known = atomic_load_explicit(&statement->fingerprint, memory_order_relaxed);

	if (known == 0)
	{
		known = class_of(client, statement_query(statement));
		atomic_store_explicit(&statement->fingerprint, known, memory_order_relaxed);
	}
	return known;
}

/* The group begins with this statement. */
static void
see_first(const Client *client, GroupInfo *info, Slice sql, uint64_t fingerprint)
{
	info->fingerprint = fingerprint;
	info->sql = sql;
	if (client->worker->settings->limits != NULL)
		info->limit = limits_find(client, sql, fingerprint);
	info->first_seen = true;
}

void
peek_message(Client *client, const Message *message, GroupInfo *info)
{
	Slice sql;
	WireParse parse;
	WireBind bind;

	switch (message->type)
	{
		case FE_QUERY:
			if (!wire_read_query(message->payload, &sql))
				sql = message->payload; /* the beginning of a large one */
			info->tag_us = peek_tighter(info->tag_us, deadline_from_comment(client, sql));
			if (!info->first_seen)
				see_first(client, info, sql, class_of(client, sql));
			break;
		case FE_PARSE:
			if (wire_read_parse(message->payload, &parse))
			{
				info->tag_us = peek_tighter(info->tag_us, deadline_from_comment(client, parse.query));
				if (!info->first_seen)
					see_first(client, info, parse.query, class_of(client, parse.query));
			}
			break;
		case FE_BIND:
			if ((client->statements != NULL || client->unnamed != NULL) && peek_bind(client, message->payload, &bind))
			{
				Statement *statement = bind.statement.len > 0 ? client_statements_find(client->statements, bind.statement)
															  : client->unnamed;

				if (statement != NULL)
				{
					info->tag_us = peek_tighter(info->tag_us, statement->deadline_us);
					if (!info->first_seen)
						see_first(client, info, statement_query(statement), class_of_prepared(client, statement));
				}
			}
			break;
	}
}

/* Does it say something of the group, or end it? */
static inline bool
is_telling(uint8_t type)
{
	return type == FE_QUERY || type == FE_PARSE || type == FE_BIND || type == FE_FUNCTION_CALL || type == FE_SYNC;
}

static void
peek_messages(Client *client, uint8_t *data, size_t len, GroupInfo *info)
{
	Message message;

	for (;;)
	{
		while (len >= WIRE_HEADER_SIZE && !is_telling(data[0]))
		{
			size_t total = (size_t) wire_load_u32(data + 1) + 1;

			info->extended = true;
			if (total < WIRE_HEADER_SIZE || total > len)
				return;
			data += total;
			len -= total;
		}
		if (read_message(data, len, &message) != WIRE_OK)
			return;
		if (message.type == FE_QUERY || message.type == FE_PARSE || message.type == FE_BIND)
			peek_message(client, &message, info);
		info->whole = message.whole && message.type != FE_PARSE && message.type != FE_BIND;
		info->extended |= message.type != FE_QUERY && message.type != FE_FUNCTION_CALL;
		if (!message.whole || info->whole)
			return;
		data += message.total;
		len -= message.total;
	}
}

void
peek_group(Client *client, uint8_t *data, size_t len, GroupInfo *info)
{
	*info = (GroupInfo){.tag_us = -1};
	peek_messages(client, data, len, info);
	if (!info->first_seen)
		see_first(client, info, (Slice){NULL, 0}, 0);
}

Slice
peek_name(const Message *message, Slice *body)
{
	WireParse parse;
	WireBind bind;
	WireTarget target;

	switch (message->type)
	{
		case FE_PARSE:
			if (!wire_read_parse(message->payload, &parse))
				break;
			*body = peek_parse_body(&parse, message->payload);
			return parse.name;
		case FE_BIND:
			if (wire_read_bind(message->payload, &bind))
				return bind.statement;
			break;
		case FE_DESCRIBE:
			if (wire_read_describe(message->payload, &target) && target.kind == 'S')
				return target.name;
			break;
		case FE_CLOSE:
			if (wire_read_close(message->payload, &target) && target.kind == 'S')
				return target.name;
			break;
		default: break;
	}
	return (Slice){NULL, 0};
}
