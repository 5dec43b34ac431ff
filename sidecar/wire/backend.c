/*
 * backend.c: messages a server sends.
 */
#include "wire/backend.h"
#include "wire/startup.h"

/* ---- Authentication ---- */

/* Are these strings, at least one, and then one NUL? */
static bool
mechanisms_are_valid(Slice list)
{
	WireReader r;
	int n = 0;

	wire_reader_init(&r, list.ptr, list.len);
	while (wire_get_cstr(&r).len > 0)
		n++;
	return n > 0 && wire_reader_done(&r);
}

bool
wire_read_authentication(Slice payload, WireAuth *out)
{
	WireReader r;
	Slice rest;

	wire_reader_init(&r, payload.ptr, payload.len);
	*out = (WireAuth){.code = wire_get_i32(&r)};
	rest = wire_get_bytes(&r, wire_reader_left(&r));
	if (r.failed)
		return false;
	switch (out->code)
	{
		case AUTH_OK:
		case AUTH_CLEARTEXT: return rest.len == 0;
		case AUTH_MD5:
			if (rest.len != sizeof(out->salt))
				return false;
			memcpy(out->salt, rest.ptr, sizeof(out->salt));
			return true;
		case AUTH_SASL: out->_mechanisms = rest; return mechanisms_are_valid(rest);
		default: out->data = rest; return true;
	}
}

bool
wire_auth_next_mechanism(const WireAuth *auth, size_t *pos, Slice *name)
{
	WireReader r;

	if (auth->code != AUTH_SASL || *pos >= auth->_mechanisms.len)
		return false;
	wire_reader_init(&r, auth->_mechanisms.ptr + *pos, auth->_mechanisms.len - *pos);
	*name = wire_get_cstr(&r);
	*pos = auth->_mechanisms.len - wire_reader_left(&r);
	return name->len > 0;
}

static bool
write_auth(Buf *buf, int32_t code, Slice data)
{
	WireWriter w;

	wire_writer_init(&w, buf);
	wire_start(&w, BE_AUTHENTICATION);
	wire_put_i32(&w, code);
	wire_put_bytes(&w, data.ptr, data.len);
	return wire_finish(&w);
}

bool
wire_write_auth_ok(Buf *buf)
{
	return write_auth(buf, AUTH_OK, (Slice){NULL, 0});
}

bool
wire_write_auth_cleartext(Buf *buf)
{
	return write_auth(buf, AUTH_CLEARTEXT, (Slice){NULL, 0});
}

bool
wire_write_auth_md5(Buf *buf, const uint8_t salt[4])
{
	return write_auth(buf, AUTH_MD5, slice_make(salt, 4));
}

bool
wire_write_auth_sasl(Buf *buf, const char *const *mechanisms, int n)
{
	WireWriter w;

	wire_writer_init(&w, buf);
	wire_start(&w, BE_AUTHENTICATION);
	wire_put_i32(&w, AUTH_SASL);
	for (int i = 0; i < n; i++)
		wire_put_cstr(&w, mechanisms[i]);
	wire_put_u8(&w, 0);
	return wire_finish(&w);
}

bool
wire_write_auth_sasl_continue(Buf *buf, Slice data)
{
	return write_auth(buf, AUTH_SASL_CONTINUE, data);
}

bool
wire_write_auth_sasl_final(Buf *buf, Slice data)
{
	return write_auth(buf, AUTH_SASL_FINAL, data);
}

/* ---- the rest of a login ---- */

bool
wire_read_backend_key(Slice payload, uint32_t *pid, Slice *key)
{
	WireReader r;

	wire_reader_init(&r, payload.ptr, payload.len);
	*pid = (uint32_t) wire_get_i32(&r);
	*key = wire_get_bytes(&r, wire_reader_left(&r));
	return !r.failed && key->len >= WIRE_CANCEL_KEY_MIN && key->len <= WIRE_CANCEL_KEY_MAX;
}

bool
wire_write_backend_key_data(Buf *buf, uint32_t pid, Slice key)
{
	WireWriter w;

	wire_writer_init(&w, buf);
	wire_start(&w, BE_BACKEND_KEY_DATA);
	wire_put_i32(&w, (int32_t) pid);
	wire_put_bytes(&w, key.ptr, key.len);
	return wire_finish(&w);
}

