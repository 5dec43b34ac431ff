/*
 * text.h: short texts put together piece by piece, where printf would cost more than all else: names of connections, heads of log lines.
 *
 *   char name[80], *end = name + sizeof(name), *at = name;
 *   at = text_put(at, end, "port ");
 *   at = text_put_number(at, end, 5432);      // "port 5432"
 *
 * What does not fit is cut off; there is always a NUL at `at`.  `at` < `end` to begin with.
 */
#ifndef PGWEIR_BASE_TEXT_H
#define PGWEIR_BASE_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline char *
text_put_bytes(char *at, const char *end, const char *bytes, size_t len)
{
	size_t room = (size_t) (end - at) - 1;

	if (len > room)
		len = room;
	memcpy(at, bytes, len);
	at[len] = '\0';
	return at + len;
}

static inline char *
text_put(char *at, const char *end, const char *text)
{
	return text_put_bytes(at, end, text, strlen(text));
}

/* In base 10 or 16. */
static inline char *
text_put_base(char *at, const char *end, uint64_t number, unsigned base)
{
	char digits[20];
	size_t n = sizeof(digits);

	do
		digits[--n] = "0123456789abcdef"[number % base];
	while ((number /= base) > 0);
	return text_put_bytes(at, end, digits + n, sizeof(digits) - n);
}

static inline char *
text_put_number(char *at, const char *end, uint64_t number)
{
	return text_put_base(at, end, number, 10);
}

/* As %p. */
static inline char *
text_put_pointer(char *at, const char *end, const void *pointer)
{
	return text_put_base(text_put(at, end, "0x"), end, (uint64_t) (uintptr_t) pointer, 16);
}

#endif
