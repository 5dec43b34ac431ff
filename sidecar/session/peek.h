/*
 * peek.h: a look at what a client has sent, before anything is done with it: its messages, and what the group that they begin asks for.
 */
#ifndef PGWEIR_SESSION_PEEK_H
#define PGWEIR_SESSION_PEEK_H

#include "session/session.h"
#include "wire/frontend.h"
#include "wire/msg.h"

typedef struct Message
{
	uint8_t *data; /* header first */
	size_t available;
	size_t total;
	uint8_t type;
	Slice payload; /* as much of it as is there */
	bool whole;
} Message;

/* The message that begins at data, of which len bytes are there. */
static inline WireStatus
read_message(uint8_t *data, size_t len, Message *message)
{
	WireHeader header;
	WireStatus status = wire_read_header(data, len, &header);

	if (status != WIRE_OK)
		return status;
	message->data = data;
	message->type = header.type;
	message->total = (size_t) header.payload_len + WIRE_HEADER_SIZE;
	message->whole = message->total <= len;
	message->available = message->whole ? message->total : len;
	message->payload = slice_make(data + WIRE_HEADER_SIZE, message->available - WIRE_HEADER_SIZE);
	return WIRE_OK;
}

typedef struct GroupInfo
{
	usec_t tag_us; /* tightest deadline comment, -1 = none */
	uint64_t fingerprint; /* class of the first statement, 0 = none seen */
	Slice sql;			  /* borrowed: its text */
	Limit *limit;		  /* the rule of [limits] that it is under, once its first statement was seen */
	bool whole;
	bool extended;
	bool first_seen;	  /* its first statement */
} GroupInfo;

/* The tighter of two deadlines, where -1 means none. */
static inline usec_t
peek_tighter(usec_t a, usec_t b)
{
	return a < 0 ? b : b < 0 ? a : a < b ? a : b;
}
/* Read a Bind.  Quicker than wire_read_bind() when it is of the unnamed portal and the statement that was last asked for, as most are. */
static inline bool
peek_bind(const Client *client, Slice payload, WireBind *bind)
{
	const ClientStatement *last = client->statements != NULL ? client->statements->last : NULL;
	size_t name_len = last != NULL ? last->name_len : 0;

	if (last == NULL || payload.len < name_len + 2 || payload.ptr[0] != '\0' || payload.ptr[1 + name_len] != '\0' ||
		memcmp(payload.ptr + 1, last->name, name_len) != 0)
		return wire_read_bind(payload, bind);
	bind->portal = slice_make(payload.ptr, 0);
	bind->statement = slice_make(payload.ptr + 1, name_len);
	bind->statement_offset = 1;
	bind->rest_offset = (uint32_t) name_len + 2;
	return true;
}
/* Behind a Parse's statement name: what identifies the statement. */
static inline Slice
peek_parse_body(const WireParse *parse, Slice payload)
{
	return slice_make(payload.ptr + parse->name.len + 1, payload.len - parse->name.len - 1);
}
/* The name a message is about, empty when it is about none; and the statement that a Parse would give it. */
extern Slice peek_name(const Message *message, Slice *body);
/* Add what one message says. */
extern void peek_message(Client *client, const Message *message, GroupInfo *info);
/* Look through what is there of the group that begins at data. */
extern void peek_group(Client *client, uint8_t *data, size_t len, GroupInfo *info);

#endif