bool
wire_read_parameter_status(Slice payload, Slice *name, Slice *value)
{
	WireReader r;

	wire_reader_init(&r, payload.ptr, payload.len);
	*name = wire_get_cstr(&r);
	*value = wire_get_cstr(&r);
	return wire_reader_done(&r);
}

bool
wire_write_parameter_status(Buf *buf, Slice name, Slice value)
{
	WireWriter w;

	wire_writer_init(&w, buf);
	wire_start(&w, BE_PARAMETER_STATUS);
	wire_put_slice_cstr(&w, name);
	wire_put_slice_cstr(&w, value);
	return wire_finish(&w);
}

bool
wire_read_ready_for_query(Slice payload, char *status)
{
	if (payload.len != 1)
		return false;
	*status = (char) payload.ptr[0];
	return *status == TX_IDLE || *status == TX_IN_BLOCK || *status == TX_FAILED;
}

bool
wire_write_ready_for_query(Buf *buf, char status)
{
	WireWriter w;

	wire_writer_init(&w, buf);
	wire_start(&w, BE_READY_FOR_QUERY);
	wire_put_u8(&w, (uint8_t) status);
	return wire_finish(&w);
}

bool
wire_read_negotiate_version(Slice payload, uint16_t *minor)
{
	WireReader r;
	uint32_t version;
	int32_t unknown;

	wire_reader_init(&r, payload.ptr, payload.len);
	version = (uint32_t) wire_get_i32(&r);
	unknown = wire_get_i32(&r);
	*minor = (uint16_t) version;
	if (unknown < 0 || (version >> 16 != 0 && version >> 16 != 3))
		return false;
	for (int32_t i = 0; i < unknown && !r.failed; i++)
		wire_get_cstr(&r);
	return wire_reader_done(&r);
}

/* ---- results ---- */

bool
wire_write_parse_complete(Buf *buf)
{
	return wire_write_empty(buf, BE_PARSE_COMPLETE);
}

bool
wire_write_bind_complete(Buf *buf)
{
	return wire_write_empty(buf, BE_BIND_COMPLETE);
}

bool
wire_write_close_complete(Buf *buf)
{
	return wire_write_empty(buf, BE_CLOSE_COMPLETE);
}

bool
wire_write_empty_query(Buf *buf)
{
	return wire_write_empty(buf, BE_EMPTY_QUERY);
}

bool
wire_write_no_data(Buf *buf)
{
	return wire_write_empty(buf, BE_NO_DATA);
}

bool
wire_write_no_parameters(Buf *buf)
{
	WireWriter w;

	wire_writer_init(&w, buf);
	wire_start(&w, BE_PARAMETER_DESCRIPTION);
	wire_put_i16(&w, 0);
	return wire_finish(&w);
}

bool
wire_read_command_tag(Slice payload, Slice *tag)
{
	WireReader r;

	wire_reader_init(&r, payload.ptr, payload.len);
	*tag = wire_get_cstr(&r);
	return wire_reader_done(&r);
}

bool
wire_write_command_complete(Buf *buf, const char *tag)
{
	WireWriter w;

	wire_writer_init(&w, buf);
	wire_start(&w, BE_COMMAND_COMPLETE);
	wire_put_cstr(&w, tag);
	return wire_finish(&w);
}

static int16_t
type_length(uint32_t type_oid)
{
	switch (type_oid)
	{
		case WIRE_OID_BOOL: return 1;
		case WIRE_OID_INT4: return 4;
		case WIRE_OID_INT8: return 8;
		default: return -1;
	}
}

bool
wire_write_row_description(Buf *buf, const WireColumn *columns, int n)
{
	WireWriter w;

	wire_writer_init(&w, buf);
	wire_start(&w, BE_ROW_DESCRIPTION);
	wire_put_i16(&w, (int16_t) n);
	for (int i = 0; i < n; i++)
	{
		wire_put_cstr(&w, columns[i].name);
		wire_put_i32(&w, 0); /* of no table */
		wire_put_i16(&w, 0); /* nor a column of one */
		wire_put_i32(&w, (int32_t) columns[i].type_oid);
		wire_put_i16(&w, type_length(columns[i].type_oid));
		wire_put_i32(&w, -1); /* no type modifier */
		wire_put_i16(&w, 0);  /* text */
	}
	return wire_finish(&w);
}

