/*
 * buf_test.c: growable byte queues.
 */
#include "tap.h"
#include "base/buf.h"

#include <stdlib.h>

static void
empty_buffer_owns_nothing(void)
{
	Buf buf = {0};

	ok(buf_len(&buf) == 0 && buf.data == NULL, "a zeroed buffer is empty");
	ok(buf_append(&buf, NULL, 0), "nothing can be appended");
	ok(buf.data == NULL, "and costs no memory");
	ok(buf_append(&buf, "x", 1), "one byte");
	buf_free(&buf);
	ok(buf.data == NULL && buf_len(&buf) == 0 && buf.cap == 0, "freed means zeroed");
	buf_free(&buf);
}

static void
small_content_takes_little_memory(void)
{
	Buf buf = {0};
	char bytes[50] = {0};

	ok(buf_append(&buf, bytes, sizeof(bytes)), "fifty bytes");
	ok(buf.cap <= 64, "take at most 64");
	buf_free(&buf);
}

static void
consumed_room_is_used_again(void)
{
	Buf buf = {0};
	char bytes[64];
	size_t cap;
	bool fine = true;

	memset(bytes, 'a', sizeof(bytes));
	fine &= buf_append(&buf, bytes, 64);
	cap = buf.cap;
	buf_consume(&buf, 48);
	fine &= buf_append(&buf, "0123456789", 10);
	ok(fine && buf.cap == cap, "appending after consuming moves instead of growing");
	is_int((long long) buf_len(&buf), 26, "and keeps the content's length");
	ok(memcmp(buf_ptr(&buf), "aaaaaaaaaaaaaaaa0123456789", 26) == 0, "and the content");
	buf_consume(&buf, 26);
	ok(buf.start == 0 && buf.end == 0, "consuming everything starts over");
	buf_free(&buf);
}

static void
impossible_growth_changes_nothing(void)
{
	Buf buf = {0};

	ok(buf_append(&buf, "keep", 4), "some content");
	ok(!buf_reserve(&buf, SIZE_MAX - 2), "an impossible size is refused");
	ok(!buf_reserve(&buf, SIZE_MAX / 3), "a nearly impossible one too");
	ok(slice_is(buf_slice(&buf), "keep"), "and the content is as it was");
	buf_free(&buf);
}

/* Against an array that keeps everything ever appended. */
static void
behaves_like_a_queue(void)
{
	static uint8_t model[400000];
	size_t written = 0;
	size_t consumed = 0;
	Buf buf = {0};
	bool same = true;

	srandom(7);
	while (written + 300 < sizeof(model) && same)
	{
		size_t n = (size_t) random() % 300;

		for (size_t i = 0; i < n; i++)
			model[written + i] = (uint8_t) random();
		same &= buf_append(&buf, model + written, n);
		written += n;
		n = (size_t) random() % 310;
		if (n > buf_len(&buf))
			n = buf_len(&buf);
		buf_consume(&buf, n);
		consumed += n;
		same &= buf_len(&buf) == written - consumed;
		same &= written == consumed || memcmp(buf_ptr(&buf), model + consumed, written - consumed) == 0;
	}
	ok(same, "random appends and consumes leave what a queue would");
	ok(buf.cap < 100000, "and the memory does not grow with what has passed through");
	buf_free(&buf);
}

int
main(void)
{
	empty_buffer_owns_nothing();
	small_content_takes_little_memory();
	consumed_room_is_used_again();
	impossible_growth_changes_nothing();
	behaves_like_a_queue();
	return done_testing();
}
