/*
 * startup.h: the packets that come before a session: startup, SSL and GSS requests, cancel requests.
 *
 * They have no letter, only a length and a code.  Reading validates everything at once, so that walking the
 * parameters cannot fail.  All slices borrow the input.
 */
#ifndef PGWEIR_WIRE_STARTUP_H
#define PGWEIR_WIRE_STARTUP_H

#include "wire/msg.h"

#define WIRE_CANCEL_KEY_MIN 4
#define WIRE_CANCEL_KEY_MAX 256
#define WIRE_STARTUP_MAX 10000 /* what PostgreSQL accepts (MAX_STARTUP_PACKET_LENGTH) */

typedef enum WireStartupKind
{
	STARTUP_MESSAGE,        /* protocol 3.x; minor and params are set */
	STARTUP_SSL_REQUEST,    /* answer 'S' or 'N' */
	STARTUP_GSSENC_REQUEST, /* answer 'G' or 'N' */
	STARTUP_CANCEL,         /* pid and key are set */
	STARTUP_TLS_DIRECT, /* the first byte is a TLS handshake record; total_len is 0: nothing is consumed */
	STARTUP_OLD_V2,     /* protocol 2.0 or 1.0; told by its first 8 bytes, total_len may not have arrived */
	STARTUP_FUTURE      /* protocol 4 or later; likewise */
} WireStartupKind;

typedef struct WireStartup
{
	WireStartupKind kind;
	uint32_t total_len; /* bytes to consume */
	uint16_t major, minor;
	uint32_t pid;
	Slice key;    /* 4 to 256 bytes */
	Slice params; /* name NUL value NUL ... NUL, validated */
} WireStartup;

/*
 * Read the first packet of a connection.  WIRE_BAD: not PostgreSQL, malformed, or longer than max_len.
 * A parameter list is well-formed when it consists of pairs of strings, each name non-empty, and ends in one
 * more NUL at the packet's very end.
 */
extern WireStatus wire_read_startup(const uint8_t *data, size_t len, uint32_t max_len,
									WireStartup *out) MUST_CHECK;

/* Walk the parameters of a STARTUP_MESSAGE, in their order; start with *pos = 0. */
extern bool wire_startup_next(const WireStartup *startup, size_t *pos, Slice *name, Slice *value) MUST_CHECK;

typedef struct WireParam
{
	Slice name;
	Slice value;
} WireParam;

/* StartupMessage, protocol 3.0.  False: no memory, or a name is empty or something has a NUL inside; nothing
 * is written. */
extern bool wire_write_startup(Buf *buf, const WireParam *params, int n) MUST_CHECK;
extern bool wire_write_ssl_request(Buf *buf) MUST_CHECK;
extern bool wire_write_cancel_request(Buf *buf, uint32_t pid, Slice key) MUST_CHECK;

/*
 * NegotiateProtocolVersion: "I speak up to 3.minor and do not know these options".  `unknown` are names that
 * begin with _pq_. ; they may be none.
 */
extern bool wire_write_negotiate_version(Buf *buf, uint16_t minor, const Slice *unknown, int n) MUST_CHECK;

/* One setting found in `options`; return false to stop. */
typedef bool (*WireOptionFunc)(void *arg, Slice name, Slice value);

/*
 * Parse the startup parameter `options`: words of -c k=v, -ck=v and --k=v, in which a backslash keeps the
 * next character (a space, a backslash) as it is.  A dash in a name becomes an underscore, as in PostgreSQL.
 * Words are unescaped into scratch, which needs options.len bytes; the slices given to func point there.
 * False: any other word, a word without '=' or with an empty name, scratch too small, or func returned false.
 */
extern bool wire_parse_options(Slice options, char *scratch, size_t scratch_size, WireOptionFunc func,
							   void *arg) MUST_CHECK;

#endif
