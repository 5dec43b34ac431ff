/*
 * sqllex.c: SQL text as tokens.
 */
#include "wire/sqllex.h"

enum
{
	IDENT_START = 1, /* may begin a word */
	IDENT = 2,       /* may go on in one */
	DIGIT = 4,
	SPACE = 8
};

/* What a byte may be part of; bytes above 127 are letters.  A table, since every byte of every statement is looked up. */
static const uint8_t char_class[256] = {
	['a' ... 'z'] = IDENT_START | IDENT,
	['A' ... 'Z'] = IDENT_START | IDENT,
	['_'] = IDENT_START | IDENT,
	[0x80 ... 0xff] = IDENT_START | IDENT,
	['0' ... '9'] = DIGIT | IDENT,
	['$'] = IDENT,
	[' '] = SPACE,
	['\t' ... '\r'] = SPACE,
};

static bool
is_ident_start(uint8_t c)
{
	return (char_class[c] & IDENT_START) != 0;
}

static bool
is_ident(uint8_t c)
{
	return (char_class[c] & IDENT) != 0;
}

static bool
is_digit(uint8_t c)
{
	return (char_class[c] & DIGIT) != 0;
}

void
sql_lexer_init(SqlLexer *lexer, Slice sql)
{
	static const uint8_t nothing[1];

	lexer->at = sql.len > 0 ? sql.ptr : nothing;
	lexer->end = lexer->at + sql.len;
	lexer->text = slice_make(lexer->at, 0);
	lexer->last_comment = (Slice){NULL, 0};
}

const uint8_t *
sql_skip_block_comment(const uint8_t *at, const uint8_t *end)
{
	size_t depth = 1;

	at += 2;
	while (at < end)
	{
		if (sql_at(at, end, '*', '/'))
		{
			at += 2;
			if (--depth == 0)
				return at;
		}
		else if (sql_at(at, end, '/', '*'))
		{
			at += 2;
			depth++;
		}
		else
			at++;
	}
	return end;
}

const uint8_t *
sql_skip_line_comment(const uint8_t *at, const uint8_t *end)
{
	while (at < end && *at != '\n' && *at != '\r')
		at++;
	return at;
}

static void
skip_blanks(SqlLexer *lexer)
{
	for (;;)
	{
		const uint8_t *at = lexer->at;

		while (at < lexer->end && (char_class[*at] & SPACE) != 0)
			at++;
		lexer->at = at;
		if (at == lexer->end || (*at != '/' && *at != '-'))
			return;
		if (sql_at(at, lexer->end, '/', '*'))
		{
			lexer->at = sql_skip_block_comment(at, lexer->end);
			lexer->last_comment = slice_make(at, (size_t) (lexer->at - at));
		}
		else if (sql_at(at, lexer->end, '-', '-'))
			lexer->at = sql_skip_line_comment(at, lexer->end);
		else
			return;
	}
}

/* Behind the closing quote of what opened before `at`; a doubled quote is one of its characters. */
static const uint8_t *
skip_quoted(const uint8_t *at, const uint8_t *end, uint8_t quote, bool backslashes)
{
	while (at < end)
	{
		if (backslashes && *at == '\\' && end - at >= 2)
			at += 2;
		else if (*at++ != quote)
			continue;
		else if (at < end && *at == quote)
			at++;
		else
			return at;
	}
	return end;
}

/* The tag of a dollar quote that begins at `at`, both dollars included; 0 when none does. */
static size_t
dollar_tag_len(const uint8_t *at, const uint8_t *end)
{
	const uint8_t *p = at + 1;

	if (p < end && is_ident_start(*p))
		while (p < end && *p != '$' && is_ident(*p))
			p++;
	return p < end && *p == '$' ? (size_t) (p + 1 - at) : 0;
}

/* Behind a dollar-quoted string whose tag begins at `at`. */
static const uint8_t *
skip_dollar_quoted(const uint8_t *at, const uint8_t *end, size_t tag_len)
{
	const uint8_t *p = at + tag_len;

	while ((size_t) (end - p) >= tag_len)
	{
		p = memchr(p, '$', (size_t) (end - p) - tag_len + 1);
		if (p == NULL)
			return end;
		if (memcmp(p, at, tag_len) == 0)
			return p + tag_len;
		p++;
	}
	return end;
}

