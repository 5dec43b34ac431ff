/*
 * log.c: formatting of log lines, and where they go.
 *
 * A line is built in a buffer on the stack; only a longer one costs an allocation (and is cut when that
 * fails).  A storm of logins writes thousands of lines a second, so what is the same in all lines of a second is
 * kept, by each thread for itself.
 */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"

#define LINE_ON_STACK 2048
/* More than a head ever takes. */
#define HEAD_MAX 128

static const struct
{
	const char *name;
	int syslog_priority;
} levels[] = {
	[LOG_LEVEL_FATAL] = {"FATAL", LOG_CRIT},        [LOG_LEVEL_ERROR] = {"ERROR", LOG_ERR},
	[LOG_LEVEL_WARNING] = {"WARNING", LOG_WARNING}, [LOG_LEVEL_LOG] = {"LOG", LOG_INFO},
	[LOG_LEVEL_DEBUG] = {"DEBUG", LOG_DEBUG},       [LOG_LEVEL_NOISE] = {"NOISE", LOG_DEBUG},
};

static const struct
{
	const char *name;
	int value;
} facilities[] = {
	{"auth", LOG_AUTH},     {"authpriv", LOG_AUTHPRIV}, {"daemon", LOG_DAEMON}, {"user", LOG_USER},
	{"local0", LOG_LOCAL0}, {"local1", LOG_LOCAL1},     {"local2", LOG_LOCAL2}, {"local3", LOG_LOCAL3},
	{"local4", LOG_LOCAL4}, {"local5", LOG_LOCAL5},     {"local6", LOG_LOCAL6}, {"local7", LOG_LOCAL7},
};

/* --- opening and closing --- */

void
log_init(Log *log)
{
	*log = (Log){.fd = -1, .to_stderr = true};
}

bool
log_open_file(Log *log, const char *path)
{
	char *copy = NULL;
	int fd = -1;

	if (path != NULL && path[0] != '\0')
	{
		if ((copy = strdup(path)) == NULL)
			return false;
		fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);
		if (fd < 0)
		{
			int saved = errno;

			free(copy);
			errno = saved;
			return false;
		}
	}
	if (log->fd >= 0)
		close(log->fd);
	free(log->path);
	log->fd = fd;
	log->path = copy;
	return true;
}

bool
log_open_syslog(Log *log, const char *ident, const char *facility)
{
	size_t count = sizeof(facilities) / sizeof(facilities[0]);
	size_t i = 0;
	char *copy;

	while (i < count && strcmp(facilities[i].name, facility) != 0)
		i++;
	if (i == count)
	{
		errno = EINVAL;
		return false;
	}
	if ((copy = strdup(ident)) == NULL)
		return false;
	openlog(copy, LOG_PID, facilities[i].value);
	free(log->_syslog_ident);
	log->_syslog_ident = copy;
	log->to_syslog = true;
	return true;
}

void
log_close(Log *log)
{
	if (log->fd >= 0)
		close(log->fd);
	if (log->_syslog_ident != NULL)
		closelog();
	free(log->_syslog_ident);
	free(log->path);
	log_init(log);
}

/* --- writing --- */

/* What the lines of one second have in common. */
typedef struct Second
{
	time_t second; /* 0 = none yet */
	char date[32];
	char zone[16];
} Second;

static void
look_at_calendar(Second *known, time_t second)
{
	struct tm tm;

	localtime_r(&second, &tm);
	strftime(known->date, sizeof(known->date), "%Y-%m-%d %H:%M:%S.", &tm);
	strftime(known->zone, sizeof(known->zone), "%Z", &tm);
	known->second = second;
}

/* "2026-01-31 12:00:00.123 UTC [4711] LOG ", of at most HEAD_MAX bytes; returns its length. */
static size_t
format_head(char *out, LogLevel level)
{
	static _Thread_local Second known;
	const char *end = out + HEAD_MAX;
	struct timespec ts;
	char ms[3];
	char *at;

	clock_gettime(CLOCK_REALTIME, &ts);
	if (ts.tv_sec != known.second)
		look_at_calendar(&known, ts.tv_sec);
	for (long i = 3, left = ts.tv_nsec / 1000000; i-- > 0; left /= 10)
		ms[i] = (char) ('0' + left % 10);
	at = text_put(out, end, known.date);
	at = text_put_bytes(at, end, ms, sizeof(ms));
	at = text_put(text_put(at, end, " "), end, known.zone);
	at = text_put(text_put_number(text_put(at, end, " ["), end, (uint64_t) getpid()), end, "] ");
	at = text_put(text_put(at, end, levels[level].name), end, " ");
	return (size_t) (at - out);
}

