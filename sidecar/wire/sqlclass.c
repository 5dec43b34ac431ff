/*
 * sqlclass.c: the class of a statement, and its verb.
 *
 * The fingerprint reads tokens once.  Brackets nest, so there is a small stack of frames, one an open
 * bracket; a closed bracket becomes one token of the frame below.  A literal, or a bracket that contains
 * nothing but literals, is an "atom":
 *
 *     IN (1, 2, 3)            atoms 1, 2, 3 are equal, so the second and third are dropped with their commas:
 * IN (?) VALUES (1, 'a'), (2, 'b')   brackets (?) and (?) are equal atoms: VALUES (?)
 *
 * An atom is not hashed before the token behind it is known: a cast belongs to it, and an operator means that
 * it is part of an expression and must stay.
 */
#include "wire/sqlscan.h"
#include "wire/sqllex.h"

#include <endian.h>

#define FRAMES_MAX 32 /* brackets nested deeper than this are hashed without dropping repetitions */
#define ATOM_LITERAL UINT64_C(0x51ed270b27d4eb4f)

typedef struct Frame
{
	uint64_t hash;
	uint64_t atom;      /* under construction, 0 = none */
	uint64_t last_atom; /* the token just hashed, when it was an atom, else 0 */
	bool comma;         /* one is due between last_atom and atom */
	bool casting;       /* a cast was seen: the next word is a type and belongs to atom */
	bool typed;         /* a type's word was seen: the type may go on */
	bool constant;      /* nothing but atoms, commas and casts so far */
	bool empty;
	uint8_t bracket; /* that opened it, 0 for the bottom */
} Frame;

typedef struct Fingerprint
{
	Frame frames[FRAMES_MAX];
	int depth;
	int too_deep;      /* brackets open beyond FRAMES_MAX */
	bool semicolon;    /* one is due if anything follows */
	bool after_is;     /* the token before was IS or NOT */
	uint8_t last_char; /* the token before, when a single character, else 0 */
} Fingerprint;

static uint64_t
mix(uint64_t h, uint64_t v)
{
	h = (h << 23 | h >> 41) ^ v;
	return h * UINT64_C(0x9e3779b97f4a7c15);
}

/* Eight bytes at once: A to Z in lower case, everything else as it is. */
static inline uint64_t
lower_case(uint64_t bytes)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	uint64_t low = bytes & (0x7f * ones);
	uint64_t from_a = low + (0x80 - 'A') * ones;
	uint64_t above_z = low + (0x7f - 'Z') * ones;

	return bytes | ((from_a & ~above_z & ~bytes & (0x80 * ones)) >> 2);
}

/* Up to eight bytes as a number, the same on every machine; two words of one length are equal when these are. */
static inline uint64_t
load_short(const void *word, size_t len)
{
	const uint8_t *ptr = word;
	uint32_t head, tail;

	if (len >= 4)
	{
		memcpy(&head, ptr, 4);
		memcpy(&tail, ptr + len - 4, 4);
		return (uint64_t) le32toh(head) | (uint64_t) le32toh(tail) << 32;
	}
	return len == 0 ? 0 : (uint64_t) ptr[0] | (uint64_t) ptr[len / 2] << 8 | (uint64_t) ptr[len - 1] << 16;
}

/* Is the word of this length and number the given one?  Both sides are known when this is compiled. */
#define IS_WORD(number, len, lower) ((len) == sizeof(lower) - 1 && (number) == load_short(lower, sizeof(lower) - 1))

/* Hash a word, in lower case; a quoted identifier as it is.  *number tells short words apart, else it is 0. */
static inline uint64_t
hash_word(Slice word, bool fold, uint64_t *number)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325) ^ word.len;
	const uint8_t *ptr = word.ptr;
	size_t left = word.len;
	uint64_t bytes;

	for (; left > 8; left -= 8, ptr += 8)
	{
		memcpy(&bytes, ptr, 8);
		bytes = le64toh(bytes);
		h = mix(h, fold ? lower_case(bytes) : bytes);
	}
	bytes = load_short(ptr, left);
	if (fold)
		bytes = lower_case(bytes);
	*number = word.len <= 8 ? bytes : 0;
	return mix(h, bytes);
}

