/*
 * sqllex.h: SQL text as tokens, for the scanners of sqlscan.h only.
 *
 * Whitespace and comments are skipped between tokens; the last block comment skipped is remembered.  Whatever
 * the server's lexer would refuse (an unterminated string) becomes one token up to the end: nothing here
 * fails.
 */
#ifndef PGWEIR_WIRE_SQLLEX_H
#define PGWEIR_WIRE_SQLLEX_H

#include "base/slice.h"

typedef enum SqlToken
{
	SQL_TOKEN_END,
	SQL_TOKEN_WORD,       /* keyword or unquoted identifier */
	SQL_TOKEN_IDENTIFIER, /* quoted; `text` is what is between the quotes */
	SQL_TOKEN_LITERAL,    /* number, string of any kind, or parameter */
	SQL_TOKEN_CAST,       /* :: */
	SQL_TOKEN_CHAR        /* any other single character, `text` has it */
} SqlToken;

typedef struct SqlLexer
{
	const uint8_t *at; /* borrowed: the text */
	const uint8_t *end;
	Slice text;         /* of the token last returned */
	Slice last_comment; /* with its delimiters; ptr == NULL: none so far */
} SqlLexer;

extern void sql_lexer_init(SqlLexer *lexer, Slice sql);
extern SqlToken sql_lexer_next(SqlLexer *lexer);

/* Where a block comment that begins at `at` ends; end when it is not terminated. */
extern const uint8_t *sql_skip_block_comment(const uint8_t *at, const uint8_t *end);
/* Likewise a -- comment: its newline, or end. */
extern const uint8_t *sql_skip_line_comment(const uint8_t *at, const uint8_t *end);

static inline bool
sql_is_space(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Do the two bytes at `at` exist, and are they these? */
static inline bool
sql_at(const uint8_t *at, const uint8_t *end, char first, char second)
{
	return end - at >= 2 && at[0] == (uint8_t) first && at[1] == (uint8_t) second;
}

/* Is this word (of any case) the given lower-case one? */
static inline bool
sql_word_is(Slice word, const char *lower)
{
	for (size_t i = 0; i < word.len; i++)
	{
		uint8_t c = word.ptr[i];

		if (c >= 'A' && c <= 'Z')
			c |= 32;
		if (c != (uint8_t) lower[i]) /* also where lower ends: c is not 0 in a word */
			return false;
	}
	return lower[word.len] == '\0';
}

#endif
