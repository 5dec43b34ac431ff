/*
 * result.c: rows are written straight into the message, value by value.
 */
#include "admin/result.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "wire/backend.h"

#define MESSAGE_MAX 1024
#define OID_BYTEA 17

void
result_free(Result *result)
{
	buf_free(&result->buf);
}

static void
check(Result *result, bool ok)
{
	if (!ok)
		result->failed = true;
}

/* --- result sets --- */

static uint32_t
type_oid(char letter)
{
	switch (letter)
	{
		case 's':
		case 'T': return WIRE_OID_TEXT;
		case 'i': return WIRE_OID_INT4;
		case 'q': return WIRE_OID_INT8;
		case 'N': return WIRE_OID_NUMERIC;
		case 'b': return OID_BYTEA;
	}
	abort();
}

void
result_columns(Result *result, const char *types, const char *names)
{
	char text[MESSAGE_MAX];
	WireColumn columns[RESULT_COLUMNS_MAX];
	char *save = NULL;
	char *name;
	int n = 0;

	if ((size_t) snprintf(text, sizeof(text), "%s", names) >= sizeof(text))
		abort();
	for (name = strtok_r(text, " ", &save); name != NULL; name = strtok_r(NULL, " ", &save))
	{
		if (n == RESULT_COLUMNS_MAX)
			abort();
		columns[n] = (WireColumn){name, type_oid(types[n])};
		n++;
	}
	if ((size_t) n != strlen(types))
		abort();
	result_columns_as(result, columns, n);
}

void
result_columns_as(Result *result, const WireColumn *columns, int n)
{
	result->columns = n;
	check(result, wire_write_row_description(&result->buf, columns, n));
}

void
result_row(Result *result)
{
	wire_writer_init(&result->_row, &result->buf);
	wire_start(&result->_row, BE_DATA_ROW);
	wire_put_i16(&result->_row, (int16_t) result->columns);
	result->values = 0;
}

static void
put_value(Result *result, const char *text, size_t len)
{
	result->values++;
	wire_put_i32(&result->_row, text != NULL ? (int32_t) len : -1);
	if (text != NULL)
		wire_put_bytes(&result->_row, text, len);
}

void
result_text(Result *result, const char *text)
{
	put_value(result, text, text != NULL ? strlen(text) : 0);
}

void
result_format(Result *result, const char *format, ...)
{
	char text[MESSAGE_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	result_text(result, text);
}

void
result_number(Result *result, int64_t number)
{
	char text[24];

	put_value(result, text, (size_t) snprintf(text, sizeof(text), "%lld", (long long) number));
}

void
result_unsigned(Result *result, uint64_t number)
{
	char text[24];

	put_value(result, text, (size_t) snprintf(text, sizeof(text), "%llu", (unsigned long long) number));
}

void
result_time(Result *result, usec_t at, usec_t now)
{
	time_t seconds = (time_t) (((usec_t) time(NULL) * USEC_PER_SEC - (now - at)) / USEC_PER_SEC);
	char text[64];
	struct tm tm;

	if (localtime_r(&seconds, &tm) == NULL || strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S %Z", &tm) == 0)
		result_text(result, NULL);
	else
		result_text(result, text);
}

void
result_row_end(Result *result)
{
	if (result->values != result->columns)
		abort();
	check(result, wire_finish(&result->_row));
}

/* --- ends --- */

static void
ready(Result *result)
{
	check(result, wire_write_ready_for_query(&result->buf, TX_IDLE));
}

void
result_done(Result *result, const char *tag)
{
	check(result, wire_write_command_complete(&result->buf, tag));
	ready(result);
}

void
result_error_detail(Result *result, const char *sqlstate, const char *message, const char *detail)
{
	WireError error = {.severity = slice_str("ERROR"), .code = slice_str(sqlstate), .message = slice_str(message)};

	if (detail != NULL && detail[0] != '\0')
		error.detail = slice_str(detail);
	snprintf(result->error, sizeof(result->error), "%s", message);
	check(result, wire_write_error(&result->buf, &error));
	ready(result);
}

void
result_error(Result *result, const char *format, ...)
{
	char message[MESSAGE_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	result_error_detail(result, "08P01", message, NULL);
}

void
result_notice(Result *result, const char *message, const char *detail)
{
	WireError notice = {.severity = slice_str("NOTICE"), .code = slice_str("00000"), .message = slice_str(message)};

	if (detail != NULL)
		notice.detail = slice_str(detail);
	check(result, wire_write_notice(&result->buf, &notice));
}
