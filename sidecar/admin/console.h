/*
 * console.h: the admin console: commands of clients that connected to the database `pgbouncer` (or `pgweir`).
 *
 * A console client is a Client in state CLIENT_CONSOLE; the session layer hands each Query to ConsoleOps.query and does the rest
 * (login, rights, protocol).  The console parses the command, checks the right, and answers on the client's connection.  A
 * command that must wait (PAUSE, SUSPEND, WAIT_CLOSE, a long SHOW) pauses the client's input and is answered by console_tick()
 * once its condition holds.  When its client goes or cancels it, what it began is undone.
 *
 * The console knows neither files nor signals: what it cannot do itself (reload, change a setting, end the process) it asks
 * of its owner through the callbacks.  One thread, the worker's; it borrows everything in ConsoleOptions.
 */
#ifndef PGWEIR_ADMIN_CONSOLE_H
#define PGWEIR_ADMIN_CONSOLE_H

#include "session/session.h"

struct Averages;
struct Reporter;
struct Config;
typedef struct Console Console;

typedef struct ConsoleOptions
{
	Worker *worker;				/* borrowed */
	struct Averages *averages;	/* borrowed; the avg_ columns come from it */
	struct Reporter *reporter;	/* borrowed; asks the extension */
	const char *version;		/* of pgweir; static */
	/* RELOAD; false with a reason in error: the old configuration stays in use. */
	bool (*reload)(void *arg, char *error, size_t size);
	/* SET key = value. */
	bool (*set)(void *arg, const char *key, const char *value, char *error, size_t size);
	/* The configuration in use, for SHOW CONFIG. */
	const struct Config *(*config)(void *arg);
	/* SHUTDOWN: WORKER_STOPPED is at once, the others when drained. */
	void (*shutdown)(void *arg, WorkerPhase phase);
	/* The listening sockets. */
	const NetListener *(*listeners)(void *arg, int *count);
	/* Another process serves the listening sockets from now on: let go of them, and end when the clients have left. */
	void (*hand_over)(void *arg);
	void *arg;
} ConsoleOptions;

/* NULL when out of memory. */
extern Console *console_create(const ConsoleOptions *options);
/* No console client may be left. */
extern void console_free(Console *console);
/* What the worker calls; valid as long as the console. */
extern ConsoleOps console_ops(Console *console);
/* Answer those whose condition holds now.  Called once a turn of the loop; costs nothing while nobody waits. */
extern void console_tick(Console *console);

#endif
