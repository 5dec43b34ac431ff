/*
 * msg.h: the frame every message travels in, the letters, and the one reader and one writer of message
 * bodies.
 *
 * A message is a letter, a 32-bit big-endian length that counts itself but not the letter, and a payload.
 * Everything here borrows its input and allocates nothing; a writer appends to the caller's Buf, which may
 * grow.  Failure of a reader or writer is sticky, so that a caller tests once, at the end.
 *
 * Letters of the two directions overlap ('D' is Describe one way and DataRow the other), so each has its own
 * prefix: FE_ is what a client (frontend) sends, BE_ what a server (backend) sends.
 */
#ifndef PGWEIR_WIRE_MSG_H
#define PGWEIR_WIRE_MSG_H

#include "base/buf.h"

#define WIRE_HEADER_SIZE 5

enum
{
	FE_BIND = 'B',
	FE_CLOSE = 'C',
	FE_COPY_DATA = 'd',
	FE_COPY_DONE = 'c',
	FE_COPY_FAIL = 'f',
	FE_DESCRIBE = 'D',
	FE_EXECUTE = 'E',
	FE_FLUSH = 'H',
	FE_FUNCTION_CALL = 'F',
	FE_PARSE = 'P',
	FE_PASSWORD = 'p', /* PasswordMessage, SASLInitialResponse, SASLResponse, GSSResponse */
	FE_QUERY = 'Q',
	FE_SYNC = 'S',
	FE_TERMINATE = 'X'
};

enum
{
	BE_AUTHENTICATION = 'R',
	BE_BACKEND_KEY_DATA = 'K',
	BE_BIND_COMPLETE = '2',
	BE_CLOSE_COMPLETE = '3',
	BE_COMMAND_COMPLETE = 'C',
	BE_COPY_BOTH = 'W',
	BE_COPY_DATA = 'd',
	BE_COPY_DONE = 'c',
	BE_COPY_IN = 'G',
	BE_COPY_OUT = 'H',
	BE_DATA_ROW = 'D',
	BE_EMPTY_QUERY = 'I',
	BE_ERROR_RESPONSE = 'E',
	BE_FUNCTION_RESULT = 'V',
	BE_NEGOTIATE_PROTOCOL_VERSION = 'v',
	BE_NO_DATA = 'n',
	BE_NOTICE_RESPONSE = 'N',
	BE_NOTIFICATION = 'A',
	BE_PARAMETER_DESCRIPTION = 't',
	BE_PARAMETER_STATUS = 'S',
	BE_PARSE_COMPLETE = '1',
	BE_PORTAL_SUSPENDED = 's',
	BE_READY_FOR_QUERY = 'Z',
	BE_ROW_DESCRIPTION = 'T'
};

/* The code that starts an Authentication message. */
enum
{
	AUTH_OK = 0,
	AUTH_KERBEROS_V5 = 2,
	AUTH_CLEARTEXT = 3,
	AUTH_MD5 = 5,
	AUTH_GSS = 7,
	AUTH_GSS_CONTINUE = 8,
	AUTH_SSPI = 9,
	AUTH_SASL = 10,
	AUTH_SASL_CONTINUE = 11,
	AUTH_SASL_FINAL = 12
};

/* The status byte of ReadyForQuery. */
enum
{
	TX_IDLE = 'I',
	TX_IN_BLOCK = 'T',
	TX_FAILED = 'E'
};

typedef enum WireStatus
{
	WIRE_OK,        /* *out is filled */
	WIRE_NEED_MORE, /* nothing wrong so far; call again with more bytes */
	WIRE_BAD        /* can never become valid: end the session */
} WireStatus;

typedef struct WireHeader
{
	uint8_t type;
	uint32_t payload_len; /* without the 5 header bytes; at most INT32_MAX - 4 */
} WireHeader;

/*
 * Read the header of a message.  WIRE_BAD when the length cannot be one (below 4, or negative as the signed
 * number it is). The letter is not judged, and neither is the payload's size: a limit is the caller's.
 */
static inline WireStatus wire_read_header(const uint8_t *data, size_t len, WireHeader *out) MUST_CHECK;

/* Reads a payload front to back; every get returns 0 or an empty slice once something has failed. */
typedef struct WireReader
{
	const uint8_t *ptr; /* borrowed: the input */
	const uint8_t *end;
	bool failed;
} WireReader;

static inline void wire_reader_init(WireReader *r, const uint8_t *ptr, size_t len);
static inline uint8_t wire_get_u8(WireReader *r);
static inline int16_t wire_get_i16(WireReader *r);
static inline int32_t wire_get_i32(WireReader *r);
static inline Slice wire_get_bytes(WireReader *r, size_t n);
/* A string up to its NUL, which is consumed and not part of the slice. */
static inline Slice wire_get_cstr(WireReader *r);
static inline size_t wire_reader_left(const WireReader *r);
/* Did everything parse, and were all bytes used? */
static inline bool wire_reader_done(const WireReader *r) MUST_CHECK;

