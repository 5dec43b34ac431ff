/*
 * startup.c: the packets without a letter.
 */
#include "wire/startup.h"

#define CODE_PROTOCOL_3 (3u << 16)
#define CODE_CANCEL (1234u << 16 | 5678)
#define CODE_SSL (1234u << 16 | 5679)
#define CODE_GSSENC (1234u << 16 | 5680)

#define TLS_HANDSHAKE_RECORD 0x16
#define PREFIX_SIZE 8 /* length and code */

/* Are these pairs of strings, then one NUL, and nothing behind it? */
static bool
params_are_valid(Slice params)
{
	WireReader r;

	wire_reader_init(&r, params.ptr, params.len);
	for (;;)
	{
		Slice name = wire_get_cstr(&r);

		if (r.failed || name.len == 0)
			break;
		wire_get_cstr(&r);
	}
	return wire_reader_done(&r);
}

static WireStatus
read_cancel(const uint8_t *data, WireStartup *out)
{
	const uint32_t fixed = PREFIX_SIZE + 4;

	if (out->total_len < fixed + WIRE_CANCEL_KEY_MIN || out->total_len > fixed + WIRE_CANCEL_KEY_MAX)
		return WIRE_BAD;
	out->kind = STARTUP_CANCEL;
	out->pid = wire_load_u32(data + PREFIX_SIZE);
	out->key = slice_make(data + fixed, out->total_len - fixed);
	return WIRE_OK;
}

static WireStatus
read_message(const uint8_t *data, WireStartup *out)
{
	out->kind = STARTUP_MESSAGE;
	out->params = slice_make(data + PREFIX_SIZE, out->total_len - PREFIX_SIZE);
	return params_are_valid(out->params) ? WIRE_OK : WIRE_BAD;
}

/* A request that consists of its code alone. */
static WireStatus
read_request(WireStartupKind kind, WireStartup *out)
{
	out->kind = kind;
	return out->total_len == PREFIX_SIZE ? WIRE_OK : WIRE_BAD;
}

/* A version that cannot be served; what follows the code is not looked at. */
static WireStatus
read_other_version(WireStartup *out)
{
	if (out->major == 0)
		return WIRE_BAD;
	out->kind = out->major < 3 ? STARTUP_OLD_V2 : STARTUP_FUTURE;
	return WIRE_OK;
}

WireStatus
wire_read_startup(const uint8_t *data, size_t len, uint32_t max_len, WireStartup *out)
{
	WireStartup startup = {.kind = STARTUP_TLS_DIRECT};
	uint32_t code;
	WireStatus status;

	if (len > 0 && data[0] == TLS_HANDSHAKE_RECORD)
	{
		*out = startup;
		return WIRE_OK;
	}
	if (len < 4)
		return WIRE_NEED_MORE;
	startup.total_len = wire_load_u32(data);
	if (startup.total_len < PREFIX_SIZE || startup.total_len > max_len)
		return WIRE_BAD;
	if (len < PREFIX_SIZE)
		return WIRE_NEED_MORE;

	code = wire_load_u32(data + 4);
	startup.major = (uint16_t) (code >> 16);
	startup.minor = (uint16_t) code;
	if (code == CODE_SSL)
		status = read_request(STARTUP_SSL_REQUEST, &startup);
	else if (code == CODE_GSSENC)
		status = read_request(STARTUP_GSSENC_REQUEST, &startup);
	else if (code != CODE_CANCEL && startup.major != 3)
		status = read_other_version(&startup);
	else if (len < startup.total_len)
		status = WIRE_NEED_MORE;
	else if (code == CODE_CANCEL)
		status = read_cancel(data, &startup);
	else
		status = read_message(data, &startup);
	if (status == WIRE_OK)
		*out = startup;
	return status;
}

bool
wire_startup_next(const WireStartup *startup, size_t *pos, Slice *name, Slice *value)
{
	WireReader r;

	if (startup->kind != STARTUP_MESSAGE || *pos >= startup->params.len)
		return false;
	wire_reader_init(&r, startup->params.ptr + *pos, startup->params.len - *pos);
	*name = wire_get_cstr(&r);
	if (name->len == 0)
		return false;
	*value = wire_get_cstr(&r);
	*pos = startup->params.len - wire_reader_left(&r);
	return !r.failed;
}

