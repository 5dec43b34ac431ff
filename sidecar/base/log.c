/*
 * log.c: formatting of log lines, and where they go.
 *
 * A line is built in a buffer on the stack; only a longer one costs an allocation (and is cut when that
 * fails).
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

#define LINE_ON_STACK 2048

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

/* "2026-01-31 12:00:00.123 UTC [4711] LOG "; returns its length. */
static size_t
format_head(char *out, size_t size, LogLevel level)
{
	struct timespec ts;
	struct tm tm;
	char date[32];
	char zone[16];
	int n;

	clock_gettime(CLOCK_REALTIME, &ts);
	localtime_r(&ts.tv_sec, &tm);
	strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &tm);
	strftime(zone, sizeof(zone), "%Z", &tm);
	n = snprintf(out, size, "%s.%03d %s [%d] %s ", date, (int) (ts.tv_nsec / 1000000), zone, (int) getpid(),
				 levels[level].name);
	return n < 0 ? 0 : (size_t) n;
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
emit(const Log *log, LogLevel level, const char *message, size_t len)
{
	char on_stack[LINE_ON_STACK];
	char *line = on_stack;
	size_t size = sizeof(on_stack);
	size_t wanted;
	size_t n;

	while (len > 0 && message[len - 1] == '\n')
		len--;
	wanted = 128 + len + count_newlines(message, len);
	if (wanted > size)
	{
		if ((line = malloc(wanted)) != NULL)
			size = wanted;
		else
			line = on_stack;
	}
	n = format_head(line, size, level);
	n += copy_indented(line + n, size - n - 1, message, len);
	line[n++] = '\n';
	if (log->fd >= 0)
		write_line(log->fd, line, n);
	if (log->to_stderr)
		write_line(STDERR_FILENO, line, n);
	if (line != on_stack)
		free(line);
	if (log->to_syslog)
		syslog(levels[level].syslog_priority, "%s %.*s", levels[level].name, (int) len, message);
}

void
log_vwrite(const Log *log, LogLevel level, const char *prefix, const char *format, va_list args)
{
	char on_stack[LINE_ON_STACK];
	char *message = on_stack;
	size_t size = sizeof(on_stack);
	size_t prefix_len = prefix != NULL ? strlen(prefix) : 0;
	int saved_errno = errno;
	va_list again;
	int n;

	if (!log_wants(log, level))
		return;
	if (prefix_len > size / 2)
		prefix_len = size / 2;
	va_copy(again, args);
	n = vsnprintf(on_stack + prefix_len, size - prefix_len, format, args);
	if (n < 0)
		n = 0;
	if ((size_t) n >= size - prefix_len)
	{
		if ((message = malloc(prefix_len + (size_t) n + 1)) != NULL)
		{
			errno = saved_errno;
			vsnprintf(message + prefix_len, (size_t) n + 1, format, again);
		}
		else
		{
			message = on_stack;
			n = (int) (size - prefix_len - 1);
		}
	}
	va_end(again);
	if (prefix_len > 0)
		memcpy(message, prefix, prefix_len);
	emit(log, level, message, prefix_len + (size_t) n);
	if (message != on_stack)
		free(message);
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
