/*
 * wire_test.h: what the tests of wire/ share: inputs that end where their memory ends, and messages taken
 * apart.
 */
#ifndef WIRE_TEST_H
#define WIRE_TEST_H

#include "tap.h"
#include "wire/msg.h"

#include <stdlib.h>

/* A copy of n bytes with nothing behind it, so that the sanitizer sees any read beyond; the caller frees it.
 */
static inline uint8_t *
exact_copy(const void *bytes, size_t n)
{
	uint8_t *copy = malloc(n > 0 ? n : 1);

	if (copy == NULL)
		abort();
	if (n > 0)
		memcpy(copy, bytes, n);
	if (n == 0)
	{
		free(copy);
		copy = NULL;
	}
	return copy;
}

/* The payload of the one message that buf consists of; fails the test when it is not exactly one of that
 * type. */
static inline Slice
only_payload(const Buf *buf, uint8_t type)
{
	WireHeader header = {0, 0};
	WireStatus status = wire_read_header(buf_ptr(buf), buf_len(buf), &header);
	bool whole =
		status == WIRE_OK && header.type == type && header.payload_len + WIRE_HEADER_SIZE == buf_len(buf);

	ok(whole, "one whole message with the right letter and length");
	return whole ? slice_make(buf_ptr(buf) + WIRE_HEADER_SIZE, header.payload_len) : (Slice){NULL, 0};
}

/* Reads one kind of payload; true when it is well-formed. */
typedef bool (*PayloadReader)(Slice payload);

/* Every proper prefix of the payload must be refused, and so must the payload with one byte more. */
static inline bool
refuses_all_other_lengths(Slice payload, PayloadReader read)
{
	bool refused = true;

	for (size_t n = 0; n <= payload.len + 1; n++)
	{
		uint8_t *copy;
		bool accepted;

		if (n == payload.len + 1)
		{
			copy = malloc(n);
			if (copy == NULL)
				abort();
			memcpy(copy, payload.ptr, payload.len);
			copy[payload.len] = 'x';
		}
		else
			copy = exact_copy(payload.ptr, n);
		accepted = read(slice_make(copy, n));
		free(copy);
		if (accepted != (n == payload.len))
		{
			printf("# %zu of %zu bytes: %s\n", n, payload.len, accepted ? "accepted" : "refused");
			refused = false;
		}
	}
	return refused;
}

#endif