bool
wire_write_startup(Buf *buf, const WireParam *params, int n)
{
	WireWriter w;

	wire_writer_init(&w, buf);
	wire_start(&w, 0);
	wire_put_i32(&w, CODE_PROTOCOL_3);
	for (int i = 0; i < n; i++)
	{
		if (params[i].name.len == 0)
			w.failed = true;
		wire_put_slice_cstr(&w, params[i].name);
		wire_put_slice_cstr(&w, params[i].value);
	}
	wire_put_u8(&w, 0);
	return wire_finish(&w);
}

bool
wire_write_ssl_request(Buf *buf)
{
	WireWriter w;

	wire_writer_init(&w, buf);
	wire_start(&w, 0);
	wire_put_i32(&w, CODE_SSL);
	return wire_finish(&w);
}

bool
wire_write_cancel_request(Buf *buf, uint32_t pid, Slice key)
{
	WireWriter w;

	wire_writer_init(&w, buf);
	wire_start(&w, 0);
	wire_put_i32(&w, CODE_CANCEL);
	wire_put_i32(&w, (int32_t) pid);
	if (key.len < WIRE_CANCEL_KEY_MIN || key.len > WIRE_CANCEL_KEY_MAX)
		w.failed = true;
	wire_put_bytes(&w, key.ptr, key.len);
	return wire_finish(&w);
}

bool
wire_write_negotiate_version(Buf *buf, uint16_t minor, const Slice *unknown, int n)
{
	WireWriter w;

	wire_writer_init(&w, buf);
	wire_start(&w, BE_NEGOTIATE_PROTOCOL_VERSION);
	wire_put_i32(&w, (int32_t) (CODE_PROTOCOL_3 | minor));
	wire_put_i32(&w, n);
	for (int i = 0; i < n; i++)
		wire_put_slice_cstr(&w, unknown[i]);
	return wire_finish(&w);
}

/* ---- options ---- */

typedef struct OptionScan
{
	Slice text;
	size_t pos;
	char *scratch;
	size_t room;
	bool failed;
} OptionScan;

static bool
is_space(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The next word, unescaped; false at the end or when the scratch is full (`failed` tells). */
static bool
next_word(OptionScan *scan, char **word, size_t *len)
{
	const Slice text = scan->text;

	while (scan->pos < text.len && is_space(text.ptr[scan->pos]))
		scan->pos++;
	if (scan->pos == text.len)
		return false;
	*word = scan->scratch;
	*len = 0;
	while (scan->pos < text.len && !is_space(text.ptr[scan->pos]))
	{
		if (text.ptr[scan->pos] == '\\' && text.len - scan->pos > 1)
			scan->pos++;
		if (scan->room == 0)
		{
			scan->failed = true;
			return false;
		}
		(*word)[(*len)++] = (char) text.ptr[scan->pos++];
		scan->room--;
	}
	scan->scratch += *len;
	return true;
}

/* Split k=v, put underscores for dashes into k, and hand both to func. */
static bool
give_option(char *word, size_t len, WireOptionFunc func, void *arg)
{
	char *equals = len > 0 ? memchr(word, '=', len) : NULL;
	size_t name_len;

	if (equals == NULL || equals == word)
		return false;
	name_len = (size_t) (equals - word);
	for (size_t i = 0; i < name_len; i++)
		if (word[i] == '-')
			word[i] = '_';
	return func(arg, slice_make(word, name_len), slice_make(equals + 1, len - name_len - 1));
}

bool
wire_parse_options(Slice options, char *scratch, size_t scratch_size, WireOptionFunc func, void *arg)
{
	OptionScan scan = {.text = options, .scratch = scratch, .room = scratch_size};
	char *word;
	size_t len;

	while (next_word(&scan, &word, &len))
	{
		bool is_short = len >= 2 && word[0] == '-' && word[1] == 'c';

		if (!is_short && !(len >= 2 && word[0] == '-' && word[1] == '-'))
			return false;
		word += 2;
		len -= 2;
		if (is_short && len == 0 && !next_word(&scan, &word, &len))
			return false;
		if (!give_option(word, len, func, arg))
			return false;
	}
	return !scan.failed;
}