/* Behind a number: digits, letters (hexadecimal, exponent), points, and a sign after an exponent's letter. */
static const uint8_t *
skip_number(const uint8_t *at, const uint8_t *end)
{
	bool hex = end - at >= 2 && at[0] == '0' && (at[1] | 32) == 'x';

	while (at < end && is_digit(*at))
		at++;
	while (at < end)
	{
		if ((*at | 32) == 'e' && !hex && end - at >= 3 && (at[1] == '+' || at[1] == '-') && is_digit(at[2]))
			at += 2;
		else if (*at == '$' || (!is_ident(*at) && *at != '.'))
			break;
		at++;
	}
	return at;
}

/* A literal that begins in a letter (E'', B'', X'', N'', U&''), or NULL when at is no such prefix; there are two bytes. */
static const uint8_t *
skip_prefixed_string(const uint8_t *at, const uint8_t *end)
{
	uint8_t prefix = *at | 32;

	if (at[1] == '\'' && (prefix == 'e' || prefix == 'b' || prefix == 'x' || prefix == 'n'))
		return skip_quoted(at + 2, end, '\'', prefix == 'e');
	if (end - at >= 3 && prefix == 'u' && at[1] == '&' && at[2] == '\'')
		return skip_quoted(at + 3, end, '\'', false);
	return NULL;
}

static SqlToken
take(SqlLexer *lexer, SqlToken token, const uint8_t *behind)
{
	lexer->text = slice_make(lexer->at, (size_t) (behind - lexer->at));
	lexer->at = behind;
	return token;
}

/* A quoted identifier whose quote is at `quote` (behind U& or not). */
static SqlToken
take_identifier(SqlLexer *lexer, const uint8_t *quote)
{
	const uint8_t *behind = skip_quoted(quote + 1, lexer->end, '"', false);
	bool closed = behind - quote >= 2 && behind[-1] == '"';

	lexer->at = behind;
	lexer->text = slice_make(quote + 1, (size_t) (behind - quote) - 1 - (closed ? 1 : 0));
	return SQL_TOKEN_IDENTIFIER;
}

static SqlToken
take_word(SqlLexer *lexer)
{
	const uint8_t *at = lexer->at;
	const uint8_t *end = lexer->end;
	const uint8_t *behind = at + 1;

	while (behind < end && is_ident(*behind))
		behind++;
	if (behind == at + 1 && behind < end && (*behind == '\'' || *behind == '&'))
	{
		const uint8_t *string_end = skip_prefixed_string(at, end);

		if (string_end != NULL)
			return take(lexer, SQL_TOKEN_LITERAL, string_end);
		if (end - at >= 3 && (*at | 32) == 'u' && at[1] == '&' && at[2] == '"')
			return take_identifier(lexer, at + 2);
	}
	return take(lexer, SQL_TOKEN_WORD, behind);
}

static SqlToken
take_dollar(SqlLexer *lexer)
{
	const uint8_t *at = lexer->at;
	const uint8_t *behind = at + 1;
	size_t tag_len = dollar_tag_len(at, lexer->end);

	if (tag_len > 0)
		return take(lexer, SQL_TOKEN_LITERAL, skip_dollar_quoted(at, lexer->end, tag_len));
	while (behind < lexer->end && is_digit(*behind))
		behind++;
	return take(lexer, behind - at > 1 ? SQL_TOKEN_LITERAL : SQL_TOKEN_CHAR, behind);
}

SqlToken
sql_lexer_next(SqlLexer *lexer)
{
	const uint8_t *at;
	const uint8_t *end = lexer->end;

	skip_blanks(lexer);
	at = lexer->at;
	if (at == end)
		return take(lexer, SQL_TOKEN_END, at);
	if (is_ident_start(*at))
		return take_word(lexer);
	if (is_digit(*at) || (*at == '.' && end - at >= 2 && is_digit(at[1])))
		return take(lexer, SQL_TOKEN_LITERAL, skip_number(at, end));
	switch (*at)
	{
		case '\'': return take(lexer, SQL_TOKEN_LITERAL, skip_quoted(at + 1, end, '\'', false));
		case '"': return take_identifier(lexer, at);
		case '$': return take_dollar(lexer);
		case ':':
			if (sql_at(at, end, ':', ':'))
				return take(lexer, SQL_TOKEN_CAST, at + 2);
			return take(lexer, SQL_TOKEN_CHAR, at + 1);
		default: return take(lexer, SQL_TOKEN_CHAR, at + 1);
	}
}
