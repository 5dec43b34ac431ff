/*
 * frontend_test.c: messages a client sends: what is written is read back, and nothing shorter or longer is;
 * renaming.
 */
#include "wire_test.h"
#include "wire/frontend.h"

static bool
reads_query(Slice payload)
{
	Slice sql;

	return wire_read_query(payload, &sql);
}

static bool
reads_parse(Slice payload)
{
	WireParse parse;

	return wire_read_parse(payload, &parse);
}

static bool
reads_describe(Slice payload)
{
	WireTarget target;

	return wire_read_describe(payload, &target);
}

static bool
reads_execute(Slice payload)
{
	WireExecute execute;

	return wire_read_execute(payload, &execute);
}

static bool
reads_sasl_initial(Slice payload)
{
	WireSaslInitial initial;

	return wire_read_sasl_initial(payload, &initial);
}

static void
query(void)
{
	Buf buf = {0};
	Slice payload, sql;

	ok(wire_write_query(&buf, SLICE_LITERAL("select 1")), "Query");
	payload = only_payload(&buf, FE_QUERY);
	ok(wire_read_query(payload, &sql) && slice_is(sql, "select 1"), "reads back");
	ok(refuses_all_other_lengths(payload, reads_query), "and nothing else does");
	ok(wire_read_query(slice_make("", 1), &sql) && sql.len == 0, "an empty query");
	ok(!wire_read_query(slice_make("a\0b", 4), &sql), "nothing may hide behind a NUL");
	buf_free(&buf);
}

static void
parse(void)
{
	Buf buf = {0};
	WireParse p;
	Slice payload;

	ok(wire_write_parse(&buf, SLICE_LITERAL("s1"), SLICE_LITERAL("select $1"),
						slice_make("\0\0\0\x17\0\0\0\x19", 8)),
	   "Parse");
	payload = only_payload(&buf, FE_PARSE);
	ok(wire_read_parse(payload, &p), "reads back");
	ok(slice_is(p.name, "s1") && slice_is(p.query, "select $1"), "its name and query");
	ok(p.param_count == 2 && slice_equal(p.param_types, slice_make("\0\0\0\x17\0\0\0\x19", 8)),
	   "its parameter types");
	is_int(p.rest_offset, 3, "where the query begins");
	ok(refuses_all_other_lengths(payload, reads_parse), "and nothing else does");
	ok(!wire_read_parse(slice_make("\0\0\xff\xff", 4), &p), "65535 parameters must be there");
	ok(!wire_write_parse(&buf, SLICE_LITERAL(""), SLICE_LITERAL(""), slice_make("abc", 3)),
	   "types have four bytes each");
	buf_free(&buf);
}

static void
parse_with_many_parameters(void)
{
	uint8_t *types = calloc(65536, 4);
	Buf buf = {0};
	WireParse p;

	if (types == NULL)
		abort();
	ok(wire_write_parse(&buf, SLICE_LITERAL(""), SLICE_LITERAL("q"), slice_make(types, 65535 * 4)),
	   "65535 parameters");
	ok(wire_read_parse(only_payload(&buf, FE_PARSE), &p) && p.param_count == 65535, "read back");
	ok(!wire_write_parse(&buf, SLICE_LITERAL(""), SLICE_LITERAL("q"), slice_make(types, 65536 * 4)),
	   "one more does not fit");
	free(types);
	buf_free(&buf);
}

static void
bind_names(void)
{
	const char bytes[] = "por\0stmt\0\0\0\0\1\0\0\0\1x\0";
	WireBind b;
	int refused = 0;

	for (size_t n = 0; n < sizeof(bytes); n++)
	{
		uint8_t *copy = exact_copy(bytes, n);
		bool good = wire_read_bind(slice_make(copy, n), &b);

		refused += !good;
		if (good && !(slice_is(b.portal, "por") && slice_is(b.statement, "stmt") && b.statement_offset == 4 &&
					  b.rest_offset == 9))
			ok(false, "the names are the same however much has arrived");
		free(copy);
	}
	is_int(refused, 9, "a Bind is readable once both names have arrived");
}

