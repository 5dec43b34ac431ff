/*
 * tap.h: the unit tests' Test Anything Protocol, in one header.
 *
 * A test program is a main() that calls its test functions and ends with `return done_testing();`.  Each check prints one line
 * and never ends the program; a failed one says where it stands and what it saw.  A name may be a plain string (used as it is) or a
 * printf format with arguments.  Every check returns whether it held.
 *
 *   plan(n)                        optional: how many checks there will be
 *   ok(condition, name...)         the condition holds
 *   is_int(got, want, name...)     two integers are equal (compared as 64 bits)
 *   is_str(got, want, name...)     two strings are equal; NULL equals only NULL
 *   is_mem(got, len, want, len, name...)  two pieces of memory are equal; shown as hex
 *   diag(format...)                a comment line
 *   skip_all(reason)               the whole program is not applicable here; ends it
 *   bail_out(reason)               stop the whole run
 *   done_testing()                 prints the plan if need be; the exit code: 0 when all checks held
 */
#ifndef TAP_H
#define TAP_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int tap_planned, tap_run, tap_failed;

static inline void plan(int n) __attribute__((unused));
static inline void diag(const char *format, ...) __attribute__((format(printf, 1, 2), unused));
static inline const char *tap_format(const char *format, ...) __attribute__((format(printf, 1, 2), unused));

#define ok(condition, ...) tap_ok(__FILE__, __LINE__, (condition), #condition, TAP_NAME(__VA_ARGS__))
#define is_int(got, want, ...) \
	tap_is_int(__FILE__, __LINE__, (int64_t) (got), (int64_t) (want), TAP_NAME(__VA_ARGS__))
#define is_str(got, want, ...) tap_is_str(__FILE__, __LINE__, (got), (want), TAP_NAME(__VA_ARGS__))
#define is_mem(got, got_len, want, want_len, ...) \
	tap_is_mem(__FILE__, __LINE__, (got), (got_len), (want), (want_len), TAP_NAME(__VA_ARGS__))

/* One argument is a plain name, several are a format and its values. */
#define TAP_NAME(...) \
	TAP_PICK(__VA_ARGS__, TAP_SEVERAL, TAP_SEVERAL, TAP_SEVERAL, TAP_SEVERAL, TAP_SEVERAL, TAP_SEVERAL, \
			 TAP_SEVERAL, TAP_ONE, )(__VA_ARGS__)
#define TAP_PICK(a, b, c, d, e, f, g, h, pick, ...) pick
#define TAP_ONE(name) (name)
#define TAP_SEVERAL(...) tap_format(__VA_ARGS__)

/* The formatted name; valid until the next call. */
static inline const char *
tap_format(const char *format, ...)
{
	static char name[512];
	va_list args;

	va_start(args, format);
	vsnprintf(name, sizeof(name), format, args);
	va_end(args);
	return name;
}

static inline void
plan(int n)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	tap_planned = n;
	printf("1..%d\n", n);
}

static inline void
diag(const char *format, ...)
{
	va_list args;

	fputs("# ", stdout);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

/* Print a name in one line: a number sign or a line end would mean something to the reader of the lines. */
static inline void
tap_print_name(const char *name)
{
	for (; *name != '\0'; name++)
		putchar(*name == '#' ? '*' : (unsigned char) *name < ' ' ? ' ' : *name);
	putchar('\n');
}

static inline bool
tap_result(const char *file, int line, bool held, const char *name)
{
	tap_run++;
	printf("%s %d - ", held ? "ok" : "not ok", tap_run);
	tap_print_name(name);
	if (!held)
	{
		tap_failed++;
		printf("#   failed at %s:%d\n", file, line);
	}
	fflush(stdout);
	return held;
}

static inline bool
tap_ok(const char *file, int line, bool held, const char *condition, const char *name)
{
	tap_result(file, line, held, name);
	if (!held)
		diag("  condition: %s", condition);
	return held;
}

static inline bool
tap_is_int(const char *file, int line, int64_t got, int64_t want, const char *name)
{
	tap_result(file, line, got == want, name);
	if (got != want)
		diag("       got: %" PRId64 "\n#  expected: %" PRId64, got, want);
	return got == want;
}

static inline bool
tap_is_str(const char *file, int line, const char *got, const char *want, const char *name)
{
	bool held = got == NULL || want == NULL ? got == want : strcmp(got, want) == 0;

	tap_result(file, line, held, name);
	if (!held)
		diag("       got: %s%s%s\n#  expected: %s%s%s", got ? "\"" : "", got ? got : "NULL", got ? "\"" : "",
			 want ? "\"" : "", want ? want : "NULL", want ? "\"" : "");
	return held;
}

static inline void
tap_print_hex(const char *title, const void *bytes, size_t len)
{
	printf("# %s: %zu bytes:", title, len);
	for (size_t i = 0; i < len && i < 64; i++)
		printf(" %02x", ((const unsigned char *) bytes)[i]);
	puts(len > 64 ? " ..." : "");
}

static inline bool
tap_is_mem(const char *file, int line, const void *got, size_t got_len, const void *want, size_t want_len, const char *name)
{
	bool held = got_len == want_len && (got_len == 0 || memcmp(got, want, got_len) == 0);

	tap_result(file, line, held, name);
	if (!held)
	{
		tap_print_hex("      got", got, got_len);
		tap_print_hex(" expected", want, want_len);
	}
	return held;
}

static inline void
skip_all(const char *reason)
{
	printf("1..0 # SKIP %s\n", reason);
	exit(0);
}

static inline void
bail_out(const char *reason)
{
	printf("Bail out!  %s\n", reason);
	exit(255);
}

static inline int
done_testing(void)
{
	if (tap_planned == 0)
		printf("1..%d\n", tap_run);
	else if (tap_planned != tap_run)
		diag("planned %d checks, ran %d", tap_planned, tap_run);
	if (tap_failed > 0)
		diag("%d of %d checks failed", tap_failed, tap_run);
	fflush(stdout);
	return tap_failed > 0 || tap_run == 0 || (tap_planned != 0 && tap_planned != tap_run) ? 1 : 0;
}

#endif
