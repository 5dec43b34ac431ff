/*
 * sqlshape.c: a text without its plain literals, as one number.
 *
 * A number, or a '...' without a backslash, is left out; everything else counts byte by byte.  From the first place on where it takes the
 * lexer to tell what is a literal (a comment, a quoted identifier, a dollar quote, a backslash), the text counts as it is.  So the tokens
 * that the lexer finds, but for what is inside of literals, follow from the shape.
 */
#include "wire/sqlscan.h"

#include <endian.h>

#include "base/map.h"

enum
{
	IDENT = 1, /* may be part of a word */
	DIGIT = 2,
	STOP = 4 /* must be looked at */
};

static const uint8_t char_class[256] = {
	['a' ... 'z'] = IDENT, ['A' ... 'Z'] = IDENT, ['_'] = IDENT, [0x80 ... 0xff] = IDENT, ['0' ... '9'] = IDENT | DIGIT | STOP,
	['$'] = IDENT | STOP,  ['\''] = STOP,		  ['"'] = STOP,	 ['\\'] = STOP,			  ['-'] = STOP,
	['/'] = STOP,
};

/* So many bytes are looked at together, by whatever the processor has for that. */
#define TOGETHER 16
typedef uint8_t Bytes __attribute__((vector_size(TOGETHER)));

/* The first STOP from `at` on, or end. */
static inline const uint8_t *
next_stop(const uint8_t *at, const uint8_t *end)
{
	while (end - at >= TOGETHER)
	{
		Bytes bytes;
		Bytes found; /* 0xff for each STOP */
		uint64_t half[2];

		memcpy(&bytes, at, TOGETHER);
		found = (Bytes) (bytes - '/' <= '9' - '/') | (Bytes) (bytes == '-') | (Bytes) (bytes == '\'') | (Bytes) (bytes == '"') |
				(Bytes) (bytes == '$') | (Bytes) (bytes == '\\');
		memcpy(half, &found, TOGETHER);
		if (half[0] != 0)
			return at + __builtin_ctzll(le64toh(half[0])) / 8;
		if (half[1] != 0)
			return at + TOGETHER / 2 + __builtin_ctzll(le64toh(half[1])) / 8;
		at += TOGETHER;
	}
	while (at < end && (char_class[*at] & STOP) == 0)
		at++;
	return at;
}

#define NUMBER_LEFT_OUT UINT64_C(0x8ebc6af09c88c6e3)
#define STRING_LEFT_OUT UINT64_C(0x589965cc75374cc3)

/* Behind a number that begins at `at`; `at` itself when the digits belong to a word, or letters to the number. */
static const uint8_t *
behind_number(const uint8_t *begin, const uint8_t *at, const uint8_t *end)
{
	const uint8_t *behind = at + 1;

	if (at > begin && (char_class[at[-1]] & IDENT) != 0)
		return at;
	while (behind < end && (char_class[*behind] & DIGIT) != 0)
		behind++;
	return behind < end && (char_class[*behind] & IDENT) != 0 ? at : behind;
}

/* Behind the string that begins at `at`; NULL when it has a backslash or no end. */
static const uint8_t *
behind_string(const uint8_t *at, const uint8_t *end)
{
	for (at++; at < end && *at != '\\'; at++)
		if (*at == '\'')
			return at + 1;
	return NULL;
}

/* The same for what begins at a STOP: NULL where shapes end, `at` when it is no literal. */
static const uint8_t *
behind_literal(const uint8_t *begin, const uint8_t *at, const uint8_t *end)
{
	uint8_t next = end - at >= 2 ? at[1] : 0;

	switch (*at)
	{
		case '\'': return behind_string(at, end);
		case '-': return next == '-' ? NULL : at;
		case '/': return next == '*' ? NULL : at;
		case '$': return (char_class[next] & DIGIT) != 0 ? at : NULL;
		case '"':
		case '\\': return NULL;
		default: return behind_number(begin, at, end);
	}
}

uint64_t
sql_shape(Slice sql, uint64_t seed)
{
	const uint8_t *end = sql.ptr + sql.len;
	const uint8_t *from = sql.ptr;
	uint64_t h = seed;

	for (const uint8_t *at = from; at < end;)
	{
		const uint8_t *behind;

		at = next_stop(at, end);
		if (at == end || (behind = behind_literal(sql.ptr, at, end)) == NULL)
			break;
		if (behind == at)
		{
			at++;
			continue;
		}
		h = hash_bytes(h, from, (size_t) (at - from)) ^ (*at == '\'' ? STRING_LEFT_OUT : NUMBER_LEFT_OUT);
		from = at = behind;
	}
	return hash_bytes(h, from, (size_t) (end - from));
}