static size_t
count_newlines(const char *text, size_t len)
{
	size_t count = 0;

	for (size_t i = 0; i < len; i++)
		count += text[i] == '\n';
	return count;
}

/* Copy a message so that its further lines start with a tab; stops when `out` is full.  Returns the length.
 */
static size_t
copy_indented(char *out, size_t size, const char *text, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len && n + 2 <= size; i++)
	{
		out[n++] = text[i];
		if (text[i] == '\n')
			out[n++] = '\t';
	}
	return n;
}

/* Nobody can be told when the log itself fails. */
static void
write_line(int fd, const char *line, size_t len)
{
	ssize_t written;

	do
		written = write(fd, line, len);
	while (written < 0 && errno == EINTR);
}

static void
write_everywhere(const Log *log, const char *line, size_t len)
{
	if (log->fd >= 0)
		write_line(log->fd, line, len);
	if (log->to_stderr)
		write_line(STDERR_FILENO, line, len);
}

/* The same for a message of several lines. */
static void
write_indented(const Log *log, const char *head, size_t head_len, const char *message, size_t len)
{
	char on_stack[LINE_ON_STACK];
	char *line = on_stack;
	size_t size = sizeof(on_stack);
	size_t wanted = head_len + len + count_newlines(message, len) + 1;
	size_t n;

	if (wanted > size)
	{
		if ((line = malloc(wanted)) != NULL)
			size = wanted;
		else
			line = on_stack;
	}
	memcpy(line, head, head_len);
	n = head_len + copy_indented(line + head_len, size - head_len - 1, message, len);
	line[n++] = '\n';
	write_everywhere(log, line, n);
	if (line != on_stack)
		free(line);
}

/* `line` is a head and a message, with room for one more byte behind them. */
static void
emit(const Log *log, LogLevel level, char *line, size_t head_len, size_t len)
{
	const char *message = line + head_len;

	while (len > 0 && message[len - 1] == '\n')
		len--;
	if (memchr(message, '\n', len) != NULL)
		write_indented(log, line, head_len, message, len);
	else
	{
		line[head_len + len] = '\n';
		write_everywhere(log, line, head_len + len + 1);
	}
	if (log->to_syslog)
		syslog(levels[level].syslog_priority, "%s %.*s", levels[level].name, (int) len, message);
}

void
log_vwrite(const Log *log, LogLevel level, const char *prefix, const char *format, va_list args)
{
	char on_stack[LINE_ON_STACK];
	char *line = on_stack;
	size_t size = sizeof(on_stack);
	size_t prefix_len = prefix != NULL ? strlen(prefix) : 0;
	int saved_errno = errno;
	size_t head_len;
	size_t before;
	va_list again;
	int n;

	if (!log_wants(log, level))
		return;
	if (prefix_len > size / 2)
		prefix_len = size / 2;
	head_len = format_head(line, level);
	if (prefix_len > 0)
		memcpy(line + head_len, prefix, prefix_len);
	before = head_len + prefix_len;
	va_copy(again, args);
	errno = saved_errno;
	n = vsnprintf(line + before, size - before, format, args);
	if (n < 0)
		n = 0;
	if ((size_t) n >= size - before)
	{
		if ((line = malloc(before + (size_t) n + 1)) != NULL)
		{
			memcpy(line, on_stack, before);
			errno = saved_errno;
			vsnprintf(line + before, (size_t) n + 1, format, again);
		}
		else
		{
			line = on_stack;
			n = (int) (size - before - 1);
		}
	}
	va_end(again);
	emit(log, level, line, head_len, prefix_len + (size_t) n);
	if (line != on_stack)
		free(line);
	errno = saved_errno;
}

void
log_write(const Log *log, LogLevel level, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_vwrite(log, level, NULL, format, args);
	va_end(args);
}
