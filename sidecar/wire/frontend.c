/*
 * frontend.c: messages a client sends.
 */
#include "wire/frontend.h"

/* A payload that is one string. */
static bool
read_cstr(Slice payload, Slice *out)
{
	WireReader r;

	wire_reader_init(&r, payload.ptr, payload.len);
	*out = wire_get_cstr(&r);
	return wire_reader_done(&r);
}

static bool
write_cstr(Buf *buf, uint8_t type, Slice s)
{
	WireWriter w;

	wire_writer_init(&w, buf);
	wire_start(&w, type);
	wire_put_slice_cstr(&w, s);
	return wire_finish(&w);
}

/* ---- Query ---- */

bool
wire_read_query(Slice payload, Slice *sql)
{
	return read_cstr(payload, sql);
}

bool
wire_write_query(Buf *buf, Slice sql)
{
	return write_cstr(buf, FE_QUERY, sql);
}

/* ---- Parse ---- */

bool
wire_read_parse(Slice payload, WireParse *out)
{
	WireReader r;

	wire_reader_init(&r, payload.ptr, payload.len);
	out->name = wire_get_cstr(&r);
	out->rest_offset = (uint32_t) (payload.len - wire_reader_left(&r));
	out->query = wire_get_cstr(&r);
	out->param_count = (uint16_t) wire_get_i16(&r); /* unsigned: up to 65535 parameters */
	out->param_types = wire_get_bytes(&r, (size_t) out->param_count * 4);
	return wire_reader_done(&r);
}

bool
wire_write_parse(Buf *buf, Slice name, Slice query, Slice param_types)
{
	WireWriter w;

	wire_writer_init(&w, buf);
	wire_start(&w, FE_PARSE);
	wire_put_slice_cstr(&w, name);
	wire_put_slice_cstr(&w, query);
	if (param_types.len % 4 != 0 || param_types.len / 4 > UINT16_MAX)
		w.failed = true;
	wire_put_i16(&w, (int16_t) (param_types.len / 4));
	wire_put_bytes(&w, param_types.ptr, param_types.len);
	return wire_finish(&w);
}

/* ---- Bind ---- */

bool
wire_read_bind(Slice payload, WireBind *out)
{
	WireReader r;

	wire_reader_init(&r, payload.ptr, payload.len);
	out->portal = wire_get_cstr(&r);
	out->statement_offset = (uint32_t) (payload.len - wire_reader_left(&r));
	out->statement = wire_get_cstr(&r);
	out->rest_offset = (uint32_t) (payload.len - wire_reader_left(&r));
	return !r.failed;
}

/* ---- Describe, Close ---- */

static bool
read_target(Slice payload, WireTarget *out)
{
	WireReader r;

	wire_reader_init(&r, payload.ptr, payload.len);
	out->kind = (char) wire_get_u8(&r);
	out->name = wire_get_cstr(&r);
	return wire_reader_done(&r) && (out->kind == 'S' || out->kind == 'P');
}

static bool
write_target(Buf *buf, uint8_t type, char kind, Slice name)
{
	WireWriter w;

	wire_writer_init(&w, buf);
	wire_start(&w, type);
	wire_put_u8(&w, (uint8_t) kind);
	wire_put_slice_cstr(&w, name);
	return wire_finish(&w);
}

bool
wire_read_describe(Slice payload, WireTarget *out)
{
	return read_target(payload, out);
}

bool
wire_read_close(Slice payload, WireTarget *out)
{
	return read_target(payload, out);
}

bool
wire_write_describe(Buf *buf, char kind, Slice name)
{
	return write_target(buf, FE_DESCRIBE, kind, name);
}

bool
wire_write_close(Buf *buf, char kind, Slice name)
{
	return write_target(buf, FE_CLOSE, kind, name);
}

/* ---- Execute, Sync, Flush, Terminate, CopyFail ---- */

bool
wire_read_execute(Slice payload, WireExecute *out)
{
	WireReader r;

	wire_reader_init(&r, payload.ptr, payload.len);
	out->portal = wire_get_cstr(&r);
	out->max_rows = wire_get_i32(&r);
	return wire_reader_done(&r);
}

bool
wire_write_bind(Buf *buf, Slice portal, Slice statement)
{
	WireWriter w;

	wire_writer_init(&w, buf);
	wire_start(&w, FE_BIND);
	wire_put_slice_cstr(&w, portal);
	wire_put_slice_cstr(&w, statement);
	wire_put_i16(&w, 0);
	wire_put_i16(&w, 0);
	wire_put_i16(&w, 0);
	return wire_finish(&w);
}

