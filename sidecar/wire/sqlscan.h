/*
 * sqlscan.h: what a pooler needs to see in a statement's text without parsing SQL: tags in comments, the
 * class, the verb.
 *
 * The scanner knows comments (nested ones too), quoted strings (also E'', U&'', dollar quotes) and quoted
 * identifiers.  It takes standard_conforming_strings for on: a backslash in a plain '...' is a character.
 * Bytes above 127 are letters, in any encoding.  Nothing is allocated and every call is linear in the length
 * of the text.  All slices borrow the text.
 */
#ifndef PGWEIR_WIRE_SQLSCAN_H
#define PGWEIR_WIRE_SQLSCAN_H

#include "base/buf.h"

/* ---- tags ---- */

/*
 * Find a tag in the statement's first comment (nothing but whitespace and -- lines before it) or its last one
 * (nothing but whitespace and semicolons behind it); both must be block comments.  Two spellings, between any
 * other tags or text: key='value' as sqlcommenter writes it (without the quotes it ends at a comma or space),
 * and key:value as marginalia does (likewise).  When both comments have the tag the last one wins, as does
 * the last of two in one comment.
 *
 * The value is as it stands in the comment, without its quotes: see sql_decode_tag().  A text without a
 * comment at either end costs a look at its two ends.
 */
extern bool sql_find_tag(Slice sql, const char *key, Slice *value) MUST_CHECK;

/*
 * Undo sqlcommenter's encoding: %41 and \' ; other characters stay.  False when out (with its NUL) is too
 * small or the result has a NUL inside.
 */
extern bool sql_decode_tag(Slice value, char *out, size_t out_size, size_t *out_len) MUST_CHECK;

/*
 * "250ms", "1.5 s", "2min", "100us", "1h", "1d"; a plain number is in units of plain_unit_us.  Surrounding
 * whitespace is ignored; fractions of a microsecond are cut off.  False: anything else, negative, or beyond
 * 64 bits.
 */
extern bool wire_parse_duration(Slice text, int64_t plain_unit_us, int64_t *us) MUST_CHECK;

/* ---- class ---- */

/*
 * The class of a statement: equal for texts that differ only in literals (numbers, strings, parameters; NULL,
 * TRUE and FALSE unless IS or NOT stands before them), the length of a list of literals (IN lists, rows of
 * VALUES), comments, whitespace, trailing semicolons, the case of unquoted words and quotes around lower-case
 * ones.  Never 0, so that 0 can mean "no class". Stable between processes, but no cryptographic hash: who
 * wants two statements in one class can have that.
 */
extern uint64_t sql_fingerprint(Slice sql);

/*
 * A hash of the text without its plain literals, much quicker than the class: texts of one shape are of one class,
 * though not the other way round.  Who keeps the seed secret need not fear chosen collisions.
 */
extern uint64_t sql_shape(Slice sql, uint64_t seed);

/*
 * The text as one may show it: values replaced by ?, lists of values by one, comments left out, gaps made one blank.  Cut
 * off before the token that does not fit (size > 0 counts the NUL).  Returns its length.
 */
extern size_t sql_mask(Slice sql, char *out, size_t size);

/* ---- verb ---- */

typedef enum SqlVerb
{
	SQL_EMPTY,       /* whitespace, comments and semicolons */
	SQL_BEGIN,       /* also START TRANSACTION */
	SQL_COMMIT,      /* also END */
	SQL_ROLLBACK,    /* also ABORT; of the whole transaction */
	SQL_CHAIN,       /* COMMIT or ROLLBACK ... AND CHAIN: ends a transaction and begins the next */
	SQL_ROLLBACK_TO, /* ROLLBACK TO [SAVEPOINT] */
	SQL_SAVEPOINT,
	SQL_RELEASE,
	SQL_SET,
	SQL_RESET,
	SQL_SHOW,
	SQL_DISCARD_ALL,
	SQL_DISCARD, /* PLANS, SEQUENCES, TEMP */
	SQL_DEALLOCATE_ALL,
	SQL_DEALLOCATE, /* one */
	SQL_PREPARE,    /* a statement */
	SQL_EXECUTE,
	SQL_DECLARE,
	SQL_COPY,
	SQL_LISTEN,
	SQL_UNLISTEN,
	SQL_LOCK,
	SQL_SELECT, /* also VALUES, TABLE and a leading parenthesis; WITH is SQL_OTHER, as it may write */
	SQL_OTHER   /* also PREPARE TRANSACTION, COMMIT PREPARED, ROLLBACK PREPARED */
} SqlVerb;

/* What the first statement of the text is. */
extern SqlVerb sql_verb(Slice sql);
/* Is there at most one statement?  Says no too often rather than too rarely: a body with BEGIN ATOMIC counts
 * as several. */
extern bool sql_is_single(Slice sql);

/*
 * Is the text nothing but DEALLOCATE [PREPARE] of one name?  The name as the server takes it (an unquoted one in lower case) is written
 * to name with a NUL.  False also when it does not fit, or has a doubled quote inside.
 */
extern bool sql_is_deallocate(Slice sql, char *name, size_t size) MUST_CHECK;

#endif
