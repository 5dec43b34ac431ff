/*
 * sqltext.c: a statement's text as it may be shown: without its literals and comments.
 */
#include "wire/sqlscan.h"
#include "wire/sqllex.h"

typedef struct Outline
{
	char *out;
	size_t size; /* without the NUL */
	size_t len;
	bool full;
} Outline;

/* Nothing is cut in the middle. */
static void
add(Outline *outline, const void *bytes, size_t len)
{
	if (outline->full || len > outline->size - outline->len)
	{
		outline->full = true;
		return;
	}
	memcpy(outline->out + outline->len, bytes, len);
	outline->len += len;
}

static void
add_identifier(Outline *outline, Slice text)
{
	if (outline->size - outline->len < text.len + 2)
		outline->full = true;
	add(outline, "\"", 1);
	add(outline, text.ptr, text.len);
	add(outline, "\"", 1);
}

/* Did whitespace or a comment follow on what ended here? */
static bool
is_gap(const uint8_t *at, const uint8_t *end)
{
	return at < end && (sql_is_space(*at) || sql_at(at, end, '/', '*') || sql_at(at, end, '-', '-'));
}

size_t
sql_outline(Slice sql, char *out, size_t size)
{
	Outline outline = {.out = out, .size = size - 1};
	SqlLexer lexer;
	SqlToken token;
	const uint8_t *end_before;

	sql_lexer_init(&lexer, sql);
	for (end_before = lexer.at; !outline.full && (token = sql_lexer_next(&lexer)) != SQL_TOKEN_END; end_before = lexer.at)
	{
		if (outline.len > 0 && is_gap(end_before, lexer.end))
			add(&outline, " ", 1);
		switch (token)
		{
			case SQL_TOKEN_END: break;
			case SQL_TOKEN_LITERAL: add(&outline, "?", 1); break;
			case SQL_TOKEN_IDENTIFIER: add_identifier(&outline, lexer.text); break;
			case SQL_TOKEN_CAST: add(&outline, "::", 2); break;
			case SQL_TOKEN_WORD:
			case SQL_TOKEN_CHAR: add(&outline, lexer.text.ptr, lexer.text.len); break;
		}
	}
	out[outline.len] = '\0';
	return outline.len;
}
