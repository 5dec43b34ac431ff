/*
 * backend_test.c: messages a server sends: what is written is read back, and nothing shorter or longer is.
 */
#include "wire_test.h"
#include "wire/backend.h"

static bool
reads_auth(Slice payload)
{
	WireAuth auth;

	return wire_read_authentication(payload, &auth);
}

static bool
reads_ready(Slice payload)
{
	char status;

	return wire_read_ready_for_query(payload, &status);
}

static bool
reads_parameter(Slice payload)
{
	Slice name, value;

	return wire_read_parameter_status(payload, &name, &value);
}

static bool
reads_tag(Slice payload)
{
	Slice tag;

	return wire_read_command_tag(payload, &tag);
}

static bool
reads_notification(Slice payload)
{
	WireNotification notification;

	return wire_read_notification(payload, &notification);
}

static bool
reads_error(Slice payload)
{
	WireError error;

	return wire_read_error(payload, &error);
}

static bool
reads_negotiation(Slice payload)
{
	uint16_t minor;

	return wire_read_negotiate_version(payload, &minor);
}

static void
authentication_without_data(void)
{
	Buf buf = {0};
	WireAuth auth;
	Slice payload;

	ok(wire_write_auth_ok(&buf), "AuthenticationOk");
	payload = only_payload(&buf, BE_AUTHENTICATION);
	ok(wire_read_authentication(payload, &auth) && auth.code == AUTH_OK, "reads back");
	ok(refuses_all_other_lengths(payload, reads_auth), "and nothing else does");

	buf_clear(&buf);
	ok(wire_write_auth_cleartext(&buf), "AuthenticationCleartextPassword");
	payload = only_payload(&buf, BE_AUTHENTICATION);
	ok(wire_read_authentication(payload, &auth) && auth.code == AUTH_CLEARTEXT, "reads back");
	ok(refuses_all_other_lengths(payload, reads_auth), "and nothing else does");

	buf_clear(&buf);
	ok(wire_write_auth_md5(&buf, (const uint8_t *) "\1\2\0\4"), "AuthenticationMD5Password");
	payload = only_payload(&buf, BE_AUTHENTICATION);
	ok(wire_read_authentication(payload, &auth) && auth.code == AUTH_MD5, "reads back");
	ok(memcmp(auth.salt, "\1\2\0\4", 4) == 0, "with its salt");
	ok(refuses_all_other_lengths(payload, reads_auth), "and nothing else does");
	buf_free(&buf);
}

static void
authentication_sasl(void)
{
	static const char *const mechanisms[] = {"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"};
	Buf buf = {0};
	WireAuth auth;
	Slice payload, name;
	size_t pos = 0;

	ok(wire_write_auth_sasl(&buf, mechanisms, 2), "AuthenticationSASL");
	payload = only_payload(&buf, BE_AUTHENTICATION);
	ok(wire_read_authentication(payload, &auth) && auth.code == AUTH_SASL, "reads back");
	ok(wire_auth_next_mechanism(&auth, &pos, &name) && slice_is(name, mechanisms[0]), "first mechanism");
	ok(wire_auth_next_mechanism(&auth, &pos, &name) && slice_is(name, mechanisms[1]), "second mechanism");
	ok(!wire_auth_next_mechanism(&auth, &pos, &name), "no third");
	ok(refuses_all_other_lengths(payload, reads_auth), "and nothing shorter or longer is accepted");
	ok(!wire_read_authentication(slice_make("\0\0\0\x0a\0", 5), &auth),
	   "an empty list of mechanisms is malformed");

	buf_clear(&buf);
	ok(wire_write_auth_sasl_continue(&buf, SLICE_LITERAL("r=x")), "AuthenticationSASLContinue");
	payload = only_payload(&buf, BE_AUTHENTICATION);
	ok(wire_read_authentication(payload, &auth) && auth.code == AUTH_SASL_CONTINUE, "reads back");
	ok(slice_is(auth.data, "r=x"), "with its data");
	pos = 0;
	ok(!wire_auth_next_mechanism(&auth, &pos, &name), "and has no mechanisms");

	buf_clear(&buf);
	ok(wire_write_auth_sasl_final(&buf, SLICE_LITERAL("v=y")), "AuthenticationSASLFinal");
	payload = only_payload(&buf, BE_AUTHENTICATION);
	ok(wire_read_authentication(payload, &auth) && auth.code == AUTH_SASL_FINAL, "reads back");
	ok(slice_is(auth.data, "v=y"), "with its data");
	ok(wire_read_authentication(slice_make("\0\0\0\7", 4), &auth) && auth.code == AUTH_GSS,
	   "a method not spoken here is read, so that its number can be reported");
	buf_free(&buf);
}

