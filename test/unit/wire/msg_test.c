/*
 * msg_test.c: the frame of messages, the reader and the writer.
 */
#include "wire_test.h"

static void
header_needs_five_bytes(void)
{
	const uint8_t bytes[] = {'Q', 0, 0, 0, 9};
	WireHeader header;

	for (size_t n = 0; n < 5; n++)
	{
		uint8_t *copy = exact_copy(bytes, n);

		ok(wire_read_header(copy, n, &header) == WIRE_NEED_MORE, "part of a header needs more");
		free(copy);
	}
	ok(wire_read_header(bytes, 5, &header) == WIRE_OK, "five bytes are a header");
	is_int(header.type, FE_QUERY, "its letter");
	is_int(header.payload_len, 5, "its payload's length");
}

static void
header_refuses_impossible_lengths(void)
{
	const uint32_t bad[] = {0, 1, 3, 0x80000000u, 0xffffffffu};
	const uint32_t good[] = {4, 5, 0x7fffffffu};
	uint8_t bytes[5] = {'D'};
	WireHeader header;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		wire_store_u32(bytes + 1, bad[i]);
		ok(wire_read_header(bytes, 5, &header) == WIRE_BAD, "impossible length is bad");
	}
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
	{
		wire_store_u32(bytes + 1, good[i]);
		ok(wire_read_header(bytes, 5, &header) == WIRE_OK, "possible length is good");
		is_int(header.payload_len, good[i] - 4, "and counts itself");
	}
}

static void
reader_fails_once_and_for_all(void)
{
	uint8_t *bytes = exact_copy("\x01\x00\x02\x00\x00\x00\x03xyz\0q", 12);
	WireReader r;

	wire_reader_init(&r, bytes, 12);
	is_int(wire_get_u8(&r), 1, "one byte");
	is_int(wire_get_i16(&r), 2, "two bytes");
	is_int(wire_get_i32(&r), 3, "four bytes");
	ok(slice_is(wire_get_cstr(&r), "xyz"), "a string without its NUL");
	ok(!wire_reader_done(&r), "not done while a byte is left");
	is_int((int) wire_reader_left(&r), 1, "one byte left");
	ok(wire_get_cstr(&r).ptr == NULL && r.failed, "a string without a NUL fails");
	is_int(wire_get_u8(&r), 0, "and then nothing succeeds");
	ok(wire_get_bytes(&r, 0).ptr == NULL, "not even nothing");
	ok(!wire_reader_done(&r), "never done");

	wire_reader_init(&r, bytes, 12);
	ok(wire_get_bytes(&r, SIZE_MAX).ptr == NULL && r.failed, "a huge length does not wrap around");
	wire_reader_init(&r, NULL, 0);
	ok(wire_reader_done(&r), "nothing is read completely at once");
	is_int(wire_get_i32(&r), 0, "and holds no number");
	ok(r.failed, "which is a failure");
	free(bytes);
}

static void
reader_keeps_signs(void)
{
	const uint8_t bytes[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xfe};
	WireReader r;

	wire_reader_init(&r, bytes, sizeof(bytes));
	is_int(wire_get_i16(&r), -1, "16 bits are signed");
	is_int(wire_get_i32(&r), -2, "32 bits are signed");
}

static void
writer_takes_failed_messages_back(void)
{
	Buf buf = {0};
	WireWriter w;

	wire_writer_init(&w, &buf);
	wire_start(&w, BE_NOTICE_RESPONSE);
	wire_put_cstr(&w, "kept");
	ok(wire_finish(&w), "a message");
	is_int((int) buf_len(&buf), 10, "is there");
	wire_start(&w, BE_NOTICE_RESPONSE);
	wire_put_slice_cstr(&w, slice_make("a\0b", 3));
	ok(!wire_finish(&w) && w.failed, "a NUL inside a string fails the message");
	is_int((int) buf_len(&buf), 10, "which is gone again");
	wire_start(&w, BE_NOTICE_RESPONSE);
	ok(!wire_finish(&w), "and the writer stays failed");
	is_int((int) buf_len(&buf), 10, "adding nothing");
	buf_free(&buf);
}

static void
writer_appends_behind_consumed_bytes(void)
{
	Buf buf = {0};
	WireWriter w;
	WireHeader header;

	ok(buf_append(&buf, "0123456789", 10), "some bytes");
	buf_consume(&buf, 7);
	wire_writer_init(&w, &buf);
	wire_start(&w, 'x');
	for (int i = 0; i < 5000; i++)
		wire_put_i32(&w, i);
	ok(wire_finish(&w), "a message that makes the buffer grow and move");
	ok(memcmp(buf_ptr(&buf), "789", 3) == 0, "what was there is there");
	ok(wire_read_header(buf_ptr(&buf) + 3, buf_len(&buf) - 3, &header) == WIRE_OK, "and so is the header");
	is_int(header.payload_len, 20000, "with its length");
	buf_free(&buf);
}

int
main(void)
{
	header_needs_five_bytes();
	header_refuses_impossible_lengths();
	reader_fails_once_and_for_all();
	reader_keeps_signs();
	writer_takes_failed_messages_back();
	writer_appends_behind_consumed_bytes();
	return done_testing();
}
