/*
 * startup_test.c: packets without a letter, and `options`.
 */
#include "wire_test.h"
#include "wire/startup.h"

#define MAX 10000

static WireStatus
read_exact(const void *bytes, size_t n, WireStartup *out, uint8_t **copy)
{
	*copy = exact_copy(bytes, n);
	return wire_read_startup(*copy, n, MAX, out);
}

static void
startup_round_trip(void)
{
	const WireParam params[] = {
		{SLICE_LITERAL("user"), SLICE_LITERAL("app")},
		{SLICE_LITERAL("database"), SLICE_LITERAL("shop")},
		{SLICE_LITERAL("application_name"), SLICE_LITERAL("")},
	};
	Buf buf = {0};
	WireStartup startup;
	Slice name, value;
	size_t pos = 0;

	ok(wire_write_startup(&buf, params, 3), "write a startup message");
	ok(wire_read_startup(buf_ptr(&buf), buf_len(&buf), MAX, &startup) == WIRE_OK, "read it");
	is_int(startup.kind, STARTUP_MESSAGE, "its kind");
	is_int(startup.major, 3, "protocol 3");
	is_int(startup.minor, 0, "minor 0");
	is_int(startup.total_len, (int) buf_len(&buf), "its length");
	for (int i = 0; i < 3; i++)
	{
		ok(wire_startup_next(&startup, &pos, &name, &value), "next parameter");
		ok(slice_equal(name, params[i].name) && slice_equal(value, params[i].value), "is the one written");
	}
	ok(!wire_startup_next(&startup, &pos, &name, &value), "and then no more");
	ok(!wire_startup_next(&startup, &pos, &name, &value), "nor later");
	buf_free(&buf);
}

static void
every_prefix_needs_more(void)
{
	const WireParam params[] = {{SLICE_LITERAL("user"), SLICE_LITERAL("app")}};
	Buf buf = {0};
	WireStartup startup;
	uint8_t *copy;

	ok(wire_write_startup(&buf, params, 1) && wire_write_cancel_request(&buf, 1, SLICE_LITERAL("1234")),
	   "two packets");
	for (size_t n = 0; n < 18; n++)
	{
		ok(read_exact(buf_ptr(&buf), n, &startup, &copy) == WIRE_NEED_MORE,
		   "part of a startup packet needs more");
		free(copy);
	}
	ok(read_exact(buf_ptr(&buf), 18, &startup, &copy) == WIRE_OK, "all of it does not");
	free(copy);
	ok(read_exact(buf_ptr(&buf), 25, &startup, &copy) == WIRE_OK, "nor does more than all");
	is_int(startup.total_len, 18, "of which only the packet is taken");
	free(copy);
	buf_consume(&buf, 18);
	for (size_t n = 0; n < 16; n++)
	{
		ok(read_exact(buf_ptr(&buf), n, &startup, &copy) == WIRE_NEED_MORE,
		   "part of a cancel request needs more");
		free(copy);
	}
	buf_free(&buf);
}

