/*
 * buf.h: a growable queue of bytes: append at the end, consume at the front.
 *
 * The bytes between start and end are the content.  A zeroed Buf is valid and empty and owns nothing.  Growing can
 * fail (false) and then leaves the content as it was; the limit on how far a buffer may grow is the caller's.
 */
#ifndef PGWEIR_BASE_BUF_H
#define PGWEIR_BASE_BUF_H

#include "base/slice.h"

typedef struct Buf
{
	uint8_t *data; /* owned */
	size_t start;
	size_t end;
	size_t cap;
} Buf;

#define MUST_CHECK __attribute__((warn_unused_result))

/* Make room for n more bytes behind end; moves the content to the front first when that suffices. */
extern bool buf_reserve(Buf *buf, size_t n) MUST_CHECK;
static inline bool buf_append(Buf *buf, const void *bytes, size_t n) MUST_CHECK;
/* Release the memory; the Buf is empty and usable again. */
static inline void buf_free(Buf *buf);
extern void buf_release(Buf *buf); /* what buf_free does when there is any */

static inline size_t
buf_len(const Buf *buf)
{
	return buf->end - buf->start;
}

static inline uint8_t *
buf_ptr(const Buf *buf)
{
	return buf->data != NULL ? buf->data + buf->start : NULL;
}

static inline Slice
buf_slice(const Buf *buf)
{
	return slice_make(buf_ptr(buf), buf->end - buf->start);
}

static inline void
buf_free(Buf *buf)
{
	if (buf->data != NULL)
		buf_release(buf);
}

static inline void
buf_clear(Buf *buf)
{
	buf->start = buf->end = 0;
}

/* Drop n (<= buf_len) bytes from the front. */
static inline void
buf_consume(Buf *buf, size_t n)
{
	buf->start += n;
	if (buf->start == buf->end)
		buf_clear(buf);
}

static inline bool
buf_append(Buf *buf, const void *bytes, size_t n)
{
	if (n == 0)
		return true;
	if (n > buf->cap - buf->end && !buf_reserve(buf, n))
		return false;
	memcpy(buf->data + buf->end, bytes, n);
	buf->end += n;
	return true;
}

#endif