static void
describe_and_close(void)
{
	Buf buf = {0};
	WireTarget target;
	Slice payload;

	ok(wire_write_describe(&buf, 'S', SLICE_LITERAL("s1")), "Describe");
	payload = only_payload(&buf, FE_DESCRIBE);
	ok(wire_read_describe(payload, &target) && target.kind == 'S' && slice_is(target.name, "s1"),
	   "reads back");
	ok(refuses_all_other_lengths(payload, reads_describe), "and nothing else does");
	buf_clear(&buf);
	ok(wire_write_close(&buf, 'P', SLICE_LITERAL("")), "Close");
	payload = only_payload(&buf, FE_CLOSE);
	ok(wire_read_close(payload, &target) && target.kind == 'P' && target.name.len == 0, "reads back");
	ok(!wire_read_close(slice_make("Xa", 3), &target), "a target of another kind is refused");
	buf_free(&buf);
}

static void
small_messages(void)
{
	static const struct
	{
		bool (*write)(Buf *);
		uint8_t type;
	} cases[] = {{wire_write_sync, 'S'}, {wire_write_flush, 'H'}, {wire_write_terminate, 'X'}};
	Buf buf = {0};
	WireExecute execute;
	Slice payload = slice_make("p\0\0\0\0\x0a", 6);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		buf_clear(&buf);
		ok(cases[i].write(&buf), "a message without a payload");
		is_int((int) only_payload(&buf, cases[i].type).len, 0, "has none");
	}
	buf_clear(&buf);
	ok(wire_write_copy_fail(&buf, "deadline"), "CopyFail");
	ok(slice_equal(only_payload(&buf, FE_COPY_FAIL), slice_make("deadline", 9)), "says why");
	ok(wire_read_execute(payload, &execute) && slice_is(execute.portal, "p") && execute.max_rows == 10,
	   "Execute");
	ok(refuses_all_other_lengths(payload, reads_execute), "and nothing else");
	buf_free(&buf);
}

static void
passwords(void)
{
	Buf buf = {0};
	WireSaslInitial initial;
	Slice payload, password;

	ok(wire_write_password(&buf, SLICE_LITERAL("secret")), "PasswordMessage");
	payload = only_payload(&buf, FE_PASSWORD);
	ok(wire_read_password(payload, &password) && slice_is(password, "secret"), "reads back");
	ok(!wire_read_password(SLICE_LITERAL("secret"), &password), "not without its NUL");

	buf_clear(&buf);
	ok(wire_write_sasl_initial(&buf, "SCRAM-SHA-256", SLICE_LITERAL("n,,n=,r=x")), "SASLInitialResponse");
	payload = only_payload(&buf, FE_PASSWORD);
	ok(wire_read_sasl_initial(payload, &initial), "reads back");
	ok(slice_is(initial.mechanism, "SCRAM-SHA-256") && slice_is(initial.data, "n,,n=,r=x"), "both parts");
	ok(refuses_all_other_lengths(payload, reads_sasl_initial), "and nothing else does");

	buf_clear(&buf);
	ok(wire_write_sasl_initial(&buf, "X", (Slice){NULL, 0}), "without initial data");
	payload = only_payload(&buf, FE_PASSWORD);
	ok(wire_read_sasl_initial(payload, &initial) && initial.data.ptr == NULL, "none is read");
	ok(!wire_read_sasl_initial(slice_make("X\0\xff\xff\xff\xfe", 6), &initial), "less than none is refused");
	ok(!wire_read_sasl_initial(slice_make("X\0\x7f\xff\xff\xff", 6), &initial),
	   "and so is more than there is");

	buf_clear(&buf);
	ok(wire_write_sasl_response(&buf, SLICE_LITERAL("c=biws")), "SASLResponse");
	ok(slice_is(only_payload(&buf, FE_PASSWORD), "c=biws"), "is its payload");
	buf_free(&buf);
}

/* ---- renaming ---- */

/* Put a prefix and the rest of the old payload together, as a session sends them. */
static void
join(Buf *buf, const uint8_t *prefix, size_t prefix_len, Slice payload, size_t rest_offset)
{
	buf_clear(buf);
	ok(buf_append(buf, prefix, prefix_len), "prefix");
	ok(buf_append(buf, payload.ptr + rest_offset, payload.len - rest_offset), "rest");
}