/*
 * Appends one message at a time to a Buf.  wire_finish() fills in the length; when anything failed (no
 * memory, a string with a NUL inside, a message above INT32_MAX) it takes the half message off the Buf again,
 * and returns false. One writer may write many messages; `failed` then says whether any of them did.
 */
typedef struct WireWriter
{
	Buf *buf;       /* borrowed */
	size_t _length; /* content offset of the current message's length word */
	size_t _undo;   /* buf_len() when the current message was started */
	bool failed;
} WireWriter;

static inline void wire_writer_init(WireWriter *w, Buf *buf);
/* type 0: a message without a letter, as the first ones of a connection. */
extern void wire_start(WireWriter *w, uint8_t type);
extern void wire_put_u8(WireWriter *w, uint8_t v);
extern void wire_put_i16(WireWriter *w, int16_t v);
extern void wire_put_i32(WireWriter *w, int32_t v);
extern void wire_put_bytes(WireWriter *w, const void *ptr, size_t n);
/* The string and its NUL. */
extern void wire_put_cstr(WireWriter *w, const char *s);
/* The bytes and a NUL; a NUL among the bytes is a failure, since it would shift everything behind it. */
extern void wire_put_slice_cstr(WireWriter *w, Slice s);
extern bool wire_finish(WireWriter *w) MUST_CHECK;
/* A message of nothing but its header. */
extern bool wire_write_empty(Buf *buf, uint8_t type) MUST_CHECK;

/* ---- inline bodies ---- */

static inline uint16_t
wire_load_u16(const uint8_t *p)
{
	return (uint16_t) ((uint16_t) p[0] << 8 | p[1]);
}

static inline uint32_t
wire_load_u32(const uint8_t *p)
{
	return (uint32_t) p[0] << 24 | (uint32_t) p[1] << 16 | (uint32_t) p[2] << 8 | p[3];
}

static inline void
wire_store_u32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t) (v >> 24);
	p[1] = (uint8_t) (v >> 16);
	p[2] = (uint8_t) (v >> 8);
	p[3] = (uint8_t) v;
}

static inline WireStatus
wire_read_header(const uint8_t *data, size_t len, WireHeader *out)
{
	uint32_t length;

	if (len < WIRE_HEADER_SIZE)
		return WIRE_NEED_MORE;
	length = wire_load_u32(data + 1);
	if (length < 4 || length > INT32_MAX)
		return WIRE_BAD;
	out->type = data[0];
	out->payload_len = length - 4;
	return WIRE_OK;
}

static inline void
wire_reader_init(WireReader *r, const uint8_t *ptr, size_t len)
{
	static const uint8_t nothing[1];

	r->ptr = len > 0 ? ptr : nothing;
	r->end = r->ptr + len;
	r->failed = false;
}

static inline size_t
wire_reader_left(const WireReader *r)
{
	return (size_t) (r->end - r->ptr);
}

/* Take n bytes, or fail and return NULL. */
static inline const uint8_t *
wire_take(WireReader *r, size_t n)
{
	const uint8_t *at = r->ptr;

	if (r->failed || n > wire_reader_left(r))
	{
		r->failed = true;
		return NULL;
	}
	r->ptr += n;
	return at;
}

static inline uint8_t
wire_get_u8(WireReader *r)
{
	const uint8_t *at = wire_take(r, 1);

	return at != NULL ? at[0] : 0;
}

static inline int16_t
wire_get_i16(WireReader *r)
{
	const uint8_t *at = wire_take(r, 2);

	return at != NULL ? (int16_t) wire_load_u16(at) : 0;
}

static inline int32_t
wire_get_i32(WireReader *r)
{
	const uint8_t *at = wire_take(r, 4);

	return at != NULL ? (int32_t) wire_load_u32(at) : 0;
}

static inline Slice
wire_get_bytes(WireReader *r, size_t n)
{
	const uint8_t *at = wire_take(r, n);

	return at != NULL ? slice_make(at, n) : (Slice){NULL, 0};
}

static inline Slice
wire_get_cstr(WireReader *r)
{
	const uint8_t *nul;
	Slice s;

	/* the empty one is the most frequent */
	if (!r->failed && r->ptr < r->end && *r->ptr == 0)
		return slice_make(r->ptr++, 0);
	nul = r->failed ? NULL : memchr(r->ptr, 0, wire_reader_left(r));

	if (nul == NULL)
	{
		r->failed = true;
		return (Slice){NULL, 0};
	}
	s = slice_make(r->ptr, (size_t) (nul - r->ptr));
	r->ptr = nul + 1;
	return s;
}

static inline bool
wire_reader_done(const WireReader *r)
{
	return !r->failed && r->ptr == r->end;
}

static inline void
wire_writer_init(WireWriter *w, Buf *buf)
{
	*w = (WireWriter){.buf = buf};
}

#endif
