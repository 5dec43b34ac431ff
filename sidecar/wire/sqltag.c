/*
 * sqltag.c: tags in comments, and the durations they carry.
 */
#include "wire/sqlscan.h"
#include "wire/sqllex.h"

/* ---- one comment ---- */

typedef struct TagScan
{
	const uint8_t *at;
	const uint8_t *end;
} TagScan;

static bool
is_separator(uint8_t c)
{
	return sql_is_space(c) || c == ',' || c == '=' || c == ':' || c == '\'';
}

static void
skip_spaces(TagScan *scan)
{
	while (scan->at < scan->end && sql_is_space(*scan->at))
		scan->at++;
}

/* A run of characters that are no separators; empty when a separator is next. */
static Slice
take_run(TagScan *scan)
{
	const uint8_t *begin = scan->at;

	while (scan->at < scan->end && !is_separator(*scan->at))
		scan->at++;
	return slice_make(begin, (size_t) (scan->at - begin));
}

/* Up to the next quote that no backslash protects; the quote is taken too. */
static Slice
take_quoted_value(TagScan *scan)
{
	const uint8_t *begin = ++scan->at;
	Slice value;

	while (scan->at < scan->end && *scan->at != '\'')
		scan->at += *scan->at == '\\' && scan->end - scan->at >= 2 ? 2 : 1;
	value = slice_make(begin, (size_t) (scan->at - begin));
	if (scan->at < scan->end)
		scan->at++;
	return value;
}

static Slice
take_plain_value(TagScan *scan)
{
	const uint8_t *begin = scan->at;

	while (scan->at < scan->end && *scan->at != ',' && !sql_is_space(*scan->at))
		scan->at++;
	return slice_make(begin, (size_t) (scan->at - begin));
}

/* The last value of key in a comment (with its delimiters). */
static bool
find_in_comment(Slice comment, Slice key, Slice *value)
{
	TagScan scan = {.at = comment.ptr + 2, .end = comment.ptr + comment.len - 2};
	bool found = false;

	while (scan.at < scan.end)
	{
		Slice name = take_run(&scan);
		Slice given;

		skip_spaces(&scan);
		if (scan.at == scan.end)
			break;
		if (name.len == 0 || (*scan.at != '=' && *scan.at != ':'))
		{
			if (name.len == 0 && is_separator(*scan.at))
				scan.at++;
			continue;
		}
		scan.at++;
		skip_spaces(&scan);
		given = scan.at < scan.end && *scan.at == '\'' ? take_quoted_value(&scan) : take_plain_value(&scan);
		if (slice_equal(name, key))
		{
			*value = given;
			found = true;
		}
	}
	return found;
}

/* ---- the two comments of a statement ---- */

/* Behind whitespace and -- lines. */
static const uint8_t *
skip_lead(const uint8_t *at, const uint8_t *end)
{
	for (;;)
	{
		while (at < end && sql_is_space(*at))
			at++;
		if (!sql_at(at, end, '-', '-'))
			return at;
		at = sql_skip_line_comment(at, end);
	}
}

/* Where the text ends when whitespace and semicolons at its end do not count. */
static const uint8_t *
trim_tail(const uint8_t *at, const uint8_t *end)
{
	while (end > at && (sql_is_space(end[-1]) || end[-1] == ';'))
		end--;
	return end;
}

static bool
is_terminated(Slice comment)
{
	return comment.len >= 4 && comment.ptr[comment.len - 2] == '*' && comment.ptr[comment.len - 1] == '/';
}

/*
 * Find the comment that ends at `end`, where a comment's closing delimiter has been seen.  It may stand
 * inside something else, so the text is read as tokens.
 */
static bool
find_last_comment(Slice text, Slice *comment)
{
	SqlLexer lexer;

	sql_lexer_init(&lexer, text);
	while (sql_lexer_next(&lexer) != SQL_TOKEN_END)
		;
	*comment = lexer.last_comment;
	return comment->ptr != NULL && comment->ptr + comment->len == text.ptr + text.len &&
		   is_terminated(*comment);
}

/* Do these bytes occur in the text? */
static bool
contains(Slice text, Slice what)
{
	const uint8_t *at = text.ptr;
	const uint8_t *end = text.ptr + text.len;

	while (what.len > 0 && (size_t) (end - at) >= what.len)
	{
		at = memchr(at, what.ptr[0], (size_t) (end - at) - what.len + 1);
		if (at == NULL)
			return false;
		if (memcmp(at, what.ptr, what.len) == 0)
			return true;
		at++;
	}
	return false;
}

