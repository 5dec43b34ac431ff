/*
 * sqlmask.c: a statement's text as one may show it: without the values in it.
 */
#include "wire/sqlscan.h"
#include "wire/sqllex.h"

typedef struct Mask
{
	char *out;
	size_t len, size; /* without and with room for the NUL */
	bool full;
} Mask;

static void
put(Mask *mask, Slice text)
{
	if (mask->full || text.len > mask->size - 1 - mask->len)
	{
		mask->full = true;
		return;
	}
	memcpy(mask->out + mask->len, text.ptr, text.len);
	mask->len += text.len;
}

/* A value; one behind another in a list adds nothing. */
static void
put_value(Mask *mask)
{
	size_t len = mask->len;

	while (len > 0 && mask->out[len - 1] == ' ')
		len--;
	if (len > 1 && mask->out[len - 1] == ',' && mask->out[len - 2] == '?')
		mask->len = len - 1;
	else
		put(mask, slice_str("?"));
}

static void
put_token(Mask *mask, SqlToken token, Slice text)
{
	switch (token)
	{
		case SQL_TOKEN_END: break;
		case SQL_TOKEN_LITERAL: put_value(mask); break;
		case SQL_TOKEN_CAST: put(mask, slice_str("::")); break;
		case SQL_TOKEN_IDENTIFIER:
			put(mask, slice_str("\""));
			put(mask, text);
			put(mask, slice_str("\""));
			break;
		case SQL_TOKEN_WORD:
		case SQL_TOKEN_CHAR: put(mask, text); break;
	}
}

static bool
gap_at(const uint8_t *at, const uint8_t *end)
{
	return at < end && (sql_is_space(*at) || sql_at(at, end, '/', '*') || sql_at(at, end, '-', '-'));
}

size_t
sql_mask(Slice sql, char *out, size_t size)
{
	Mask mask = {.out = out, .size = size};
	SqlLexer lexer;
	bool gap = false;
	SqlToken token;

	sql_lexer_init(&lexer, sql);
	while (!mask.full && (token = sql_lexer_next(&lexer)) != SQL_TOKEN_END)
	{
		if (gap && mask.len > 0)
			put(&mask, slice_str(" "));
		put_token(&mask, token, lexer.text);
		gap = gap_at(lexer.at, lexer.end);
	}
	mask.out[mask.len] = '\0';
	return mask.len;
}