static void
frame_init(Frame *frame, uint8_t bracket)
{
	*frame =
		(Frame){.hash = 0x9ae16a3b2f90404f ^ bracket, .constant = true, .empty = true, .bracket = bracket};
}

/* Hash the comma that is due. */
static void
settle_comma(Frame *frame)
{
	if (frame->comma)
		frame->hash = mix(frame->hash, ',');
	frame->comma = false;
}

/* Hash the atom that is due, unless it only repeats the one before. */
static void
settle_atom(Frame *frame, bool operator_follows)
{
	if (frame->atom == 0)
		return;
	if (frame->comma && frame->atom == frame->last_atom && !operator_follows)
		frame->comma = false;
	else
	{
		settle_comma(frame);
		frame->hash = mix(frame->hash, frame->atom);
	}
	frame->last_atom = frame->atom;
	frame->atom = 0;
	frame->casting = frame->typed = false;
}

/* A token that is no atom. */
static void
add_token(Frame *frame, uint64_t v)
{
	settle_comma(frame);
	frame->hash = mix(frame->hash, v);
	frame->last_atom = 0;
	frame->constant = false;
}

static Frame *
top(Fingerprint *fp)
{
	return &fp->frames[fp->depth];
}

static void
add_literal(Fingerprint *fp)
{
	Frame *frame = top(fp);

	frame->empty = false;
	if (frame->atom == ATOM_LITERAL)
		return; /* a string continued on the next line */
	settle_atom(frame, false);
	frame->atom = ATOM_LITERAL;
}

