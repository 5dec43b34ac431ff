/*
 * base64.c: see base64.h.
 */
#include "wire/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t
base64_encode(const void *bytes, size_t n, char *out)
{
	const uint8_t *p = bytes;
	char *o = out;

	for (; n >= 3; n -= 3, p += 3)
	{
		uint32_t group = (uint32_t) p[0] << 16 | (uint32_t) p[1] << 8 | p[2];

		*o++ = alphabet[group >> 18];
		*o++ = alphabet[group >> 12 & 63];
		*o++ = alphabet[group >> 6 & 63];
		*o++ = alphabet[group & 63];
	}
	if (n > 0)
	{
		uint32_t group = (uint32_t) p[0] << 16 | (n > 1 ? (uint32_t) p[1] << 8 : 0);

		*o++ = alphabet[group >> 18];
		*o++ = alphabet[group >> 12 & 63];
		*o++ = n > 1 ? alphabet[group >> 6 & 63] : '=';
		*o++ = '=';
	}
	return (size_t) (o - out);
}

#define NONE 255

/* The six bits of a character from '+' to 'z', or NONE. */
static const uint8_t digits['z' - '+' + 1] = {
	62, NONE, NONE, NONE, 63, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, NONE, NONE, NONE, NONE, NONE, NONE, NONE, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
	10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, NONE, NONE, NONE, NONE, NONE, NONE, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35,
	36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51};

static inline uint32_t
digit(uint8_t c)
{
	return c >= '+' && c <= 'z' ? digits[c - '+'] : NONE;
}

/* Four characters; false when one is none of the alphabet. */
static inline bool
decode_group(const uint8_t *text, uint32_t *group)
{
	uint32_t a = digit(text[0]), b = digit(text[1]), c = digit(text[2]), d = digit(text[3]);

	*group = a << 18 | b << 12 | c << 6 | d;
	return ((a | b | c | d) & 0x80) == 0;
}

bool
base64_decode(Slice text, uint8_t *out, size_t out_size, size_t *out_len)
{
	size_t padding = 0;
	size_t n = 0;

	if (text.len % 4 != 0)
		return false;
	while (padding < 2 && text.len > padding && text.ptr[text.len - 1 - padding] == '=')
		padding++;
	if (text.len / 4 * 3 - padding > out_size)
		return false;
	for (size_t i = 0; i < text.len; i += 4)
	{
		size_t missing = i + 4 == text.len ? padding : 0;
		uint8_t four[4] = {text.ptr[i], text.ptr[i + 1], missing == 2 ? 'A' : text.ptr[i + 2], missing > 0 ? 'A' : text.ptr[i + 3]};
		uint32_t group;

		if (!decode_group(four, &group))
			return false;
		if ((missing == 1 && (group & 0xFF) != 0) || (missing == 2 && (group & 0xFFFF) != 0))
			return false;
		for (size_t k = 0; k < 3 - missing; k++)
			out[n++] = (uint8_t) (group >> (16 - 8 * k));
	}
	*out_len = n;
	return true;
}