bool
wire_write_execute(Buf *buf, Slice portal)
{
	WireWriter w;

	wire_writer_init(&w, buf);
	wire_start(&w, FE_EXECUTE);
	wire_put_slice_cstr(&w, portal);
	wire_put_i32(&w, 0);
	return wire_finish(&w);
}

bool
wire_write_sync(Buf *buf)
{
	return wire_write_empty(buf, FE_SYNC);
}

bool
wire_write_flush(Buf *buf)
{
	return wire_write_empty(buf, FE_FLUSH);
}

bool
wire_write_terminate(Buf *buf)
{
	return wire_write_empty(buf, FE_TERMINATE);
}

bool
wire_write_copy_fail(Buf *buf, const char *reason)
{
	return write_cstr(buf, FE_COPY_FAIL, slice_str(reason));
}

/* ---- passwords ---- */

bool
wire_read_password(Slice payload, Slice *password)
{
	return read_cstr(payload, password);
}

bool
wire_write_password(Buf *buf, Slice password)
{
	return write_cstr(buf, FE_PASSWORD, password);
}

bool
wire_read_sasl_initial(Slice payload, WireSaslInitial *out)
{
	WireReader r;
	int32_t len;

	wire_reader_init(&r, payload.ptr, payload.len);
	out->mechanism = wire_get_cstr(&r);
	len = wire_get_i32(&r);
	out->data = (Slice){NULL, 0};
	if (len < -1)
		return false;
	if (len >= 0)
		out->data = wire_get_bytes(&r, (size_t) len);
	return wire_reader_done(&r);
}

bool
wire_write_sasl_initial(Buf *buf, const char *mechanism, Slice data)
{
	WireWriter w;

	wire_writer_init(&w, buf);
	wire_start(&w, FE_PASSWORD);
	wire_put_cstr(&w, mechanism);
	if (data.len > INT32_MAX)
		w.failed = true;
	wire_put_i32(&w, data.ptr == NULL ? -1 : (int32_t) data.len);
	wire_put_bytes(&w, data.ptr, data.ptr == NULL ? 0 : data.len);
	return wire_finish(&w);
}

bool
wire_write_sasl_response(Buf *buf, Slice data)
{
	WireWriter w;

	wire_writer_init(&w, buf);
	wire_start(&w, FE_PASSWORD);
	wire_put_bytes(&w, data.ptr, data.len);
	return wire_finish(&w);
}

/* ---- renaming ---- */

/*
 * A header, then `front` (front_len bytes), then the name and its NUL; rest_len bytes of payload will follow.
 * This is the one place where the new length is computed.
 */
static size_t
make_prefix(uint8_t type, const void *front, size_t front_len, const char *new_name, size_t rest_len,
			uint8_t *out, size_t out_size)
{
	size_t name_size = strlen(new_name) + 1;
	size_t prefix_len = WIRE_HEADER_SIZE + front_len + name_size;

	if (prefix_len > out_size || prefix_len - 1 + rest_len > INT32_MAX)
		return 0;
	out[0] = type;
	wire_store_u32(out + 1, (uint32_t) (prefix_len - 1 + rest_len));
	if (front_len > 0)
		memcpy(out + WIRE_HEADER_SIZE, front, front_len);
	memcpy(out + WIRE_HEADER_SIZE + front_len, new_name, name_size);
	return prefix_len;
}

size_t
wire_rename_prefix_bind(const WireBind *bind, uint32_t payload_len, const char *new_name, uint8_t *out,
						size_t out_size)
{
	if (bind->rest_offset > payload_len)
		return 0;
	/* portal.ptr is followed by its NUL in the payload, so both are copied at once */
	return make_prefix(FE_BIND, bind->portal.ptr, bind->portal.len + 1, new_name,
					   payload_len - bind->rest_offset, out, out_size);
}

size_t
wire_rename_prefix_parse(const WireParse *parse, uint32_t payload_len, const char *new_name, uint8_t *out,
						 size_t out_size)
{
	if (parse->rest_offset > payload_len)
		return 0;
	return make_prefix(FE_PARSE, NULL, 0, new_name, payload_len - parse->rest_offset, out, out_size);
}

size_t
wire_rename_prefix_describe(const char *new_name, uint8_t *out, size_t out_size)
{
	return make_prefix(FE_DESCRIBE, "S", 1, new_name, 0, out, out_size);
}

size_t
wire_rename_prefix_close(const char *new_name, uint8_t *out, size_t out_size)
{
	return make_prefix(FE_CLOSE, "S", 1, new_name, 0, out, out_size);
}
