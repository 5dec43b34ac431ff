/*
 * log.h: the log, in PgBouncer's line format.
 *
 *   2026-01-31 12:00:00.123 UTC [4711] LOG message
 *
 * One line is one write(2), so that lines of several writers (processes, threads) never mix; a Log changes only while one thread runs.  A newline inside a message becomes newline +
 * tab.  Lines go to the log file when one is open, to stderr unless quiet, and to syslog when asked.  Never pass
 * a secret: nothing here filters.
 */
#ifndef PGWEIR_BASE_LOG_H
#define PGWEIR_BASE_LOG_H

#include <stdarg.h>
#include <stdbool.h>

typedef enum LogLevel
{
	LOG_LEVEL_FATAL,
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_LOG,
	LOG_LEVEL_DEBUG, /* verbose >= 1 */
	LOG_LEVEL_NOISE	 /* verbose >= 2 */
} LogLevel;

typedef struct Log
{
	int fd;				/* log file, or -1 */
	bool to_stderr;
	bool to_syslog; /* set by log_open_syslog; the owner may end it */
	int verbose;
	char *path;			/* owned; NULL when there is no file */
	char *_syslog_ident; /* owned: syslog keeps the pointer */
} Log;

/* To stderr only. */
extern void log_init(Log *log);
/* Open (or reopen, as after logrotate) the file; NULL or "" closes it.  On failure the old file stays in use. */
extern bool log_open_file(Log *log, const char *path);
/* Send lines to syslog too; false for an unknown facility (auth, authpriv, daemon, user, local0 to local7). */
extern bool log_open_syslog(Log *log, const char *ident, const char *facility);
extern void log_close(Log *log);

static inline bool
log_wants(const Log *log, LogLevel level)
{
	return (int) level <= (int) LOG_LEVEL_LOG + log->verbose;
}

/* errno is kept.  log_vwrite puts `prefix` (NULL for none), which is no format, before the message. */
extern void log_write(const Log *log, LogLevel level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
extern void log_vwrite(const Log *log, LogLevel level, const char *prefix, const char *format, va_list args)
	__attribute__((format(printf, 4, 0)));

#define log_debug(log, ...)                                                                                    \
	do                                                                                                         \
	{                                                                                                          \
		if (__builtin_expect(log_wants(log, LOG_LEVEL_DEBUG), 0))                                              \
			log_write(log, LOG_LEVEL_DEBUG, __VA_ARGS__);                                                      \
	} while (0)

#endif
