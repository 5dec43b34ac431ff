/*
 * sqlscan_test.c: tags, durations, classes and verbs, as tables of cases.
 */
#include "wire_test.h"
#include "wire/sqlscan.h"

/* Copies text to memory that ends where it does. */
static Slice
exact(const char *text, uint8_t **copy)
{
	size_t n = strlen(text);

	*copy = exact_copy(text, n);
	return slice_make(*copy, n);
}

/* ---- tags ---- */

#define TAG "/* pgweir_deadline='250ms' */"

static const struct
{
	const char *sql;
	const char *value; /* NULL: there is no such tag */
} tag_cases[] = {
	{"SELECT 1 " TAG, "250ms"},
	{TAG " SELECT 1", "250ms"},
	{TAG "SELECT 1", "250ms"},
	{"  \n\t" TAG "\nSELECT 1", "250ms"},
	{"SELECT 1 " TAG ";", "250ms"},
	{"SELECT 1 " TAG " ; ;\n", "250ms"},
	{"SELECT 1; " TAG, "250ms"},
	{TAG, "250ms"},
	{TAG ";", "250ms"},
	{"SELECT 1 /*pgweir_deadline='250ms'*/", "250ms"},
	{"SELECT 1 /*a='b',pgweir_deadline='250ms',route='%2Fcart'*/", "250ms"},
	{"SELECT 1 /* a='b' , pgweir_deadline = '250ms' , c='d' */", "250ms"},
	{"SELECT 1 /* a='b=c', pgweir_deadline='1s' */", "1s"},
	{"SELECT 1 /* a='it\\'s, pgweir_deadline=\\'9s\\'', pgweir_deadline='1s' */", "1s"},
	{"SELECT 1 /* a='x, pgweir_deadline=9s' */", NULL},
	{"SELECT 1 /* note pgweir_deadline='1s' please */", "1s"},
	{"SELECT 1 /* don't, pgweir_deadline='1s' */", "1s"},
	{"SELECT 1 /* pgweir_deadline=1s */", "1s"},
	{"SELECT 1 /* pgweir_deadline:1s */", "1s"},
	{"SELECT 1 /*application:shop,controller:cart,pgweir_deadline:40ms,action:show*/", "40ms"},
	{"SELECT 1 /* line:/app/x.rb:12:in `call', pgweir_deadline:1s */", "1s"},
	{"SELECT 1 /* pgweir_deadline='' */", ""},
	{"SELECT 1 /* pgweir_deadline= */", ""},
	{"SELECT 1 /* pgweir_deadline='1s', pgweir_deadline='2s' */", "2s"},
	{TAG " SELECT 1 /* pgweir_deadline='1s' */", "1s"},
	{TAG " SELECT 1 /* other='1s' */", "250ms"},
	{"/* other='1s' */ SELECT 1 " TAG, "250ms"},
	{"/*+ SeqScan(t) */ SELECT 1 " TAG, "250ms"},
	{"-- a line\n" TAG " SELECT 1", "250ms"},
	{"-- it's /* a line\n  -- and another\n" TAG " SELECT 1", "250ms"},
	{"SELECT 1 -- a line\n" TAG, "250ms"},
	{"SELECT 'it''s' " TAG, "250ms"},
	{"SELECT E'it\\'s' " TAG, "250ms"},
	{"SELECT \"we\"\"ird'\" " TAG, "250ms"},
	{"SELECT $$ it's $$ " TAG, "250ms"},
	{"SELECT $a$ $$ ' /* $a$ " TAG, "250ms"},
	{"SELECT a$b$c, '$b$' " TAG, "250ms"},
	{"SELECT $1, $2 " TAG, "250ms"},
	{"SELECT 1 /* outer /* pgweir_deadline='1s' */ still */", "1s"},
	{"SELECT 1 /* outer /* inner */ pgweir_deadline='1s' */", "1s"},
	{"SELECT '/*' " TAG, "250ms"},
	{"SELECT 1 /**/ " TAG, "250ms"},
	{"SELECT 1 /* /*/ */ pgweir_deadline='1s' */", "1s"},
	{"SELECT $1::int " TAG, "250ms"},
	/* not a tag, or not at either end */
	{"", NULL},
	{"SELECT 1", NULL},
	{";", NULL},
	{"/*", NULL},
	{"/**/", NULL},
	{"/*/", NULL},
	{"*/", NULL},
	{"/***/ SELECT 1 /***/", NULL},
	{"SELECT 1 /* pgweir_deadline='1s'", NULL},
	{"SELECT 1 " TAG " + 1", NULL},
	{"SELECT 1 " TAG "; SELECT 2", NULL},
	{"SELECT 1 " TAG " -- end", NULL},
	{"SELECT 1 -- " TAG, NULL},
	{"SELECT '" TAG "'", NULL},
	{"SELECT ' pgweir_deadline=1s */", NULL},
	{"SELECT $$ " TAG " $$", NULL},
	{"SELECT $$ " TAG, NULL},
	{"SELECT $x$ " TAG " $y$ */", NULL},
	{"SELECT \"" TAG "\"", NULL},
	{"SELECT '/* pgweir_deadline=9s ' -- */", NULL},
	{"SELECT '/* pgweir_deadline=9s ', 2 /* a='b' */", NULL},
	{"SELECT E'\\' " TAG, NULL},
	{"SELECT 1 /* pgweir_deadlines='1s' */", NULL},
	{"SELECT 1 /* my_pgweir_deadline='1s' */", NULL},
	{"SELECT 1 /* pgweir_deadline '1s' */", NULL},
	{"SELECT 1 /* PGWEIR_DEADLINE='1s' */", NULL},
	{"SELECT pgweir_deadline='1s'", NULL},
	{"SELECT 1 /* pgweir_deadline='1s' *//* b='c' */", NULL},
	{"SELECT 1 " TAG " -- */", NULL},
	{"SELECT 1 " TAG " + ' */", NULL},
};