bool
wire_write_data_row(Buf *buf, const Slice *values, int n)
{
	WireWriter w;

	wire_writer_init(&w, buf);
	wire_start(&w, BE_DATA_ROW);
	wire_put_i16(&w, (int16_t) n);
	for (int i = 0; i < n; i++)
	{
		if (values[i].len > INT32_MAX)
			w.failed = true;
		wire_put_i32(&w, values[i].ptr == NULL ? -1 : (int32_t) values[i].len);
		if (values[i].ptr != NULL)
			wire_put_bytes(&w, values[i].ptr, values[i].len);
	}
	return wire_finish(&w);
}

bool
wire_read_notification(Slice payload, WireNotification *out)
{
	WireReader r;

	wire_reader_init(&r, payload.ptr, payload.len);
	out->pid = (uint32_t) wire_get_i32(&r);
	out->channel = wire_get_cstr(&r);
	out->payload = wire_get_cstr(&r);
	return wire_reader_done(&r);
}

/* ---- ErrorResponse and NoticeResponse ---- */

/* The fields, in the order PostgreSQL sends them. */
static const struct
{
	uint8_t letter;
	size_t offset;
} error_fields[] = {
	{'S', offsetof(WireError, severity)},       {'V', offsetof(WireError, severity_v)},
	{'C', offsetof(WireError, code)},           {'M', offsetof(WireError, message)},
	{'D', offsetof(WireError, detail)},         {'H', offsetof(WireError, hint)},
	{'P', offsetof(WireError, position)},       {'p', offsetof(WireError, internal_position)},
	{'q', offsetof(WireError, internal_query)}, {'W', offsetof(WireError, where)},
	{'s', offsetof(WireError, schema)},         {'t', offsetof(WireError, table)},
	{'c', offsetof(WireError, column)},         {'d', offsetof(WireError, datatype)},
	{'n', offsetof(WireError, constraint)},     {'F', offsetof(WireError, file)},
	{'L', offsetof(WireError, line)},           {'R', offsetof(WireError, routine)},
};

#define ERROR_FIELDS (sizeof(error_fields) / sizeof(error_fields[0]))

static void
set_error_field(WireError *error, uint8_t letter, Slice value)
{
	for (size_t i = 0; i < ERROR_FIELDS; i++)
		if (error_fields[i].letter == letter)
			*(Slice *) ((char *) error + error_fields[i].offset) = value;
}

bool
wire_read_error(Slice payload, WireError *out)
{
	WireReader r;
	uint8_t letter;

	wire_reader_init(&r, payload.ptr, payload.len);
	*out = (WireError){.severity = {NULL, 0}};
	while ((letter = wire_get_u8(&r)) != 0)
		set_error_field(out, letter, wire_get_cstr(&r));
	return wire_reader_done(&r);
}

static bool
write_report(Buf *buf, uint8_t type, const WireError *error)
{
	WireError report = *error;
	WireWriter w;

	if (report.severity_v.ptr == NULL)
		report.severity_v = report.severity;
	wire_writer_init(&w, buf);
	wire_start(&w, type);
	for (size_t i = 0; i < ERROR_FIELDS; i++)
	{
		const Slice *value = (const Slice *) ((const char *) &report + error_fields[i].offset);

		if (value->ptr == NULL)
			continue;
		wire_put_u8(&w, error_fields[i].letter);
		wire_put_slice_cstr(&w, *value);
	}
	wire_put_u8(&w, 0);
	return wire_finish(&w);
}

bool
wire_write_error(Buf *buf, const WireError *error)
{
	return write_report(buf, BE_ERROR_RESPONSE, error);
}

bool
wire_write_notice(Buf *buf, const WireError *notice)
{
	return write_report(buf, BE_NOTICE_RESPONSE, notice);
}

bool
wire_error_simple(Buf *buf, const char *severity, const char *sqlstate, const char *message)
{
	WireError error = {
		.severity = slice_str(severity), .code = slice_str(sqlstate), .message = slice_str(message)};

	return wire_write_error(buf, &error);
}
