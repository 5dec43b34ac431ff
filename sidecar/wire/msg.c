/*
 * msg.c: the writer of messages.  (The reader is inline in msg.h.)
 *
 * Positions are kept as offsets of the Buf's content, never as pointers or offsets of its memory: growing may
 * move both.
 */
#include "wire/msg.h"

void
wire_start(WireWriter *w, uint8_t type)
{
	w->_undo = buf_len(w->buf);
	if (type != 0)
		wire_put_u8(w, type);
	w->_length = buf_len(w->buf);
	wire_put_i32(w, 0);
}

void
wire_put_bytes(WireWriter *w, const void *ptr, size_t n)
{
	if (!w->failed && n > 0 && !buf_append(w->buf, ptr, n))
		w->failed = true;
}

void
wire_put_u8(WireWriter *w, uint8_t v)
{
	wire_put_bytes(w, &v, 1);
}

void
wire_put_i16(WireWriter *w, int16_t v)
{
	uint8_t bytes[2] = {(uint8_t) ((uint16_t) v >> 8), (uint8_t) v};

	wire_put_bytes(w, bytes, sizeof(bytes));
}

void
wire_put_i32(WireWriter *w, int32_t v)
{
	uint8_t bytes[4];

	wire_store_u32(bytes, (uint32_t) v);
	wire_put_bytes(w, bytes, sizeof(bytes));
}

void
wire_put_cstr(WireWriter *w, const char *s)
{
	wire_put_bytes(w, s, strlen(s) + 1);
}

void
wire_put_slice_cstr(WireWriter *w, Slice s)
{
	if (s.len > 0 && memchr(s.ptr, 0, s.len) != NULL)
		w->failed = true;
	wire_put_bytes(w, s.ptr, s.len);
	wire_put_u8(w, 0);
}

bool
wire_finish(WireWriter *w)
{
	size_t length = buf_len(w->buf) - w->_length;

	if (length > INT32_MAX)
		w->failed = true;
	if (w->failed)
	{
		w->buf->end = w->buf->start + w->_undo;
		return false;
	}
	wire_store_u32(buf_ptr(w->buf) + w->_length, (uint32_t) length);
	return true;
}

bool
wire_write_empty(Buf *buf, uint8_t type)
{
	WireWriter w;

	wire_writer_init(&w, buf);
	wire_start(&w, type);
	return wire_finish(&w);
}
