/*
 * buf.c: growing and moving; everything else about a Buf is inline in its header.
 *
 * The first allocation fits closely (a thousand waiting clients hold a few dozen bytes each); after that the
 * capacity doubles, so that appending stays linear.
 */
#include "base/buf.h"

#include <stdlib.h>

#define BUF_ROUND 32

/* Moving the content costs its length and wins `start` bytes: worth it when those are in proportion. */
static bool
worth_moving(const Buf *buf, size_t n)
{
	return n <= buf->cap - buf_len(buf) && buf->start >= buf_len(buf) / 2;
}

bool
buf_reserve(Buf *buf, size_t n)
{
	size_t len = buf_len(buf);
	size_t cap;
	uint8_t *data;

	if (n <= buf->cap - buf->end)
		return true;
	if (worth_moving(buf, n))
	{
		memmove(buf->data, buf_ptr(buf), len);
		buf->start = 0;
		buf->end = len;
		return true;
	}
	if (n > SIZE_MAX / 4 || len > SIZE_MAX / 4)
		return false;
	cap = len + n;
	if (buf->cap > 0 && cap < buf->cap * 2)
		cap = buf->cap * 2;
	cap = (cap + BUF_ROUND - 1) & ~(size_t) (BUF_ROUND - 1);
	if ((data = malloc(cap)) == NULL)
		return false;
	if (len > 0)
		memcpy(data, buf_ptr(buf), len);
	free(buf->data);
	*buf = (Buf){.data = data, .start = 0, .end = len, .cap = cap};
	return true;
}

void
buf_release(Buf *buf)
{
	free(buf->data);
	*buf = (Buf){0};
}
