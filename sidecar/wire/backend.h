/*
 * backend.h: messages a server sends.  The sidecar writes them to its clients and reads some of them from its
 * servers.
 *
 * A write appends one whole message to buf and returns true, or leaves buf as it was and returns false (no
 * memory, or a string with a NUL inside).  A read takes a payload (without the 5 header bytes), fills *out
 * with slices of it and returns true, or returns false when the payload is malformed, and then *out means
 * nothing.
 */
#ifndef PGWEIR_WIRE_BACKEND_H
#define PGWEIR_WIRE_BACKEND_H

#include "wire/msg.h"

/* ---- Authentication ---- */

typedef struct WireAuth
{
	int32_t code;    /* AUTH_... */
	uint8_t salt[4]; /* AUTH_MD5 */
	Slice data;      /* AUTH_SASL_CONTINUE, AUTH_SASL_FINAL, AUTH_GSS_CONTINUE; also any code unknown here */
	Slice _mechanisms; /* AUTH_SASL: name NUL ... NUL */
} WireAuth;

extern bool wire_read_authentication(Slice payload, WireAuth *out) MUST_CHECK;
/* Walk the mechanisms of AUTH_SASL; start with *pos = 0. */
extern bool wire_auth_next_mechanism(const WireAuth *auth, size_t *pos, Slice *name) MUST_CHECK;

extern bool wire_write_auth_ok(Buf *buf) MUST_CHECK;
extern bool wire_write_auth_cleartext(Buf *buf) MUST_CHECK;
extern bool wire_write_auth_md5(Buf *buf, const uint8_t salt[4]) MUST_CHECK;
extern bool wire_write_auth_sasl(Buf *buf, const char *const *mechanisms, int n) MUST_CHECK;
extern bool wire_write_auth_sasl_continue(Buf *buf, Slice data) MUST_CHECK;
extern bool wire_write_auth_sasl_final(Buf *buf, Slice data) MUST_CHECK;

/* ---- the rest of a login ---- */

extern bool wire_read_backend_key(Slice payload, uint32_t *pid,
								  Slice *key) MUST_CHECK; /* key: 4 to 256 bytes */
extern bool wire_write_backend_key_data(Buf *buf, uint32_t pid, Slice key) MUST_CHECK;

extern bool wire_read_parameter_status(Slice payload, Slice *name, Slice *value) MUST_CHECK;
extern bool wire_write_parameter_status(Buf *buf, Slice name, Slice value) MUST_CHECK;

/* status: TX_IDLE, TX_IN_BLOCK or TX_FAILED; anything else is malformed. */
extern bool wire_read_ready_for_query(Slice payload, char *status) MUST_CHECK;
extern bool wire_write_ready_for_query(Buf *buf, char status) MUST_CHECK;

/* NegotiateProtocolVersion from a server: the newest minor version it speaks.  Sent as a whole version number
 * (3 << 16 | minor) or, as the manual has it, as the minor number alone; both are understood. */
extern bool wire_read_negotiate_version(Slice payload, uint16_t *minor) MUST_CHECK;

/* ---- results ---- */

extern bool wire_write_parse_complete(Buf *buf) MUST_CHECK;
extern bool wire_write_bind_complete(Buf *buf) MUST_CHECK;
extern bool wire_write_close_complete(Buf *buf) MUST_CHECK;
extern bool wire_write_empty_query(Buf *buf) MUST_CHECK;
extern bool wire_write_no_data(Buf *buf) MUST_CHECK;
/* ParameterDescription of a statement without parameters. */
extern bool wire_write_no_parameters(Buf *buf) MUST_CHECK;

extern bool wire_read_command_tag(Slice payload, Slice *tag) MUST_CHECK;
extern bool wire_write_command_complete(Buf *buf, const char *tag) MUST_CHECK;

typedef struct WireColumn
{
	const char *name;
	uint32_t type_oid; /* WIRE_OID_...; the type's length is known for those and -1 (variable) for others */
} WireColumn;

enum
{
	WIRE_OID_BOOL = 16,
	WIRE_OID_INT8 = 20,
	WIRE_OID_INT4 = 23,
	WIRE_OID_TEXT = 25,
	WIRE_OID_NUMERIC = 1700
};

/* Columns of a made-up result, in text format. */
extern bool wire_write_row_description(Buf *buf, const WireColumn *columns, int n) MUST_CHECK;
/* A value with ptr == NULL is NULL. */
extern bool wire_write_data_row(Buf *buf, const Slice *values, int n) MUST_CHECK;

typedef struct WireNotification
{
	uint32_t pid;
	Slice channel;
	Slice payload;
} WireNotification;

extern bool wire_read_notification(Slice payload, WireNotification *out) MUST_CHECK;

/* ---- ErrorResponse and NoticeResponse ---- */

/* A field that is absent has ptr == NULL, so a zeroed WireError has none. */
typedef struct WireError
{
	Slice severity;   /* S: may be translated */
	Slice severity_v; /* V: never is; when absent it is written as a copy of severity */
	Slice code;       /* C: SQLSTATE */
	Slice message;    /* M */
	Slice detail;     /* D */
	Slice hint;       /* H */
	Slice position;   /* P: a decimal number */
	Slice internal_position;
	Slice internal_query;
	Slice where;
	Slice schema, table, column, datatype, constraint;
	Slice file, line, routine;
} WireError;

/* Unknown fields are skipped; of a field given twice the last counts. */
extern bool wire_read_error(Slice payload, WireError *out) MUST_CHECK;
extern bool wire_write_error(Buf *buf, const WireError *error) MUST_CHECK;
extern bool wire_write_notice(Buf *buf, const WireError *notice) MUST_CHECK;
/* ErrorResponse with just these three. */
extern bool wire_error_simple(Buf *buf, const char *severity, const char *sqlstate,
							  const char *message) MUST_CHECK;

#endif
