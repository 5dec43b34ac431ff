/*
 * console_inside.h: what the files of the console say to each other; nobody else includes it.
 *
 *   console.c       the table of commands, who may use what, SHOW, answering
 *   console_act.c   the commands that act
 *   console_wait.c  those that wait
 *
 * A command ends the answer in the Result that it is given, or makes a ConsoleWait and leaves the Result empty: then the client's input is
 * paused until console_wait_end() sends the answer.  All run while the other workers are parked (session.h).
 */
#ifndef PGWEIR_ADMIN_CONSOLE_INSIDE_H
#define PGWEIR_ADMIN_CONSOLE_INSIDE_H

#include "admin/averages.h"
#include "admin/command.h"
#include "admin/console.h"
#include "admin/reporter.h"
#include "admin/result.h"
#include "admin/show.h"

typedef enum WaitKind
{
	WAIT_PAUSED,	/* until no server is linked to a client */
	WAIT_SUSPENDED, /* until all that was read is sent */
	WAIT_CLOSED,	/* until no server is marked to be closed */
	WAIT_SENT,		/* until the client has read what was sent of a long list */
	WAIT_ASKED,		/* until the extension has answered */
} WaitKind;

/* A client whose answer is not complete; its input is paused. */
typedef struct ConsoleWait
{
	ListNode node; /* Console.waits */
	Client *client; /* borrowed: on_closed comes before it goes */
	WaitKind kind;
	Database *database;	 /* borrowed; NULL = all */
	deadline_t until;	 /* look again by then at the latest; SUSPENDED: who is not quiet is disconnected */
	const ShowRow *show; /* SENT */
	ShowWalk walk;		 /* SENT */
	ReporterQuestion question; /* ASKED */
	Console *console;	 /* borrowed */
} ConsoleWait;

struct Console
{
	ConsoleOptions options;
	List waits;
	Timer timer;			 /* for the earliest ConsoleWait.until, and look_at */
	deadline_t look_at;		 /* not at each turn, but then */
	const Client *suspender; /* SUSPEND ends when it goes */
	const Client *taker;	 /* has got the listening sockets; its SHUTDOWN lets go of them */
	bool killed_all;		 /* KILL paused each database; a plain RESUME undoes it */
	char help[2048];
};

/* --- console.c --- */
/* Send what the Result holds, and free it; a failed one ends the client. */
extern void console_answer(Client *client, Result *result);
/* Write the next piece of a long list; the next one follows when the client has read it. */
extern void console_show_piece(Console *console, ConsoleWait *wait);

/* --- console_act.c: rows of the table; argument is "" when there is none --- */
extern void console_reload(Console *console, Client *client, const char *argument, Result *result);
extern void console_pause(Console *console, Client *client, const char *argument, Result *result);
extern void console_resume(Console *console, Client *client, const char *argument, Result *result);
extern void console_disable(Console *console, Client *client, const char *argument, Result *result);
extern void console_enable(Console *console, Client *client, const char *argument, Result *result);
extern void console_reconnect(Console *console, Client *client, const char *argument, Result *result);
extern void console_kill(Console *console, Client *client, const char *argument, Result *result);
/* The client's statement is cancelled rather than left running; its server connection is closed after that. */
extern void console_kill_client(Console *console, Client *client, const char *argument, Result *result);
extern void console_suspend(Console *console, Client *client, const char *argument, Result *result);
extern void console_shutdown(Console *console, Client *client, const char *argument, Result *result);
extern void console_wait_close(Console *console, Client *client, const char *argument, Result *result);
/* SET has a sentence, and rights, of its own. */
extern void console_set(Console *console, Client *client, const Command *command, Result *result);
extern void console_resume_suspended(Console *console);
/* PAUSE, SUSPEND and plain KILL are over. */
extern void console_resume_all(Console *console);

/* --- console_wait.c --- */
extern void console_waits_init(Console *console);
extern void console_waits_free(Console *console);
/* The client is answered later.  NULL when out of memory, and then the result has failed. */
extern ConsoleWait *console_wait_start(Console *console, Client *client, WaitKind kind, Database *database, Result *result);
/* The wait is over: send the answer and go on reading. */
extern void console_wait_end(Console *console, ConsoleWait *wait, Result *result);
/* Of ConsoleOps. */
extern void console_on_cancel(void *arg, Client *client);
extern void console_on_closed(void *arg, Client *client);

#endif