static void
tags_are_found(void)
{
	for (size_t i = 0; i < sizeof(tag_cases) / sizeof(tag_cases[0]); i++)
	{
		uint8_t *copy;
		Slice value = {NULL, 0};
		bool found = sql_find_tag(exact(tag_cases[i].sql, &copy), "pgweir_deadline", &value);
		bool right = found == (tag_cases[i].value != NULL) && (!found || slice_is(value, tag_cases[i].value));

		if (!right)
			printf("# found %d, value %.*s\n", found, (int) value.len, (const char *) value.ptr);
		ok(right, tag_cases[i].sql);
		free(copy);
	}
}

static void
tag_values_are_decoded(void)
{
	static const struct
	{
		const char *value;
		const char *decoded; /* NULL: refused */
	} cases[] = {
		{"250ms", "250ms"},
		{"", ""},
		{"%2Fcart%20x", "/cart x"},
		{"%2fcart", "/cart"},
		{"100%", "100%"},
		{"%4", "%4"},
		{"%zz", "%zz"},
		{"it\\'s", "it's"},
		{"a\\", "a\\"},
		{"a+b", "a+b"},
		{"a%00b", NULL},
		{"0123456789abcdef", NULL},
		{"0123456789abcde", "0123456789abcde"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		uint8_t *copy;
		char *out = malloc(16);
		size_t len = 99;

		if (out == NULL)
			abort();
		if (sql_decode_tag(exact(cases[i].value, &copy), out, 16, &len))
			ok(cases[i].decoded != NULL && strcmp(out, cases[i].decoded) == 0 && len == strlen(out),
			   cases[i].value);
		else
			ok(cases[i].decoded == NULL, cases[i].value);
		free(out);
		free(copy);
	}
}

/* ---- durations ---- */

static void
durations(void)
{
	static const struct
	{
		const char *text;
		int64_t us; /* -1: refused */
	} cases[] = {
		{"250ms", 250000},
		{"1.5s", 1500000},
		{"2min", 120000000},
		{"100us", 100},
		{"1h", INT64_C(3600000000)},
		{"1d", INT64_C(86400000000)},
		{"5", 5000000},
		{"0", 0},
		{"0.25", 250000},
		{".5s", 500000},
		{"5.", 5000000},
		{"  7 ms ", 7000},
		{"7\tms", 7000},
		{"1.0000019s", 1000001},
		{"0.0000009s", 0},
		{"1.123456789123456789s", 1123456},
		{"0.999999999d", INT64_C(86399999913)},
		{"9223372036854775807us", INT64_MAX},
		{"9223372036854775808us", -1},
		{"9223372036854775807.9us", INT64_MAX},
		{"9223372036854s", INT64_C(9223372036854000000)},
		{"9223372036854.775807s", INT64_MAX},
		{"9223372036854.775808s", -1},
		{"9223372036855s", -1},
		{"99999999999999999999999", -1},
		{"", -1},
		{" ", -1},
		{".", -1},
		{"-1", -1},
		{"+1", -1},
		{"ms", -1},
		{"1 2", -1},
		{"1.5.5s", -1},
		{"1sec", -1},
		{"1S", -1},
		{"1m", -1},
		{"1e3", -1},
		{"0x10", -1},
		{"inf", -1},
		{"1s x", -1},
		{"1,5s", -1},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		uint8_t *copy;
		int64_t us = -2;
		bool good = wire_parse_duration(exact(cases[i].text, &copy), 1000000, &us);

		ok(good == (cases[i].us >= 0), cases[i].text);
		if (good)
			is_int(us, cases[i].us, cases[i].text);
		free(copy);
	}
}

static void
plain_numbers_take_the_callers_unit(void)
{
	int64_t us;

	ok(wire_parse_duration(SLICE_LITERAL("3"), 1000, &us) && us == 3000, "milliseconds");
	ok(wire_parse_duration(SLICE_LITERAL("3.5"), 1, &us) && us == 3, "microseconds");
	ok(!wire_parse_duration(SLICE_LITERAL("3"), 0, &us), "or must name one");
	ok(wire_parse_duration(SLICE_LITERAL("3s"), 0, &us) && us == 3000000, "and then may");
}

/* ---- classes ---- */

static uint64_t
class_of(const char *sql)
{
	uint8_t *copy;
	uint64_t class = sql_fingerprint(exact(sql, &copy));

	free(copy);
	return class;
}

static void
same_class(void)
{
	static const char *const pairs[][2] = {
		{"SELECT 1", "SELECT 2"},
		{"SELECT 1", "select  1 ;"},
		{"SELECT 1", "/* a */ SELECT /* b */ 1 -- c"},
		{"SELECT 1", "SELECT 'x'"},
		{"SELECT 1", "SELECT $1"},
		{"SELECT 1", "SELECT 1.5e-7"},
		{"SELECT 1", "SELECT 0xFF"},
		{"SELECT 1", "SELECT 1_000"},
		{"SELECT 1", "SELECT .5"},
		{"SELECT 1", "SELECT E'it\\'s'"},
		{"SELECT 1", "SELECT B'101'"},
		{"SELECT 1", "SELECT U&'d\\0061'"},
		{"SELECT 1", "SELECT $$ it's $$"},
		{"SELECT 1", "SELECT $tag$ $$ $tag$"},
		{"SELECT 1", "SELECT 'a'\n'b'"},
		{"SELECT 1", "SELECT true"},
		{"SELECT 1", "SELECT NULL"},
		{"SELECT 1", "SELECT 1, 2, 3"},
		{"SELECT * FROM t WHERE id = 1", "SELECT * FROM t WHERE id = -5"},
		{"SELECT * FROM t WHERE id = 1", "SELECT * FROM T WHERE ID=$1"},
		{"SELECT * FROM t WHERE id = 1", "SELECT * FROM \"t\" WHERE \"id\" = 1"},
		{"SELECT * FROM t WHERE id IN (1)", "SELECT * FROM t WHERE id IN (1, 2, 3)"},
		{"SELECT * FROM t WHERE id IN ($1)", "SELECT * FROM t WHERE id IN ($1,$2,$3,$4)"},
		{"SELECT * FROM t WHERE id IN (-1)", "SELECT * FROM t WHERE id IN (-1, +2, 3)"},
		{"SELECT * FROM t WHERE id IN ($1::int)", "SELECT * FROM t WHERE id IN ($1::int, $2::int)"},
		{"SELECT * FROM t WHERE (a, b) IN ((1, 2))", "SELECT * FROM t WHERE (a, b) IN ((1, 2), (3, 4))"},
		{"INSERT INTO t (a, b) VALUES (1, 'x')", "INSERT INTO t (a, b) VALUES ($1, $2), ($3, $4), ($5, $6)"},
		{"INSERT INTO t VALUES (1, 'x') ON CONFLICT DO NOTHING",
		 "INSERT INTO t VALUES (1, 'x'), (2, NULL) ON CONFLICT DO NOTHING"},
		{"INSERT INTO t VALUES ($1::int, $2::timestamp with time zone)",
		 "INSERT INTO t VALUES ($1::int, $2::timestamp with time zone), ($3::int, $4::timestamp with time "
		 "zone)"},
		{"INSERT INTO t VALUES ($1::numeric(10, 2), $2::int[])",
		 "INSERT INTO t VALUES ($1::numeric(10, 2), $2::int[]), ($3::numeric(10, 2), $4::int[])"},
		{"SELECT ARRAY[1]", "SELECT ARRAY[1, 2, 3]"},
		{"SELECT a->'x' FROM t", "SELECT a->'y' FROM t"},
		{"SELECT a[1:2] FROM t", "SELECT a[3:4] FROM t"},
		{"", " /* nothing */ ;;"},
		{"SELECT 1; SELECT 2", "SELECT 5;; SELECT 6;"},
		{"UPDATE t SET a = NULL", "UPDATE t SET a = 5"},
		{"SELECT '\xc3\xa9'", "SELECT 'e'"},
	};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
	{
		ok(class_of(pairs[i][0]) == class_of(pairs[i][1]), pairs[i][1]);
		ok(class_of(pairs[i][0]) != 0, "is a class");
	}
}

static void
different_classes(void)
{
	static const char *const pairs[][2] = {
		{"SELECT 1", "SELECT a"},
		{"SELECT 1", "SELECT 1 + 1"},
		{"SELECT 1", "SELECT f(1)"},
		{"SELECT 1", "SELECT (1)"},
		{"SELECT 1", "SELECT"},
		{"SELECT 1", "SHOW 1"},
		{"SELECT 1", "SELECT 1::int"},
		{"SELECT 1", "SELECT 1; SELECT 1"},
		{"SELECT a FROM t", "SELECT b FROM t"},
		{"SELECT a FROM t", "SELECT a FROM u"},
		{"SELECT a FROM t", "SELECT \"A\" FROM t"},
		{"SELECT a, b FROM t", "SELECT b, a FROM t"},
		{"SELECT a, b FROM t", "SELECT a b FROM t"},
		{"SELECT * FROM t WHERE a = 1 AND b = 2", "SELECT * FROM t WHERE a = 1 OR b = 2"},
		{"SELECT * FROM t WHERE a = 1 AND b = 2", "SELECT * FROM t WHERE a = 1 AND b > 2"},
		{"SELECT * FROM t WHERE a IS NULL", "SELECT * FROM t WHERE a IS NOT NULL"},
		{"SELECT * FROM t WHERE a IS NULL", "SELECT * FROM t WHERE a IS TRUE"},
		{"SELECT * FROM t WHERE a = 1", "SELECT * FROM t WHERE a = b"},
		{"SELECT * FROM t WHERE a = b", "SELECT * FROM t WHERE a = -b"},
		{"SELECT * FROM t LIMIT 1", "SELECT * FROM t OFFSET 1"},
		{"SELECT * FROM t WHERE a IN (1)", "SELECT * FROM t WHERE a IN (b)"},
		{"SELECT * FROM t WHERE a IN (1)", "SELECT * FROM t WHERE a IN (SELECT 1)"},
		{"SELECT * FROM t WHERE a IN (1, b)", "SELECT * FROM t WHERE a IN (1, c)"},
		{"SELECT * FROM t WHERE a IN (b, c)", "SELECT * FROM t WHERE a IN (b)"},
		{"INSERT INTO t (a) VALUES (1)", "INSERT INTO t (b) VALUES (1)"},
		{"INSERT INTO t VALUES (1, now())", "INSERT INTO t VALUES (1, random())"},
		{"SELECT f()", "SELECT f"},
		{"SELECT 1 + a", "SELECT 1, 2 + a"},
		{"SELECT a - 1", "SELECT a, 1"},
		{"SELECT (a), b", "SELECT (a, b)"},
		{"SELECT ((1))", "SELECT (1)"},
		{"SELECT (1", "SELECT 1)"},
		{"SELECT a/*x*/b", "SELECT ab"},
		{"SELECT a::int", "SELECT a:int"},
	};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		ok(class_of(pairs[i][0]) != class_of(pairs[i][1]), pairs[i][1]);
}

static void
classes_are_stable(void)
{
	/* Other processes and later releases keep what they learnt under these numbers. */
	ok(class_of("SELECT * FROM t WHERE id IN (1, 2)") == UINT64_C(0xf738acb36843acf1),
	   "a class is the same everywhere");
}

/* Deep nesting and long lists neither fail nor take long. */
/* ---- shapes ---- */

static uint64_t
shape_of(const char *sql)
{
	uint8_t *copy;
	uint64_t shape = sql_shape(exact(sql, &copy), 7);

	free(copy);
	return shape;
}

static void
shapes(void)
{
	static const struct
	{
		const char *a, *b;
		bool same;
	} pairs[] = {
		{"select * from t where a = 1", "select * from t where a = 123456", true},
		{"select * from t where a = 'x' and b = 2", "select * from t where a = '' and b = 77", true},
		{"select 'it''s'", "select 'x''y'", true},
		{"values (1, -2.5, 1e+3)", "values (77, -0.25, 1e+44)", true},
		{"", "", true},
		{"select * from t1", "select * from t2", false},
		{"select $1", "select $2", false},
		{"select 0x12", "select 0x13", false},
		{"select 1", "select '1'", false},
		{"select - 1", "select -1", false},
		{"select \"a 1\"", "select \"a 2\"", false},
		{"/* don't */ select 1 /* won't */", "/* don't */ select 2 /* won't */", false},
		{"/* it's */ drop /* t's */", "/* it's */ select /* t's */", false},
		{"select $$a '$$, 1, $$' b$$", "select $$a '$$, x, $$' b$$", false},
		{"select E'\\' 1", "select E'\\' 2", false},
		{"-- it's\nselect 1 -- it's", "-- it's\nselect x -- it's", false},
		{"select 'a", "select 'b", false},
	};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		ok((shape_of(pairs[i].a) == shape_of(pairs[i].b)) == pairs[i].same, "shape: %s and %s: %s", pairs[i].a, pairs[i].b,
		   pairs[i].same ? "one" : "two");
	ok(sql_shape(slice_str("select 1"), 1) != sql_shape(slice_str("select 1"), 2), "a seed makes other shapes");
}

/* Texts put together from pieces that mean something to a lexer, in many orders: those of one shape must be of one class. */
static void
one_shape_has_one_class(void)
{
	static const char *const pieces[] = {"1", "22", "'", "'a'", "'b c'", "''", "\"", "$", "$1", "$a$", "--", "-", "/*", "*/", "/", "\\", "\n", " ",
										 "e", "x", "E'", "t1", ".", ",", "(", ")", "0x", "::", "+", "null", ";", "_", "9a"};
	const size_t count = sizeof(pieces) / sizeof(pieces[0]);
	enum
	{
		TEXTS = 60000,
		PLACES = 1 << 17
	};
	struct
	{
		uint64_t shape, class;
	} *seen = calloc(PLACES, sizeof(*seen));
	uint32_t random = 2463534242u;
	int met = 0, wrong = 0;

	for (int i = 0; seen != NULL && i < TEXTS; i++)
	{
		char text[64] = "";
		uint64_t shape, class;
		size_t place;

		for (int n = 1 + i % 6; n > 0; n--)
		{
			random ^= random << 13;
			random ^= random >> 17;
			random ^= random << 5;
			strncat(text, pieces[random % count], sizeof(text) - strlen(text) - 1);
		}
		shape = shape_of(text);
		class = class_of(text);
		place = shape % PLACES;
		while (seen[place].class != 0 && seen[place].shape != shape)
			place = (place + 1) % PLACES;
		met += seen[place].class != 0;
		if (seen[place].class != 0 && seen[place].class != class && wrong++ == 0)
			diag("another class than a text of its shape: %s", text);
		seen[place].shape = shape;
		seen[place].class = class;
	}
	free(seen);
	ok(met > 1000, "%d texts had a shape seen before", met);
	is_int(wrong, 0, "and none of them another class");
}

static void
extremes(void)
{
	const size_t n = 1000000;
	char *text = malloc(n + 1);

	if (text == NULL)
		abort();
	text[n] = '\0';
	for (const char *p = "([,)]';$-/*\"1a: "; *p != '\0'; p++)
	{
		Slice sql = slice_make(text, n);
		Slice value;

		memset(text, *p, n);
		ok(sql_fingerprint(sql) != 0, "a million times the same character has a class");
		ok(!sql_find_tag(sql, "k", &value), "but no tag");
		(void) sql_verb(sql);
		(void) sql_is_single(sql);
	}
	for (size_t i = 0; i + 2 <= n; i += 2)
		memcpy(text + i, i < n / 2 ? "/*" : "*/", 2);
	is_int(sql_verb(slice_make(text, n)), SQL_EMPTY, "a comment a quarter million deep");
	for (size_t i = 0; i + 2 <= n; i += 2)
		memcpy(text + i, i < n / 2 ? "((" : "))", 2);
	ok(sql_fingerprint(slice_make(text, n)) != 0, "brackets half a million deep");
	free(text);
}

/* ---- verbs ---- */

static void
verbs(void)
{
	static const struct
	{
		const char *sql;
		SqlVerb verb;
	} cases[] = {
		{"", SQL_EMPTY},
		{" ; /* x */ ;", SQL_EMPTY},
		{"BEGIN", SQL_BEGIN},
		{"begin;", SQL_BEGIN},
		{"  /* a */ -- b\n BeGiN ISOLATION LEVEL SERIALIZABLE", SQL_BEGIN},
		{"START TRANSACTION", SQL_BEGIN},
		{"COMMIT", SQL_COMMIT},
		{"COMMIT WORK", SQL_COMMIT},
		{"END", SQL_COMMIT},
		{"COMMIT AND NO CHAIN", SQL_COMMIT},
		{"COMMIT AND CHAIN", SQL_CHAIN},
		{"COMMIT PREPARED 'x'", SQL_OTHER},
		{"ROLLBACK", SQL_ROLLBACK},
		{"ROLLBACK;", SQL_ROLLBACK},
		{"ROLLBACK TRANSACTION", SQL_ROLLBACK},
		{"ABORT", SQL_ROLLBACK},
		{"ROLLBACK WORK AND CHAIN", SQL_CHAIN},
		{"ROLLBACK TO s", SQL_ROLLBACK_TO},
		{"ROLLBACK WORK TO SAVEPOINT s", SQL_ROLLBACK_TO},
		{"ROLLBACK PREPARED 'x'", SQL_OTHER},
		{"SAVEPOINT s", SQL_SAVEPOINT},
		{"RELEASE s", SQL_RELEASE},
		{"SET a = 1", SQL_SET},
		{"SET LOCAL a = 1", SQL_SET},
		{"RESET ALL", SQL_RESET},
		{"SHOW a", SQL_SHOW},
		{"DISCARD ALL", SQL_DISCARD_ALL},
		{"DISCARD PLANS", SQL_DISCARD},
		{"DISCARD /* all */ TEMP", SQL_DISCARD},
		{"DEALLOCATE ALL", SQL_DEALLOCATE_ALL},
		{"DEALLOCATE PREPARE ALL", SQL_DEALLOCATE_ALL},
		{"DEALLOCATE \"all\"", SQL_DEALLOCATE},
		{"DEALLOCATE x", SQL_DEALLOCATE},
		{"PREPARE x AS SELECT 1", SQL_PREPARE},
		{"PREPARE TRANSACTION 'x'", SQL_OTHER},
		{"EXECUTE x", SQL_EXECUTE},
		{"DECLARE c CURSOR FOR SELECT 1", SQL_DECLARE},
		{"COPY t FROM STDIN", SQL_COPY},
		{"LISTEN x", SQL_LISTEN},
		{"UNLISTEN *", SQL_UNLISTEN},
		{"LOCK t", SQL_LOCK},
		{"SELECT 1", SQL_SELECT},
		{"(SELECT 1)", SQL_SELECT},
		{"VALUES (1)", SQL_SELECT},
		{"TABLE t", SQL_SELECT},
		{"WITH x AS (SELECT 1) SELECT 1", SQL_OTHER},
		{"BEGINNING", SQL_OTHER},
		{"BEG", SQL_OTHER},
		{"\"begin\"", SQL_OTHER},
		{"'begin'", SQL_OTHER},
		{"1", SQL_OTHER},
		{"; ROLLBACK", SQL_ROLLBACK},
		{"\xc3\xa9", SQL_OTHER},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		uint8_t *copy;

		is_int(sql_verb(exact(cases[i].sql, &copy)), cases[i].verb, cases[i].sql);
		free(copy);
	}
}

static void
single_statements(void)
{
	static const struct
	{
		const char *sql;
		bool single;
	} cases[] = {
		{"", true},
		{";;", true},
		{"ROLLBACK", true},
		{"ROLLBACK;", true},
		{"ROLLBACK; -- done\n;", true},
		{"; ROLLBACK", true},
		{"SELECT ';'", true},
		{"SELECT $$;$$ \";\" /* ; */", true},
		{"ROLLBACK; SELECT 1", false},
		{"SELECT 1; SELECT 2", false},
		{"SELECT 1;;a", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		uint8_t *copy;

		is_int(sql_is_single(exact(cases[i].sql, &copy)), cases[i].single, cases[i].sql);
		free(copy);
	}
}

static void
masked_text(void)
{
	static const struct
	{
		const char *sql, *masked;
	} cases[] = {
		{"select 1", "select ?"},
		{"", ""},
		{"  SELECT  *\n FROM \"My Table\" WHERE a='x''y' AND b = $1", "SELECT * FROM \"My Table\" WHERE a=? AND b = ?"},
		{"select * from t where a in (1, 2,3) and b='s'", "select * from t where a in (?) and b=?"},
		{"insert into t values (1, 'secret'), (2, 'more')", "insert into t values (?), (?)"},
		{"/* route='/a' */ select a /* x */, b -- y\n from t", "select a , b from t"},
		{"select 'a'::text, $$it's$$, E'\\'' from t;", "select ?::text, ? from t;"},
		{"select 'unterminated", "select ?"},
	};
	char out[128];
	char little[12];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		uint8_t *copy;
		size_t len = sql_mask(exact(cases[i].sql, &copy), out, sizeof(out));

		is_str(out, cases[i].masked, "masked: %s", cases[i].sql);
		is_int((int64_t) len, (int64_t) strlen(cases[i].masked), "and its length");
		free(copy);
	}
	is_int((int64_t) sql_mask(slice_str("select abc from t"), little, sizeof(little)), 11, "what fits is kept");
	is_str(little, "select abc ", "and no token is cut in two");
	is_int((int64_t) sql_mask(slice_str("select 1"), little, 1), 0, "nothing fits into nothing");
}

int
main(void)
{
	tags_are_found();
	tag_values_are_decoded();
	durations();
	plain_numbers_take_the_callers_unit();
	same_class();
	different_classes();
	classes_are_stable();
	shapes();
	one_shape_has_one_class();
	extremes();
	verbs();
	single_statements();
	masked_text();
	return done_testing();
}