/* Is this a later word of a type's name, as in "double precision" and "timestamp with time zone"? */
static bool
continues_type(Slice word)
{
	static const char *const words[] = {"precision", "varying", "with", "without", "time", "zone"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (sql_word_is(word, words[i]))
			return true;
	return false;
}

static void
add_word(Fingerprint *fp, Slice word, uint64_t h)
{
	Frame *frame = top(fp);

	frame->empty = false;
	if (frame->atom != 0 && (frame->casting || (frame->typed && continues_type(word))))
	{
		frame->atom = mix(frame->atom, h) | 1;
		frame->casting = false;
		frame->typed = true;
		return;
	}
	settle_atom(frame, false);
	add_token(frame, h);
}

static void
open_bracket(Fingerprint *fp, uint8_t bracket)
{
	Frame *frame = top(fp);

	frame->empty = false;
	settle_atom(frame, false);
	if (fp->depth + 1 < FRAMES_MAX)
		frame_init(&fp->frames[++fp->depth], bracket);
	else
	{
		fp->too_deep++;
		add_token(frame, bracket);
	}
}

/* The frame on top becomes a token of the one below. */
static void
close_frame(Fingerprint *fp)
{
	Frame *frame = top(fp);
	uint64_t h;

	settle_atom(frame, false);
	settle_comma(frame);
	h = mix(frame->hash, frame->bracket) | 1;
	fp->depth--;
	if (frame->constant && !frame->empty)
		top(fp)->atom = h;
	else if (frame->empty && frame->bracket == '[')
		top(fp)->hash = mix(top(fp)->hash, h); /* int[] is as constant as int */
	else
		add_token(top(fp), h);
}

static void
close_bracket(Fingerprint *fp, uint8_t bracket)
{
	Frame *frame = top(fp);

	if (fp->too_deep == 0 && fp->depth > 0)
	{
		close_frame(fp);
		return;
	}
	if (fp->too_deep > 0)
		fp->too_deep--;
	settle_atom(frame, false);
	add_token(frame, bracket);
}

static void
add_comma(Frame *frame)
{
	settle_atom(frame, false);
	if (frame->last_atom == 0)
		frame->hash = mix(frame->hash, ',');
	else
	{
		settle_comma(frame);
		frame->comma = true;
	}
}

/*
 * Is the character just read a sign that is part of a number, as in (-1, or =-1?  After a word it could be
 * that or an operator, and counts as the latter.
 */
static bool
is_sign(const Fingerprint *fp, uint8_t c, const SqlLexer *lexer)
{
	if ((c != '-' && c != '+') || fp->last_char == 0 || fp->last_char == ')' || fp->last_char == ']')
		return false;
	return lexer->at < lexer->end && (*lexer->at == '.' || (*lexer->at >= '0' && *lexer->at <= '9'));
}

static void
add_char(Fingerprint *fp, uint8_t c)
{
	switch (c)
	{
		case '(':
		case '[': open_bracket(fp, c); break;
		case ')':
		case ']': close_bracket(fp, c); break;
		case ',': add_comma(top(fp)); break;
		default:
			top(fp)->empty = false;
			settle_atom(top(fp), true);
			add_token(top(fp), c);
			break;
	}
}

static void
add_cast(Fingerprint *fp)
{
	Frame *frame = top(fp);

	if (frame->atom != 0)
	{
		frame->atom = mix(frame->atom, ':') | 1;
		frame->casting = true;
		frame->typed = false;
	}
	else
		add_token(frame, SQL_TOKEN_CAST);
}

/* Literals that are words, but for what is behind IS and NOT. */
static void
add_keyword(Fingerprint *fp, Slice word)
{
	uint64_t number;
	uint64_t h = hash_word(word, true, &number);

	if (!fp->after_is && (IS_WORD(number, word.len, "null") || IS_WORD(number, word.len, "true") || IS_WORD(number, word.len, "false")))
		add_literal(fp);
	else
		add_word(fp, word, h);
	fp->after_is = IS_WORD(number, word.len, "is") || IS_WORD(number, word.len, "not");
	fp->last_char = 0;
}

static void
add(Fingerprint *fp, SqlToken token, const SqlLexer *lexer)
{
	Slice text = lexer->text;
	uint64_t number;

	if (token == SQL_TOKEN_WORD)
	{
		add_keyword(fp, text);
		return;
	}
	if (token == SQL_TOKEN_LITERAL)
		add_literal(fp);
	else if (token == SQL_TOKEN_IDENTIFIER)
		add_word(fp, text, hash_word(text, false, &number));
	else if (token == SQL_TOKEN_CAST)
		add_cast(fp);
	else if (!is_sign(fp, text.ptr[0], lexer))
		add_char(fp, text.ptr[0]);
	fp->after_is = false;
	fp->last_char = token == SQL_TOKEN_CHAR ? text.ptr[0] : 0;
}

uint64_t
sql_fingerprint(Slice sql)
{
	Fingerprint fp;
	SqlLexer lexer;
	SqlToken token;

	fp.depth = fp.too_deep = 0;
	fp.semicolon = fp.after_is = false;
	fp.last_char = 0;
	frame_init(&fp.frames[0], 0);
	sql_lexer_init(&lexer, sql);
	while ((token = sql_lexer_next(&lexer)) != SQL_TOKEN_END)
	{
		if (token == SQL_TOKEN_CHAR && lexer.text.ptr[0] == ';')
		{
			fp.semicolon = true;
			continue;
		}
		if (fp.semicolon)
			add_char(&fp, ';');
		fp.semicolon = false;
		add(&fp, token, &lexer);
	}
	while (fp.depth > 0)
		close_frame(&fp);
	settle_atom(&fp.frames[0], false);
	settle_comma(&fp.frames[0]);
	return mix(fp.frames[0].hash, 0) | 1;
}

/* ---- verb ---- */

/* The next token when it is a word, else an empty slice. */
static Slice
next_word(SqlLexer *lexer)
{
	return sql_lexer_next(lexer) == SQL_TOKEN_WORD ? lexer->text : (Slice){NULL, 0};
}

/* COMMIT, END, ROLLBACK or ABORT: what follows decides. */
static SqlVerb
end_verb(SqlLexer *lexer, SqlVerb verb)
{
	Slice word = next_word(lexer);

	if (sql_word_is(word, "prepared"))
		return SQL_OTHER;
	if (sql_word_is(word, "work") || sql_word_is(word, "transaction"))
		word = next_word(lexer);
	if (sql_word_is(word, "to"))
		return verb == SQL_ROLLBACK ? SQL_ROLLBACK_TO : SQL_OTHER;
	if (sql_word_is(word, "and") && sql_word_is(next_word(lexer), "chain"))
		return SQL_CHAIN;
	return verb;
}

static SqlVerb
deallocate_verb(SqlLexer *lexer)
{
	Slice word = next_word(lexer);

	if (sql_word_is(word, "prepare"))
		word = next_word(lexer);
	return sql_word_is(word, "all") ? SQL_DEALLOCATE_ALL : SQL_DEALLOCATE;
}

/* The first word's verb; some need a look at the words behind it. */
static const struct
{
	const char *word;
	SqlVerb verb;
} verbs[] = {
	{"abort", SQL_ROLLBACK},
	{"begin", SQL_BEGIN},
	{"commit", SQL_COMMIT},
	{"copy", SQL_COPY},
	{"deallocate", SQL_DEALLOCATE},
	{"declare", SQL_DECLARE},
	{"discard", SQL_DISCARD},
	{"end", SQL_COMMIT},
	{"execute", SQL_EXECUTE},
	{"listen", SQL_LISTEN},
	{"lock", SQL_LOCK},
	{"prepare", SQL_PREPARE},
	{"release", SQL_RELEASE},
	{"reset", SQL_RESET},
	{"rollback", SQL_ROLLBACK},
	{"savepoint", SQL_SAVEPOINT},
	{"select", SQL_SELECT},
	{"set", SQL_SET},
	{"show", SQL_SHOW},
	{"start", SQL_BEGIN},
	{"table", SQL_SELECT},
	{"unlisten", SQL_UNLISTEN},
	{"values", SQL_SELECT},
};

static SqlVerb
verb_of_word(Slice word)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (sql_word_is(word, verbs[i].word))
			return verbs[i].verb;
	return SQL_OTHER;
}

