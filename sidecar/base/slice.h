/*
 * slice.h: a borrowed run of bytes.
 *
 * A Slice never owns what it points at; it lives as long as the buffer it was cut from.  It need not end in NUL.
 */
#ifndef PGWEIR_BASE_SLICE_H
#define PGWEIR_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct Slice
{
	const uint8_t *ptr;
	size_t len;
} Slice;

#define SLICE_LITERAL(s) ((Slice){(const uint8_t *) (s), sizeof(s) - 1})

static inline Slice
slice_make(const void *ptr, size_t len)
{
	return (Slice){(const uint8_t *) ptr, len};
}

static inline Slice
slice_str(const char *s)
{
	return (Slice){(const uint8_t *) s, s != NULL ? strlen(s) : 0};
}

static inline bool
slice_equal(Slice a, Slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool
slice_is(Slice a, const char *s)
{
	return slice_equal(a, slice_str(s));
}

#endif
