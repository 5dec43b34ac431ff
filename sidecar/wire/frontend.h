/*
 * frontend.h: messages a client sends.  The sidecar reads them from its clients and writes some of them to
 * its servers.
 *
 * Reads and writes behave as in backend.h.
 *
 * Prepared statements are renamed without copying the message: a wire_rename_prefix_...() call produces the
 * bytes that replace the front of the original message, header included, and the caller sends these and then
 * the original payload from `rest_offset` on (with writev, or by streaming what has not arrived yet).
 */
#ifndef PGWEIR_WIRE_FRONTEND_H
#define PGWEIR_WIRE_FRONTEND_H

#include "wire/msg.h"

/* ---- Query ---- */

extern bool wire_read_query(Slice payload, Slice *sql) MUST_CHECK;
extern bool wire_write_query(Buf *buf, Slice sql) MUST_CHECK;

/* ---- Parse ---- */

typedef struct WireParse
{
	Slice name; /* empty: the unnamed statement */
	Slice query;
	Slice param_types; /* 4 bytes each, as sent */
	int param_count;
	uint32_t rest_offset; /* where the query begins in the payload */
} WireParse;

extern bool wire_read_parse(Slice payload, WireParse *out) MUST_CHECK;
/* param_types: as in WireParse, 4 * param_count bytes. */
extern bool wire_write_parse(Buf *buf, Slice name, Slice query, Slice param_types) MUST_CHECK;

/* ---- Bind ---- */

typedef struct WireBind
{
	Slice portal;
	Slice statement;
	uint32_t statement_offset; /* of the statement's name in the payload; its length is statement.len */
	uint32_t rest_offset;      /* just behind that name's NUL */
} WireBind;

/*
 * Reads the two names only: `payload` may be the beginning of one still arriving.  False when the names do
 * not end inside it: malformed if that was all of the payload, else try again with more.
 */
extern bool wire_read_bind(Slice payload, WireBind *out) MUST_CHECK;

/* ---- Describe, Close ---- */

typedef struct WireTarget
{
	char kind; /* 'S' a statement, 'P' a portal */
	Slice name;
} WireTarget;

extern bool wire_read_describe(Slice payload, WireTarget *out) MUST_CHECK;
extern bool wire_read_close(Slice payload, WireTarget *out) MUST_CHECK;
extern bool wire_write_describe(Buf *buf, char kind, Slice name) MUST_CHECK;
extern bool wire_write_close(Buf *buf, char kind, Slice name) MUST_CHECK;

/* ---- Execute, Sync, Flush, Terminate, CopyFail ---- */

typedef struct WireExecute
{
	Slice portal;
	int32_t max_rows; /* 0 = no limit */
} WireExecute;

extern bool wire_read_execute(Slice payload, WireExecute *out) MUST_CHECK;
/* Of a statement without parameters; results as text. */
extern bool wire_write_bind(Buf *buf, Slice portal, Slice statement) MUST_CHECK;
/* To the end. */
extern bool wire_write_execute(Buf *buf, Slice portal) MUST_CHECK;
extern bool wire_write_sync(Buf *buf) MUST_CHECK;
extern bool wire_write_flush(Buf *buf) MUST_CHECK;
extern bool wire_write_terminate(Buf *buf) MUST_CHECK;
extern bool wire_write_copy_fail(Buf *buf, const char *reason) MUST_CHECK;

/* ---- passwords; all three share the letter FE_PASSWORD, and only the state of the login tells them apart
 * ---- */

extern bool wire_read_password(Slice payload, Slice *password) MUST_CHECK;
extern bool wire_write_password(Buf *buf, Slice password) MUST_CHECK;

typedef struct WireSaslInitial
{
	Slice mechanism;
	Slice data; /* ptr == NULL: no initial response was sent */
} WireSaslInitial;

extern bool wire_read_sasl_initial(Slice payload, WireSaslInitial *out) MUST_CHECK;
extern bool wire_write_sasl_initial(Buf *buf, const char *mechanism, Slice data) MUST_CHECK;
/* A SASLResponse is its payload; there is nothing to read. */
extern bool wire_write_sasl_response(Buf *buf, Slice data) MUST_CHECK;

/* ---- renaming ---- */

/* Enough room for any rename of a message whose other name (the portal of a Bind) has other_len bytes. */
#define WIRE_RENAME_SIZE(other_len, new_name_len)                                                            \
	(WIRE_HEADER_SIZE + (size_t) (other_len) + (size_t) (new_name_len) + 3)

/*
 * Write the new front of a message to out and return its length; 0 when out_size does not suffice or the
 * message would grow beyond what a length can say.  payload_len is that of the original message (its
 * header's), all of it, arrived or not. Bind and Parse: send the result, then the original payload from
 * rest_offset on.  Describe and Close: the result is the whole message.
 */
extern size_t wire_rename_prefix_bind(const WireBind *bind, uint32_t payload_len, const char *new_name,
									  uint8_t *out, size_t out_size) MUST_CHECK;
extern size_t wire_rename_prefix_parse(const WireParse *parse, uint32_t payload_len, const char *new_name,
									   uint8_t *out, size_t out_size) MUST_CHECK;
extern size_t wire_rename_prefix_describe(const char *new_name, uint8_t *out, size_t out_size) MUST_CHECK;
extern size_t wire_rename_prefix_close(const char *new_name, uint8_t *out, size_t out_size) MUST_CHECK;

#endif
