/*
 * log_test.c: the log's lines, levels and files.
 */
#include "tap.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/log_test.XXXXXX";
static char path[64];
static char rotated[64];

/* The whole file, NUL-terminated, in a static buffer. */
static const char *
content(const char *name)
{
	static char text[65536];
	int fd = open(name, O_RDONLY);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static bool
matches(const char *text, const char *pattern)
{
	regex_t regex;
	bool found;

	if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) != 0)
		return false;
	found = regexec(&regex, text, 0, NULL, 0) == 0;
	regfree(&regex);
	return found;
}

static void
start_over(Log *log)
{
	unlink(path);
	log_init(log);
	log->to_stderr = false;
	ok(log_open_file(log, path), "a log file is opened");
}

static void
line_format(void)
{
	Log log;
	char pattern[200];

	start_over(&log);
	log_write(&log, LOG_LEVEL_WARNING, "disk is %d%% full", 93);
	snprintf(pattern, sizeof(pattern),
			 "^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3} [A-Z0-9+-]+ \\[%d\\] "
			 "WARNING disk is 93%% full\n$",
			 (int) getpid());
	ok(matches(content(path), pattern), "date, milliseconds, zone, pid, level, message");
	log_close(&log);
}

static void
further_lines_are_indented(void)
{
	Log log;
	const char *text;

	start_over(&log);
	log_write(&log, LOG_LEVEL_ERROR, "one\ntwo\n\nthree\n");
	text = content(path);
	ok(strstr(text, " ERROR one\n\ttwo\n\t\n\tthree\n") != NULL, "a newline becomes newline and tab");
	ok(strlen(text) > 9 && strcmp(text + strlen(text) - 6, "three\n") == 0, "the trailing one is dropped");
	log_close(&log);
}

static void
levels_and_verbosity(void)
{
	Log log;

	start_over(&log);
	log_debug(&log, "hidden %d", 1);
	log_write(&log, LOG_LEVEL_NOISE, "hidden 2");
	log_write(&log, LOG_LEVEL_LOG, "shown");
	log.verbose = 1;
	log_debug(&log, "debug shown");
	log_write(&log, LOG_LEVEL_NOISE, "hidden 3");
	log.verbose = 2;
	log_write(&log, LOG_LEVEL_NOISE, "noise shown");
	log_write(&log, LOG_LEVEL_FATAL, "end");
	ok(strstr(content(path), "hidden") == NULL, "what is too verbose is not written");
	ok(matches(content(path), " LOG shown\n.* DEBUG debug shown\n.* NOISE noise shown\n.* FATAL end\n$"),
	   "and the rest is, each under its level's name");
	log_close(&log);
}

static void with_prefix(const Log *log, const char *prefix, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void
with_prefix(const Log *log, const char *prefix, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_vwrite(log, LOG_LEVEL_LOG, prefix, format, args);
	va_end(args);
}

static void
prefix_is_no_format(void)
{
	Log log;

	start_over(&log);
	with_prefix(&log, "C-0x1: shop/100%sure@10.0.0.7:5: ", "age=%ds", 7);
	ok(strstr(content(path), " LOG C-0x1: shop/100%sure@10.0.0.7:5: age=7s\n") != NULL,
	   "the prefix is taken as it is");
	log_close(&log);
}

static void
long_messages_are_whole(void)
{
	Log log;
	char *text = malloc(20001);
	const char *written;

	memset(text, 'x', 20000);
	text[20000] = '\0';
	text[19999] = 'y';
	start_over(&log);
	log_write(&log, LOG_LEVEL_LOG, "%s", text);
	with_prefix(&log, "prefix: ", "%s", text);
	written = content(path);
	ok(matches(written, "LOG x+y\n.*LOG prefix: x+y\n$"), "a message of 20,000 bytes is not cut");
	ok(strlen(written) > 40000, "with or without prefix");
	log_close(&log);
	free(text);
}

static void
errno_is_kept(void)
{
	Log log;

	start_over(&log);
	errno = ENOENT;
	log_write(&log, LOG_LEVEL_LOG, "could not open: %m");
	is_int(errno, ENOENT, "logging leaves errno alone");
	ok(strstr(content(path), "could not open: No such file or directory\n") != NULL, "and %m works");
	log_close(&log);
}

static void
reopening_follows_rotation(void)
{
	Log log;

	start_over(&log);
	log_write(&log, LOG_LEVEL_LOG, "first");
	ok(rename(path, rotated) == 0, "the file is moved away");
	log_write(&log, LOG_LEVEL_LOG, "second");
	ok(log_open_file(&log, path), "and opened again");
	log_write(&log, LOG_LEVEL_LOG, "third");
	ok(matches(content(rotated), "first\n.*second\n$"), "the moved file got what came before");
	ok(matches(content(path), " LOG third\n$"), "the new one what came after");
	ok(!log_open_file(&log, "/nonexistent/pgweir.log"), "a path that cannot be opened is refused");
	is_int(errno, ENOENT, "with the reason");
	log_write(&log, LOG_LEVEL_LOG, "fourth");
	ok(strstr(content(path), "fourth") != NULL, "and the old file stays in use");
	is_str(log.path, path, "under its name");
	ok(log_open_file(&log, ""), "an empty path closes the file");
	ok(log.fd == -1 && log.path == NULL, "for good");
	log_close(&log);
}

static void
syslog_facilities(void)
{
	Log log;

	log_init(&log);
	ok(!log_open_syslog(&log, "pgweir", "kitchen"), "an unknown facility is refused");
	ok(!log.to_syslog, "and changes nothing");
	ok(log_open_syslog(&log, "pgweir", "local3"), "a known one is taken");
	ok(log.to_syslog, "and used");
	log_close(&log);
}

int
main(void)
{
	if (mkdtemp(dir) == NULL)
		return 1;
	snprintf(path, sizeof(path), "%s/log", dir);
	snprintf(rotated, sizeof(rotated), "%s/log.1", dir);
	line_format();
	further_lines_are_indented();
	levels_and_verbosity();
	prefix_is_no_format();
	long_messages_are_whole();
	errno_is_kept();
	reopening_follows_rotation();
	syslog_facilities();
	unlink(path);
	unlink(rotated);
	rmdir(dir);
	return done_testing();
}