static void
requests_are_told_apart(void)
{
	static const struct
	{
		const char *what;
		const char bytes[16];
		size_t len;
		WireStatus status;
		WireStartupKind kind;
	} cases[] = {
		{"SSLRequest", "\0\0\0\x08\x04\xd2\x16\x2f", 8, WIRE_OK, STARTUP_SSL_REQUEST},
		{"SSLRequest with bytes inside", "\0\0\0\x09\x04\xd2\x16\x2f\0", 9, WIRE_BAD, 0},
		{"GSSENCRequest", "\0\0\0\x08\x04\xd2\x16\x30", 8, WIRE_OK, STARTUP_GSSENC_REQUEST},
		{"TLS handshake", "\x16\x03\x01\x02", 4, WIRE_OK, STARTUP_TLS_DIRECT},
		{"TLS handshake, first byte", "\x16", 1, WIRE_OK, STARTUP_TLS_DIRECT},
		{"protocol 2", "\0\0\x01\x28\0\x02\0\0", 8, WIRE_OK, STARTUP_OLD_V2},
		{"protocol 4", "\0\0\0\x08\0\x04\0\0", 8, WIRE_OK, STARTUP_FUTURE},
		{"protocol 0", "\0\0\0\x08\0\0\0\x01", 8, WIRE_BAD, 0},
		{"HTTP", "GET / HTTP/1.1", 14, WIRE_BAD, 0},
		{"too short to be anything", "\0\0\0\x07\0\x03\0\0", 8, WIRE_BAD, 0},
		{"no parameters", "\0\0\0\x09\0\x03\0\0\0", 9, WIRE_OK, STARTUP_MESSAGE},
		{"no terminator", "\0\0\0\x08\0\x03\0\0", 8, WIRE_BAD, 0},
		{"terminator too early", "\0\0\0\x0c\0\x03\0\0\0a\0", 12, WIRE_BAD, 0},
		{"name without a value", "\0\0\0\x0b\0\x03\0\0a\0\0", 11, WIRE_BAD, 0},
		{"name without its NUL", "\0\0\0\x0a\0\x03\0\0ab", 10, WIRE_BAD, 0},
		{"empty value", "\0\0\0\x0c\0\x03\0\0a\0\0\0", 12, WIRE_OK, STARTUP_MESSAGE},
		{"cancel without a key", "\0\0\0\x0c\x04\xd2\x16\x2e\0\0\0\x01", 12, WIRE_BAD, 0},
		{"cancel, key of three", "\0\0\0\x0f\x04\xd2\x16\x2e\0\0\0\x01xyz", 15, WIRE_BAD, 0},
		{"cancel", "\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x01wxyz", 16, WIRE_OK, STARTUP_CANCEL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		WireStartup startup = {.kind = STARTUP_MESSAGE};
		uint8_t *copy;

		is_int(read_exact(cases[i].bytes, cases[i].len, &startup, &copy), cases[i].status, cases[i].what);
		if (cases[i].status == WIRE_OK)
			is_int(startup.kind, cases[i].kind, cases[i].what);
		free(copy);
	}
}

static void
limit_is_kept(void)
{
	WireStartup startup;

	ok(wire_read_startup((const uint8_t *) "\0\0\x27\x11", 4, MAX, &startup) == WIRE_BAD,
	   "a packet above the limit is refused by its length");
	ok(wire_read_startup((const uint8_t *) "\0\0\x27\x10", 4, MAX, &startup) == WIRE_NEED_MORE,
	   "one at the limit is not");
}

static void
minor_versions_are_seen(void)
{
	WireStartup startup;
	Slice name, value;
	size_t pos = 0;

	ok(wire_read_startup((const uint8_t *) "\0\0\0\x15\0\x03\0\x02_pq_.x\0on\0u", 20, MAX, &startup) ==
		   WIRE_NEED_MORE,
	   "protocol 3.2, cut");
	ok(wire_read_startup((const uint8_t *) "\0\0\0\x13\0\x03\0\x02_pq_.x\0on\0", 19, MAX, &startup) ==
		   WIRE_OK,
	   "protocol 3.2");
	is_int(startup.minor, 2, "its minor number");
	ok(wire_startup_next(&startup, &pos, &name, &value) && slice_is(name, "_pq_.x"), "its protocol option");
}

static void
cancel_keys_of_all_lengths(void)
{
	uint8_t key[257];
	Buf buf = {0};
	WireStartup startup;

	memset(key, 'k', sizeof(key));
	for (size_t n = 0; n <= sizeof(key); n++)
	{
		bool fits = n >= 4 && n <= 256;

		buf_clear(&buf);
		if (wire_write_cancel_request(&buf, 0xfffffffeu, slice_make(key, n)) != fits)
			ok(false, "cancel keys have 4 to 256 bytes");
		else if (!fits)
			ok(buf_len(&buf) == 0, "and nothing is written for others");
		else if (wire_read_startup(buf_ptr(&buf), buf_len(&buf), MAX, &startup) != WIRE_OK ||
				 startup.pid != 0xfffffffeu || !slice_equal(startup.key, slice_make(key, n)))
			ok(false, "cancel request comes back as it was written");
	}
	ok(true, "cancel keys of all lengths");
	buf_free(&buf);
}

static void
bad_parameters_are_not_written(void)
{
	const WireParam unnamed = {SLICE_LITERAL(""), SLICE_LITERAL("x")};
	const WireParam cut = {SLICE_LITERAL("user"), {(const uint8_t *) "a\0b", 3}};
	Buf buf = {0};

	ok(!wire_write_startup(&buf, &unnamed, 1), "a name must not be empty");
	ok(!wire_write_startup(&buf, &cut, 1), "a value must not contain a NUL");
	is_int((int) buf_len(&buf), 0, "nothing was written");
	buf_free(&buf);
}

static void
negotiation_names_the_whole_version(void)
{
	const Slice unknown[] = {SLICE_LITERAL("_pq_.a"), SLICE_LITERAL("_pq_.b")};
	Buf buf = {0};

	ok(wire_write_negotiate_version(&buf, 0, unknown, 2), "write NegotiateProtocolVersion");
	ok(slice_equal(buf_slice(&buf), slice_make("v\0\0\0\x1a\0\x03\0\0\0\0\0\x02_pq_.a\0_pq_.b", 27)),
	   "its bytes are those PostgreSQL sends");
	buf_free(&buf);
}

/* ---- options ---- */

typedef struct Seen
{
	char text[256];
	int left; /* refuse after so many */
} Seen;

static bool
see(void *arg, Slice name, Slice value)
{
	Seen *seen = arg;
	size_t at = strlen(seen->text);

	if (seen->left-- == 0)
		return false;
	snprintf(seen->text + at, sizeof(seen->text) - at, "[%.*s=%.*s]", (int) name.len, (const char *) name.ptr,
			 (int) value.len, (const char *) value.ptr);
	return true;
}

static void
options_as_postgres_reads_them(void)
{
	static const struct
	{
		const char *options;
		const char *seen; /* NULL: refused */
	} cases[] = {
		{"", ""},
		{"   ", ""},
		{"-c a=b", "[a=b]"},
		{"-ca=b", "[a=b]"},
		{"--a=b", "[a=b]"},
		{"  -c  a=b\t--c-d=e ", "[a=b][c_d=e]"},
		{"--search-path=a\\ b", "[search_path=a b]"},
		{"-c a=b\\\\c", "[a=b\\c]"},
		{"-c a=x=y", "[a=x=y]"},
		{"-c a=", "[a=]"},
		{"-c pgweir.deadline=250ms", "[pgweir.deadline=250ms]"},
		{"-c a=b\\", "[a=b\\]"},
		{"-c a", NULL},
		{"-c", NULL},
		{"--a", NULL},
		{"--=b", NULL},
		{"--", NULL},
		{"-d 5", NULL},
		{"a=b", NULL},
		{"-", NULL},
		{"-c a=b -x", NULL},
		{"-c =b", NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		Seen seen = {.left = -1};
		size_t len = strlen(cases[i].options);
		uint8_t *copy = exact_copy(cases[i].options, len);
		uint8_t *scratch = exact_copy(cases[i].options, len);
		bool good = wire_parse_options(slice_make(copy, len), (char *) scratch, len, see, &seen);

		ok(good == (cases[i].seen != NULL), cases[i].options);
		if (good && cases[i].seen != NULL)
			is_str(seen.text, cases[i].seen, cases[i].options);
		free(copy);
		free(scratch);
	}
}

static void
options_stop_when_told(void)
{
	Seen seen = {.left = 1};
	char scratch[5];

	ok(!wire_parse_options(SLICE_LITERAL("--a=b --c=d --e=f"), (char[20]){0}, 20, see, &seen),
	   "the callback can stop it");
	is_str(seen.text, "[a=b]", "and sees no more");
	ok(!wire_parse_options(SLICE_LITERAL("--a=b --c=d"), scratch, sizeof(scratch), see, &seen),
	   "too little scratch fails");
}

int
main(void)
{
	startup_round_trip();
	every_prefix_needs_more();
	requests_are_told_apart();
	limit_is_kept();
	minor_versions_are_seen();
	cancel_keys_of_all_lengths();
	bad_parameters_are_not_written();
	negotiation_names_the_whole_version();
	options_as_postgres_reads_them();
	options_stop_when_told();
	return done_testing();
}