static void
login_messages(void)
{
	Buf buf = {0};
	Slice payload, name, value, key;
	uint32_t pid;
	char status;

	ok(wire_write_backend_key_data(&buf, 4000000000u, SLICE_LITERAL("\1\2\3\4")), "BackendKeyData");
	payload = only_payload(&buf, BE_BACKEND_KEY_DATA);
	ok(wire_read_backend_key(payload, &pid, &key) && pid == 4000000000u && slice_is(key, "\1\2\3\4"),
	   "reads back");
	ok(!wire_read_backend_key(slice_make(payload.ptr, 7), &pid, &key), "a key of three bytes is refused");
	ok(!wire_read_backend_key(slice_make(payload.ptr, 3), &pid, &key), "and so is half a pid");

	buf_clear(&buf);
	ok(wire_write_parameter_status(&buf, SLICE_LITERAL("pgweir.deadline"), SLICE_LITERAL("")),
	   "ParameterStatus");
	payload = only_payload(&buf, BE_PARAMETER_STATUS);
	ok(wire_read_parameter_status(payload, &name, &value), "reads back");
	ok(slice_is(name, "pgweir.deadline") && value.ptr != NULL && value.len == 0, "with an empty value");
	ok(refuses_all_other_lengths(payload, reads_parameter), "and nothing else does");

	for (const char *s = "ITE"; *s != '\0'; s++)
	{
		buf_clear(&buf);
		ok(wire_write_ready_for_query(&buf, *s), "ReadyForQuery");
		payload = only_payload(&buf, BE_READY_FOR_QUERY);
		ok(wire_read_ready_for_query(payload, &status) && status == *s, "reads back");
		ok(refuses_all_other_lengths(payload, reads_ready), "and nothing else does");
	}
	ok(!wire_read_ready_for_query(SLICE_LITERAL("X"), &status), "an unknown status is refused");
	buf_free(&buf);
}

static void
negotiation(void)
{
	uint16_t minor = 7;
	Slice both = slice_make("\0\3\0\2\0\0\0\1_pq_.a", 15);

	ok(wire_read_negotiate_version(both, &minor) && minor == 2,
	   "NegotiateProtocolVersion with a whole version");
	ok(refuses_all_other_lengths(both, reads_negotiation), "and nothing else");
	ok(wire_read_negotiate_version(slice_make("\0\0\0\1\0\0\0\0", 8), &minor) && minor == 1,
	   "with a minor number");
	ok(!wire_read_negotiate_version(slice_make("\0\4\0\0\0\0\0\0", 8), &minor),
	   "not with another protocol's");
	ok(!wire_read_negotiate_version(slice_make("\0\3\0\0\xff\xff\xff\xff", 8), &minor),
	   "nor with fewer than no options");
	ok(!wire_read_negotiate_version(slice_make("\0\3\0\0\x7f\xff\xff\xff", 8), &minor),
	   "nor with more than there are");
}

static void
empty_messages(void)
{
	static const struct
	{
		bool (*write)(Buf *);
		uint8_t type;
	} cases[] = {
		{wire_write_parse_complete, '1'},
		{wire_write_bind_complete, '2'},
		{wire_write_close_complete, '3'},
		{wire_write_empty_query, 'I'},
	};
	Buf buf = {0};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		buf_clear(&buf);
		ok(cases[i].write(&buf), "a message without a payload");
		is_int((int) only_payload(&buf, cases[i].type).len, 0, "has none");
	}
	buf_free(&buf);
}

static void
made_up_result(void)
{
	const WireColumn columns[] = {{"name", WIRE_OID_TEXT}, {"n", WIRE_OID_INT8}};
	const Slice values[] = {{NULL, 0}, SLICE_LITERAL("42")};
	const Slice empty[] = {SLICE_LITERAL("")};
	Buf buf = {0};
	Slice tag;

	ok(wire_write_row_description(&buf, columns, 2), "RowDescription");
	ok(slice_equal(only_payload(&buf, BE_ROW_DESCRIPTION),
				   slice_make("\0\2name\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0"
							  "n\0\0\0\0\0\0\0\0\0\0\x14\0\x08\xff\xff\xff\xff\0\0",
							  45)),
	   "byte for byte");
	buf_clear(&buf);
	ok(wire_write_data_row(&buf, values, 2), "DataRow");
	ok(slice_equal(only_payload(&buf, BE_DATA_ROW), slice_make("\0\2\xff\xff\xff\xff\0\0\0\x02"
															   "42",
															   12)),
	   "with a NULL");
	buf_clear(&buf);
	ok(wire_write_data_row(&buf, empty, 1), "DataRow");
	ok(slice_equal(only_payload(&buf, BE_DATA_ROW), slice_make("\0\1\0\0\0\0", 6)), "with an empty value");
	buf_clear(&buf);
	ok(wire_write_command_complete(&buf, "SELECT 1"), "CommandComplete");
	ok(wire_read_command_tag(only_payload(&buf, BE_COMMAND_COMPLETE), &tag) && slice_is(tag, "SELECT 1"),
	   "reads back");
	ok(refuses_all_other_lengths(SLICE_LITERAL("SHOW\0"), reads_tag), "and nothing else does");
	buf_free(&buf);
}

