/*
 * base64.h: the standard alphabet, with padding and without line breaks.  Strict: what does not encode back
 * to itself is refused.
 */
#ifndef PGWEIR_WIRE_BASE64_H
#define PGWEIR_WIRE_BASE64_H

#include "base/slice.h"

#define BASE64_SIZE(n) (((size_t) (n) + 2) / 3 * 4)

/* Encode n bytes into BASE64_SIZE(n) characters, without a NUL; the result is that number.  The caller has
 * the room. */
extern size_t base64_encode(const void *bytes, size_t n, char *out);
/* Decode; false when text is not base64 or does not fit. */
extern bool base64_decode(Slice text, uint8_t *out, size_t out_size, size_t *out_len);

#endif
