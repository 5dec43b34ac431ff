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

/* The six bits of a character, or -1. */
static int
digit(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
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
		uint32_t group = 0;

		for (size_t k = 0; k < 4; k++)
		{
			int bits = k < 4 - missing ? digit(text.ptr[i + k]) : 0;

			if (bits < 0)
				return false;
			group = group << 6 | (uint32_t) bits;
		}
		if ((missing == 1 && (group & 0xFF) != 0) || (missing == 2 && (group & 0xFFFF) != 0))
			return false;
		for (size_t k = 0; k < 3 - missing; k++)
			out[n++] = (uint8_t) (group >> (16 - 8 * k));
	}
	*out_len = n;
	return true;
}