static void
notification(void)
{
	WireNotification n;
	Slice payload = slice_make("\0\0\x10\1chan\0hello", 15);

	ok(wire_read_notification(payload, &n) && n.pid == 4097, "NotificationResponse");
	ok(slice_is(n.channel, "chan") && slice_is(n.payload, "hello"), "its channel and payload");
	ok(refuses_all_other_lengths(payload, reads_notification), "and nothing else");
}

/* Gives each field of an error its own value, or compares them. */
static bool
all_fields(WireError *error, bool compare)
{
	Slice *fields[] = {
		&error->severity,       &error->severity_v, &error->code,       &error->message,
		&error->detail,         &error->hint,       &error->position,   &error->internal_position,
		&error->internal_query, &error->where,      &error->schema,     &error->table,
		&error->column,         &error->datatype,   &error->constraint, &error->file,
		&error->line,           &error->routine,
	};
	static const char text[] = "abcdefghijklmnopqrstuvwxyz";
	bool same = true;

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
	{
		Slice value = slice_make(text + i, i % 5);

		if (compare)
			same = same && fields[i]->ptr != NULL && slice_equal(*fields[i], value);
		else
			*fields[i] = value;
	}
	return same && sizeof(fields) / sizeof(fields[0]) * sizeof(Slice) == sizeof(WireError);
}

static void
errors_with_all_fields(void)
{
	Buf buf = {0};
	WireError in, out;
	Slice payload;

	ok(all_fields(&in, false), "all fields of an error");
	ok(wire_write_error(&buf, &in), "ErrorResponse");
	payload = only_payload(&buf, BE_ERROR_RESPONSE);
	ok(wire_read_error(payload, &out) && all_fields(&out, true), "every field reads back");
	ok(refuses_all_other_lengths(payload, reads_error), "and nothing shorter or longer is accepted");
	buf_clear(&buf);
	ok(wire_write_notice(&buf, &in), "NoticeResponse");
	ok(slice_equal(only_payload(&buf, BE_NOTICE_RESPONSE), payload), "has the same payload");
	buf_free(&buf);
}

static void
errors_as_servers_send_them(void)
{
	Buf buf = {0};
	WireError error;

	ok(wire_error_simple(&buf, "ERROR", "57014", "canceling statement due to query deadline"),
	   "a simple error");
	ok(slice_equal(only_payload(&buf, BE_ERROR_RESPONSE),
				   SLICE_LITERAL("SERROR\0VERROR\0C57014\0Mcanceling statement due to query deadline\0\0")),
	   "byte for byte");
	ok(wire_read_error(SLICE_LITERAL("SFEHLER\0VERROR\0C23505\0Mm\0XX\0?\0nuniq\0\0"), &error),
	   "unknown fields are skipped");
	ok(slice_is(error.severity, "FEHLER") && slice_is(error.severity_v, "ERROR"), "both severities");
	ok(slice_is(error.constraint, "uniq") && error.detail.ptr == NULL,
	   "a field behind them; one that is absent");
	ok(wire_read_error(SLICE_LITERAL("\0"), &error) && error.code.ptr == NULL, "no fields at all");
	ok(!wire_read_error((Slice){NULL, 0}, &error), "but not nothing");
	ok(!wire_read_error(SLICE_LITERAL("Mx\0\0Cy\0\0"), &error), "nothing may follow the end");

	buf_clear(&buf);
	error = (WireError){.message = slice_make("a\0b", 3)};
	ok(!wire_write_error(&buf, &error) && buf_len(&buf) == 0, "a NUL inside a field cannot be written");
	buf_free(&buf);
}

int
main(void)
{
	authentication_without_data();
	authentication_sasl();
	login_messages();
	negotiation();
	empty_messages();
	made_up_result();
	notification();
	errors_with_all_fields();
	errors_as_servers_send_them();
	return done_testing();
}