static void
renamed_bind_is_whole(void)
{
	const Slice payload = slice_make("portal\0old\0\0\1\0\0\0\1\0\0\0\3abc\0\0", 25);
	uint8_t prefix[64];
	WireBind b, renamed;
	Buf buf = {0};
	size_t n;

	ok(wire_read_bind(payload, &b), "a Bind");
	n = wire_rename_prefix_bind(&b, (uint32_t) payload.len, "W12345", prefix, sizeof(prefix));
	is_int((int) n, (int) (5 + 7 + 7), "its new front");
	join(&buf, prefix, n, payload, b.rest_offset);
	ok(wire_read_bind(only_payload(&buf, FE_BIND), &renamed), "is a whole Bind again");
	ok(slice_is(renamed.portal, "portal") && slice_is(renamed.statement, "W12345"), "with the new name");
	ok(slice_equal(
		   slice_make(buf_ptr(&buf) + 5 + renamed.rest_offset, buf_len(&buf) - 5 - renamed.rest_offset),
		   slice_make(payload.ptr + b.rest_offset, payload.len - b.rest_offset)),
	   "and the same rest");
	ok(n <= WIRE_RENAME_SIZE(6, 6), "WIRE_RENAME_SIZE suffices");
	for (size_t size = 0; size < n; size++)
	{
		uint8_t *small = exact_copy(prefix, size);

		if (wire_rename_prefix_bind(&b, (uint32_t) payload.len, "W12345", small, size) != 0)
			ok(false, "too small an output is refused");
		free(small);
	}
	buf_free(&buf);
}

static void
renamed_length_cannot_overflow(void)
{
	const Slice payload = slice_make("\0\0", 2);
	uint8_t prefix[64];
	WireBind b;

	ok(wire_read_bind(payload, &b), "a Bind of which only the names are there");
	ok(wire_rename_prefix_bind(&b, INT32_MAX - 4, "", prefix, sizeof(prefix)) == 7,
	   "the longest one possible");
	ok(wire_load_u32(prefix + 1) == INT32_MAX, "keeps its length");
	ok(wire_rename_prefix_bind(&b, INT32_MAX - 4, "x", prefix, sizeof(prefix)) == 0, "but cannot grow");
	ok(wire_rename_prefix_bind(&b, 1, "x", prefix, sizeof(prefix)) == 0, "nor be shorter than its names");
}

static void
renamed_parse_describe_close(void)
{
	Buf buf = {0};
	uint8_t prefix[64];
	uint8_t original[64];
	WireParse p, renamed;
	WireTarget target;
	Slice payload;
	size_t n;

	ok(wire_write_parse(&buf, SLICE_LITERAL("a"), SLICE_LITERAL("select $1"), slice_make("\0\0\0\x17", 4)),
	   "Parse");
	payload = only_payload(&buf, FE_PARSE);
	memcpy(original, payload.ptr, payload.len);
	payload.ptr = original;
	ok(wire_read_parse(payload, &p), "read");
	n = wire_rename_prefix_parse(&p, (uint32_t) payload.len, "W1", prefix, sizeof(prefix));
	join(&buf, prefix, n, payload, p.rest_offset);
	ok(wire_read_parse(only_payload(&buf, FE_PARSE), &renamed), "is a whole Parse again");
	ok(slice_is(renamed.name, "W1") && slice_is(renamed.query, "select $1") && renamed.param_count == 1,
	   "renamed");

	n = wire_rename_prefix_describe("W1", prefix, sizeof(prefix));
	ok(n == 9 && wire_read_describe(slice_make(prefix + 5, n - 5), &target) && prefix[0] == FE_DESCRIBE,
	   "Describe");
	ok(target.kind == 'S' && slice_is(target.name, "W1"), "renamed");
	n = wire_rename_prefix_close("W1", prefix, sizeof(prefix));
	ok(n == 9 && wire_read_close(slice_make(prefix + 5, n - 5), &target) && prefix[0] == FE_CLOSE, "Close");
	ok(target.kind == 'S' && slice_is(target.name, "W1"), "renamed");
	buf_free(&buf);
}

int
main(void)
{
	query();
	parse();
	parse_with_many_parameters();
	bind_names();
	describe_and_close();
	small_messages();
	passwords();
	renamed_bind_is_whole();
	renamed_length_cannot_overflow();
	renamed_parse_describe_close();
	return done_testing();
}