SqlVerb
sql_verb(Slice sql)
{
	SqlLexer lexer;
	SqlToken token;
	SqlVerb verb;

	sql_lexer_init(&lexer, sql);
	do
		token = sql_lexer_next(&lexer);
	while (token == SQL_TOKEN_CHAR && lexer.text.ptr[0] == ';');
	if (token == SQL_TOKEN_END)
		return SQL_EMPTY;
	if (token == SQL_TOKEN_CHAR && lexer.text.ptr[0] == '(')
		return SQL_SELECT;
	if (token != SQL_TOKEN_WORD)
		return SQL_OTHER;

	verb = verb_of_word(lexer.text);
	if (verb == SQL_COMMIT || verb == SQL_ROLLBACK)
		return end_verb(&lexer, verb);
	if (verb == SQL_DISCARD && sql_word_is(next_word(&lexer), "all"))
		return SQL_DISCARD_ALL;
	if (verb == SQL_DEALLOCATE)
		return deallocate_verb(&lexer);
	if (verb == SQL_PREPARE && sql_word_is(next_word(&lexer), "transaction"))
		return SQL_OTHER;
	return verb;
}

bool
sql_is_single(Slice sql)
{
	SqlLexer lexer;
	SqlToken token;
	bool in_statement = false;
	bool over = false;

	sql_lexer_init(&lexer, sql);
	while ((token = sql_lexer_next(&lexer)) != SQL_TOKEN_END)
	{
		if (token == SQL_TOKEN_CHAR && lexer.text.ptr[0] == ';')
			over = in_statement;
		else if (over)
			return false;
		else
			in_statement = true;
	}
	return true;
}

bool
sql_is_deallocate(Slice sql, char *name, size_t size)
{
	SqlLexer lexer;
	SqlToken token;
	size_t len;

	sql_lexer_init(&lexer, sql);
	if (sql_lexer_next(&lexer) != SQL_TOKEN_WORD || !sql_word_is(lexer.text, "deallocate"))
		return false;
	token = sql_lexer_next(&lexer);
	if (token == SQL_TOKEN_WORD && sql_word_is(lexer.text, "prepare"))
		token = sql_lexer_next(&lexer);
	len = lexer.text.len;
	if ((token != SQL_TOKEN_WORD && token != SQL_TOKEN_IDENTIFIER) || len == 0 || len >= size ||
		memchr(lexer.text.ptr, '"', len) != NULL || (token == SQL_TOKEN_WORD && sql_word_is(lexer.text, "all")))
		return false;
	memcpy(name, lexer.text.ptr, len);
	name[len] = '\0';
	for (size_t i = 0; token == SQL_TOKEN_WORD && i < len; i++)
		if (name[i] >= 'A' && name[i] <= 'Z')
			name[i] |= 32;
	token = sql_lexer_next(&lexer);
	while (token == SQL_TOKEN_CHAR && lexer.text.ptr[0] == ';')
		token = sql_lexer_next(&lexer);
	return token == SQL_TOKEN_END;
}