bool
sql_find_tag(Slice sql, const char *key, Slice *value)
{
	const Slice name = slice_str(key);
	const uint8_t *at = sql.ptr;
	const uint8_t *end;
	bool found = false;

	if (sql.len < 4)
		return false;
	at = skip_lead(at, sql.ptr + sql.len);
	end = trim_tail(at, sql.ptr + sql.len);
	if (sql_at(at, end, '/', '*'))
	{
		const uint8_t *behind = sql_skip_block_comment(at, end);
		Slice comment = slice_make(at, (size_t) (behind - at));

		found = is_terminated(comment) && find_in_comment(comment, name, value);
		at = behind;
	}
	if (end - at >= 4 && end[-2] == '*' && end[-1] == '/')
	{
		Slice rest = slice_make(at, (size_t) (end - at));
		Slice comment, last;

		if (contains(rest, name) && find_last_comment(rest, &comment) &&
			find_in_comment(comment, name, &last))
		{
			*value = last;
			found = true;
		}
	}
	return found;
}

/* ---- values ---- */

static int
hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 32;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One character of an encoded value, which is taken; *at < end. */
static uint8_t
take_decoded(const uint8_t **at, const uint8_t *end)
{
	const uint8_t *p = *at;

	if (*p == '%' && end - p >= 3 && hex_digit(p[1]) >= 0 && hex_digit(p[2]) >= 0)
	{
		*at = p + 3;
		return (uint8_t) (hex_digit(p[1]) << 4 | hex_digit(p[2]));
	}
	if (*p == '\\' && end - p >= 2)
		p++;
	*at = p + 1;
	return *p;
}

bool
sql_decode_tag(Slice value, char *out, size_t out_size, size_t *out_len)
{
	const uint8_t *at = value.ptr;
	const uint8_t *end = value.len > 0 ? value.ptr + value.len : value.ptr;
	size_t n = 0;

	while (at < end)
	{
		uint8_t c = take_decoded(&at, end);

		if (c == 0 || out_size - n < 2)
			return false;
		out[n++] = (char) c;
	}
	if (out_size == 0)
		return false;
	out[n] = '\0';
	*out_len = n;
	return true;
}

/* ---- durations ---- */

static const struct
{
	const char *name;
	int64_t us;
} units[] = {
	{"us", 1},
	{"ms", 1000},
	{"s", 1000000},
	{"min", INT64_C(60) * 1000000},
	{"h", INT64_C(3600) * 1000000},
	{"d", INT64_C(86400) * 1000000},
};

static Slice
trim(Slice s)
{
	while (s.len > 0 && sql_is_space(s.ptr[0]))
		s = slice_make(s.ptr + 1, s.len - 1);
	while (s.len > 0 && sql_is_space(s.ptr[s.len - 1]))
		s.len--;
	return s;
}

static bool
find_unit(Slice name, int64_t plain_unit_us, int64_t *us)
{
	if (name.len == 0)
	{
		*us = plain_unit_us;
		return plain_unit_us > 0;
	}
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
	{
		if (slice_is(name, units[i].name))
		{
			*us = units[i].us;
			return true;
		}
	}
	return false;
}

/* Take the decimal digits off the front. */
static Slice
take_digits(Slice *s)
{
	Slice digits = {s->ptr, 0};

	while (digits.len < s->len && s->ptr[digits.len] >= '0' && s->ptr[digits.len] <= '9')
		digits.len++;
	if (digits.len > 0)
		*s = slice_make(s->ptr + digits.len, s->len - digits.len);
	return digits;
}

static bool
whole_part(Slice digits, int64_t unit_us, int64_t *us)
{
	int64_t n = 0;

	for (size_t i = 0; i < digits.len; i++)
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, digits.ptr[i] - '0', &n))
			return false;
	return !__builtin_mul_overflow(n, unit_us, us);
}

/* What the digits behind the point add: less than one unit.  Digits beyond the ninth are too small to matter.
 */
static int64_t
fraction_part(Slice digits, int64_t unit_us)
{
	__extension__ unsigned __int128 product;
	int64_t n = 0;
	int64_t scale = 1;

	for (size_t i = 0; i < digits.len && i < 9; i++)
	{
		n = n * 10 + (digits.ptr[i] - '0');
		scale *= 10;
	}
	product = (unsigned int) n;
	product *= (uint64_t) unit_us;
	return (int64_t) (product / (uint64_t) scale);
}

bool
wire_parse_duration(Slice text, int64_t plain_unit_us, int64_t *us)
{
	Slice rest = trim(text);
	Slice whole = take_digits(&rest);
	Slice fraction = {NULL, 0};
	int64_t unit_us, total;

	if (rest.len > 0 && rest.ptr[0] == '.')
	{
		rest = slice_make(rest.ptr + 1, rest.len - 1);
		fraction = take_digits(&rest);
	}
	if (whole.len == 0 && fraction.len == 0)
		return false;
	if (!find_unit(trim(rest), plain_unit_us, &unit_us) || !whole_part(whole, unit_us, &total))
		return false;
	return !__builtin_add_overflow(total, fraction_part(fraction, unit_us), us);
}
