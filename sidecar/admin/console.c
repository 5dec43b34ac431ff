/*
 * console.c: the console's commands, and those of them that wait.
 *
 * A command is a row of the table: name, handler, who may use it, help.  A handler ends the answer in the Result it is given, or makes a
 * ConsoleWait and leaves the Result empty.  Waits are few; a list is enough to find one.
 */
#include "admin/console.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "admin/averages.h"
#include "admin/command.h"
#include "admin/reporter.h"
#include "admin/result.h"
#include "admin/show.h"

/* How often it is looked whether what is waited for has come about, when several workers may bring it about. */
#define LOOK_AGAIN_US (2 * USEC_PER_MSEC)

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

typedef struct CommandRow
{
	const char *name;
	/* argument is "" when there is none */
	void (*run)(Console *console, Client *client, const char *argument, Result *result);
	bool admin_only;
	const char *help;
} CommandRow;

static void run_show(Console *console, Client *client, const char *argument, Result *result);
static void run_reload(Console *console, Client *client, const char *argument, Result *result);
static void run_pause(Console *console, Client *client, const char *argument, Result *result);
static void run_resume(Console *console, Client *client, const char *argument, Result *result);
static void run_disable(Console *console, Client *client, const char *argument, Result *result);
static void run_enable(Console *console, Client *client, const char *argument, Result *result);
static void run_reconnect(Console *console, Client *client, const char *argument, Result *result);
static void run_kill(Console *console, Client *client, const char *argument, Result *result);
static void run_kill_client(Console *console, Client *client, const char *argument, Result *result);
static void run_suspend(Console *console, Client *client, const char *argument, Result *result);
static void run_shutdown(Console *console, Client *client, const char *argument, Result *result);
static void run_wait_close(Console *console, Client *client, const char *argument, Result *result);

/* SET is another sentence (command.h); its row stands here for the help. */
static const CommandRow commands[] = {
	{"SHOW", run_show, false,
	 "SHOW HELP|CONFIG|DATABASES|POOLS|CLIENTS|SERVERS|USERS|VERSION\n"
	 "\tSHOW PEERS|PEER_POOLS\n"
	 "\tSHOW FDS|SOCKETS|ACTIVE_SOCKETS|LISTS|MEM|STATE\n"
	 "\tSHOW DNS_HOSTS|DNS_ZONES\n"
	 "\tSHOW STATS|STATS_TOTALS|STATS_AVERAGES|TOTALS\n"
	 "\tSHOW DEADLINES|ADMISSION|CLASSES|LIMITS|STATEMENTS|WORKERS\n"
	 "\tSHOW PRESSURE|DIAGNOSIS"},
	{"SELECT", run_show, false, NULL},
	{"SET", NULL, true, "SET key = arg"},
	{"RELOAD", run_reload, true, "RELOAD"},
	{"PAUSE", run_pause, true, "PAUSE [<db>]"},
	{"RESUME", run_resume, true, "RESUME [<db>]"},
	{"DISABLE", run_disable, true, "DISABLE <db>"},
	{"ENABLE", run_enable, true, "ENABLE <db>"},
	{"RECONNECT", run_reconnect, true, "RECONNECT [<db>]"},
	{"KILL", run_kill, true, "KILL [<db>]"},
	{"KILL_CLIENT", run_kill_client, true, "KILL_CLIENT <client_id>"},
	{"SUSPEND", run_suspend, true, "SUSPEND"},
	{"SHUTDOWN", run_shutdown, true, "SHUTDOWN\n\tSHUTDOWN WAIT_FOR_SERVERS|WAIT_FOR_CLIENTS"},
	{"WAIT_CLOSE", run_wait_close, true, "WAIT_CLOSE [<db>]"},
	{NULL, NULL, false, NULL},
};

/* --- answering --- */

/* In PgBouncer's two lines: one for those who look for ERROR, one that tells whose. */
static void
log_error(const Client *client, const char *message)
{
	log_write(client->worker->log, LOG_LEVEL_ERROR, "%s", message);
	if (client->worker->settings->log_pooler_errors)
		client_log(client, LOG_LEVEL_WARNING, "pooler error: %s", message);
}

static void
send_answer(Client *client, Result *result)
{
	if (result->error[0] != '\0')
		log_error(client, result->error);
	if (client->state == CLIENT_CLOSED)
		; /* it has closed itself: KILL_CLIENT */
	else if (result->failed)
		client_close(client, "out of memory", "bouncer resources exhaustion");
	else if (buf_len(&result->buf) > 0)
		client_send_buf(client, &result->buf);
	result_free(result);
}

/* The whole text, since what is not of the grammar has no name. */
static void
invalid_command(Result *result, Slice text)
{
	result_error(result, "invalid command '%.*s', use SHOW HELP;", text.len < 500 ? (int) text.len : 500,
				 (const char *) text.ptr);
}

/* --- waiting --- */

static ConsoleWait *
find_wait(const Console *console, const Client *client)
{
	list_each(node, &console->waits)
	{
		ConsoleWait *wait = CONTAINER_OF(node, ConsoleWait, node);

		if (wait->client == client)
			return wait;
	}
	return NULL;
}

/* The client is answered later.  NULL when out of memory, and then the result has failed. */
static ConsoleWait *
start_wait(Console *console, Client *client, WaitKind kind, Database *database, Result *result)
{
	ConsoleWait *wait = calloc(1, sizeof(ConsoleWait));

	if (wait == NULL)
	{
		result->failed = true;
		return NULL;
	}
	wait->console = console;
	wait->client = client;
	wait->kind = kind;
	wait->database = database;
	wait->until = DEADLINE_NONE;
	console->look_at = 0;
	list_append(&console->waits, &wait->node);
	net_pause(&client->conn);
	return wait;
}

static void
drop_wait(Console *console, ConsoleWait *wait)
{
	hall_walk_end(&wait->walk.cursor);
	if (wait->kind == WAIT_ASKED)
		reporter_forget(console->options.reporter, &wait->question);
	list_remove(&console->waits, &wait->node);
	free(wait);
}

/* The wait is over: send the answer and go on reading. */
static void
end_wait(Console *console, ConsoleWait *wait, Result *result)
{
	Client *client = wait->client;

	drop_wait(console, wait);
	net_resume(&client->conn);
	send_answer(client, result);
}

static void
resume_suspended(Console *console)
{
	console->suspender = NULL;
	hall_unsuspend(console->options.worker->hall);
}

/* PAUSE, SUSPEND and plain KILL are over. */
static void
resume_all(Console *console)
{
	Worker *worker = console->options.worker;

	resume_suspended(console);
	if (worker->hall->paused)
		hall_resume(worker->hall, NULL);
	console->killed_all = false;
}

/* The client will not wait for the end of what it began: nobody else would undo it. */
static void
undo_wait(Console *console, const ConsoleWait *wait)
{
	Worker *worker = console->options.worker;

	if (worker->hall->phase != WORKER_RUNNING)
		return;
	if (wait->kind == WAIT_PAUSED && wait->database != NULL)
		hall_resume(worker->hall, wait->database);
	else if (wait->kind == WAIT_PAUSED || wait->kind == WAIT_SUSPENDED)
		resume_all(console);
}

/* --- names of databases --- */

static bool
is_console_name(const char *name)
{
	return strcmp(name, "pgbouncer") == 0 || strcmp(name, "pgweir") == 0;
}

/* The database a command names, registered if it is of the file or (when `automatic`) can be made; else NULL and an error. */
static Database *
named_database(Console *console, const char *name, const char *verb, bool automatic, Result *result)
{
	Worker *worker = console->options.worker;
	Database *database = NULL;

	if (is_console_name(name))
	{
		result_error(result, "cannot %s admin db: %s", verb, name);
		return NULL;
	}
	if (automatic || settings_find_database(worker->settings, name) != NULL ||
		map_find(&worker->hall->databases, hash_bytes(worker->hash_seed, name, strlen(name)), name) != NULL)
		database = worker_database(worker, name);
	if (database == NULL || database->spec == NULL)
	{
		result_error(result, "no such database: %s", name);
		return NULL;
	}
	return database;
}

static bool
is_stopped(const Worker *worker)
{
	return worker->hall->paused || worker->hall->suspended || worker->hall->phase == WORKER_DRAIN_SERVERS;
}

static void
log_command(const Client *client, const char *name, const char *argument)
{
	if (argument[0] != '\0')
		client_log(client, LOG_LEVEL_LOG, "%s '%s' command issued", name, argument);
	else
		client_log(client, LOG_LEVEL_LOG, "%s command issued", name);
}

/* --- PAUSE, RESUME, SUSPEND --- */

static void
run_pause(Console *console, Client *client, const char *argument, Result *result)
{
	Worker *worker = console->options.worker;
	Database *database = NULL;

	if (is_stopped(worker))
	{
		result_error(result, "already suspended/paused");
		return;
	}
	if (argument[0] != '\0' && (database = named_database(console, argument, "pause", true, result)) == NULL)
		return;
	log_command(client, "PAUSE", argument);
	hall_pause(worker->hall, database);
	if (!hall_has_active_servers(worker->hall, database))
		result_done(result, "PAUSE");
	else
		(void) start_wait(console, client, WAIT_PAUSED, database, result);
}

static bool
resume_killed(Console *console)
{
	Worker *worker = console->options.worker;
	bool any = false;

	if (!console->killed_all)
		return false;
	console->killed_all = false;
	for (MapNode *node = map_next(&worker->hall->databases, NULL); node != NULL; node = map_next(&worker->hall->databases, node))
	{
		Database *database = CONTAINER_OF(node, Database, node);

		if (database->paused)
			hall_resume(worker->hall, database);
		any = true;
	}
	return any;
}

static void
run_resume_all(Console *console, Client *client, Result *result)
{
	Worker *worker = console->options.worker;

	if (!worker->hall->paused && !worker->hall->suspended && !resume_killed(console))
	{
		result_error(result, "pooler is not paused/suspended");
		return;
	}
	log_command(client, "RESUME", "");
	resume_all(console);
	result_done(result, "RESUME");
}

static void
run_resume(Console *console, Client *client, const char *argument, Result *result)
{
	Worker *worker = console->options.worker;
	Database *database;

	if (worker->hall->phase != WORKER_RUNNING)
		result_error(result, "pooler is shutting down");
	else if (argument[0] == '\0')
		run_resume_all(console, client, result);
	else if (is_console_name(argument))
		result_error(result, "database %s is not paused", argument);
	else if ((database = named_database(console, argument, "resume", false, result)) == NULL)
		return;
	else if (!database->paused)
		result_error(result, "database %s is not paused", argument);
	else
	{
		log_command(client, "RESUME", argument);
		hall_resume(worker->hall, database);
		result_done(result, "RESUME");
	}
}

static bool
any_database_paused(const Worker *worker)
{
	for (MapNode *node = map_next(&worker->hall->databases, NULL); node != NULL; node = map_next(&worker->hall->databases, node))
		if (CONTAINER_OF(node, const Database, node)->paused)
			return true;
	return false;
}

static void
run_suspend(Console *console, Client *client, const char *argument, Result *result)
{
	Worker *worker = console->options.worker;
	ConsoleWait *wait;

	(void) argument;
	if (is_stopped(worker))
		result_error(result, "already suspended/paused");
	else if (any_database_paused(worker))
		result_error(result, "cannot suspend with paused databases");
	else
	{
		log_command(client, "SUSPEND", "");
		console->suspender = client;
		hall_suspend(worker->hall);
		if (hall_is_quiet(worker->hall))
			result_done(result, "SUSPEND");
		else if ((wait = start_wait(console, client, WAIT_SUSPENDED, NULL, result)) != NULL)
			wait->until = deadline_after(worker_now(worker), worker->settings->suspend_timeout_us);
	}
}

/* --- single databases --- */

static void
run_disable(Console *console, Client *client, const char *argument, Result *result)
{
	Database *database;

	if (argument[0] == '\0')
		result_error(result, "a database is required");
	else if ((database = named_database(console, argument, "disable", true, result)) != NULL)
	{
		log_command(client, "DISABLE", argument);
		database->disabled = true;
		result_done(result, "DISABLE");
	}
}

static void
run_enable(Console *console, Client *client, const char *argument, Result *result)
{
	Database *database;

	if (argument[0] == '\0')
		result_error(result, "a database is required");
	else if ((database = named_database(console, argument, "enable", false, result)) != NULL)
	{
		log_command(client, "ENABLE", argument);
		database->disabled = false;
		idle_database_rearm(console->options.worker->hall, database);
		result_done(result, "ENABLE");
	}
}

static void
run_reconnect(Console *console, Client *client, const char *argument, Result *result)
{
	Database *database = NULL;

	if (argument[0] != '\0' && (database = named_database(console, argument, "reconnect", true, result)) == NULL)
		return;
	log_command(client, "RECONNECT", argument);
	hall_reconnect(console->options.worker->hall, database);
	result_done(result, "RECONNECT");
}

static void
run_wait_close(Console *console, Client *client, const char *argument, Result *result)
{
	Database *database = NULL;

	if (argument[0] != '\0' && (database = named_database(console, argument, "wait in", true, result)) == NULL)
		return;
	log_command(client, "WAIT_CLOSE", argument);
	if (!hall_has_closing_servers(console->options.worker->hall, database))
		result_done(result, "WAIT_CLOSE");
	else
		(void) start_wait(console, client, WAIT_CLOSED, database, result);
}

/* --- KILL --- */

static void
run_kill(Console *console, Client *client, const char *argument, Result *result)
{
	Worker *worker = console->options.worker;
	const Settings *settings = worker->settings;
	Database *database = NULL;

	if (is_stopped(worker))
	{
		result_error(result, "already suspended/paused");
		return;
	}
	if (argument[0] != '\0' && (database = named_database(console, argument, "kill", true, result)) == NULL)
		return;
	log_command(client, "KILL", argument);
	/* also those that nobody has used yet are paused */
	for (int i = 0; database == NULL && i < settings->database_count; i++)
		(void) worker_database(worker, settings->databases[i].name);
	hall_kill(worker->hall, database);
	console->killed_all |= database == NULL;
	result_done(result, "KILL");
}

static Client *
client_by_id(Hall *hall, WalkOver over, uint64_t id)
{
	HallWalk walk;
	const ListNode *node;
	Client *found = NULL;

	hall_walk_begin(hall, &walk, over);
	while (found == NULL && (node = hall_walk_next(&walk)) != NULL)
		if (CONTAINER_OF(node, const Client, node)->id == id)
			found = CONTAINER_OF(node, Client, node);
	hall_walk_end(&walk);
	return found;
}

/* The client's statement is cancelled rather than left running; its server connection is closed after that. */
static void
run_kill_client(Console *console, Client *client, const char *argument, Result *result)
{
	Worker *worker = console->options.worker;
	unsigned long long id;
	char *end;
	Client *victim;

	errno = 0;
	id = strtoull(argument, &end, 10);
	if (argument[0] < '0' || argument[0] > '9' || *end != '\0' || errno != 0)
	{
		result_error(result, "invalid client pointer supplied");
		return;
	}
	victim = client_by_id(worker->hall, WALK_CLIENTS, id);
	if (victim == NULL)
		victim = client_by_id(worker->hall, WALK_LOGINS, id);
	if (victim == NULL)
	{
		result_error(result, "client not found");
		return;
	}
	log_command(client, "KILL_CLIENT", argument);
	if (victim->server != NULL)
		victim->server->slot.close_needed = true;
	client_close(victim, "admin forced disconnect", "admin forced disconnect");
	result_done(result, "KILL_CLIENT");
}

/* --- the process --- */

static void
run_reload(Console *console, Client *client, const char *argument, Result *result)
{
	char error[512] = "";

	(void) argument;
	log_command(client, "RELOAD", "");
	if (console->options.reload(console->options.arg, error, sizeof(error)))
		result_done(result, "RELOAD");
	else
		result_error_detail(result, "F0000", "RELOAD failed, see logs for additional details", error);
}

static void
run_shutdown(Console *console, Client *client, const char *argument, Result *result)
{
	const ConsoleOptions *options = &console->options;

	log_command(client, "SHUTDOWN", argument);
	if (console->taker == client)
	{
		resume_suspended(console);
		options->hand_over(options->arg);
		result_done(result, "SHUTDOWN");
		return;
	}
	if (argument[0] == '\0')
	{
		options->shutdown(options->arg, WORKER_STOPPED); /* the end of the connection is the answer */
		return;
	}
	options->shutdown(options->arg,
					  strcasecmp(argument, "WAIT_FOR_SERVERS") == 0 ? WORKER_DRAIN_SERVERS : WORKER_DRAIN_CLIENTS);
	result_done(result, "SHUTDOWN");
}

static void
run_set(Console *console, Client *client, const Command *command, Result *result)
{
	char error[512] = "";
	char tag[COMMAND_ARGUMENT_MAX + COMMAND_VALUE_MAX + 8];

	if (show_fixed_value(command->argument) != NULL)
	{
		result_notice(result, "SET ignored", NULL);
		result_done(result, "SET");
		return;
	}
	if (!client->console_admin)
	{
		result_error(result, "admin access needed");
		return;
	}
	client_log(client, LOG_LEVEL_LOG, "SET %s command issued", command->argument);
	if (!console->options.set(console->options.arg, command->argument, command->value, error, sizeof(error)))
	{
		result_error_detail(result, "08P01", "SET failed", error);
		return;
	}
	snprintf(tag, sizeof(tag), "SET %s=%s", command->argument, command->value);
	result_done(result, tag);
}

/* --- SHOW --- */

static Show
make_show(const Console *console, Result *result)
{
	const ConsoleOptions *options = &console->options;
	int listener_count = 0;
	const NetListener *listeners = options->listeners(options->arg, &listener_count);

	return (Show){.listeners = listeners, .listener_count = listener_count,
				  .worker = options->worker, .averages = options->averages, .config = options->config(options->arg),
				  .version = options->version, .help = console->help, .now = worker_now(options->worker), .result = result};
}

/* Write the next piece of a long list; the next one follows when the client has read it. */
static void
show_piece(Console *console, ConsoleWait *wait)
{
	Result result = {0};
	Show show = make_show(console, &result);

	if (wait->show->piece(&show, &wait->walk))
	{
		result_done(&result, "SHOW");
		end_wait(console, wait, &result);
	}
	else
		send_answer(wait->client, &result); /* may close the client, and with it the wait */
}

static void
show_fixed(const char *name, const char *value, Result *result)
{
	char column[COMMAND_ARGUMENT_MAX + 1];
	size_t i = 0;

	for (; name[i] != '\0'; i++)
		column[i] = (char) (name[i] >= 'A' && name[i] <= 'Z' ? name[i] + 32 : name[i]);
	column[i] = '\0';
	result_columns(result, "s", column);
	result_row(result);
	result_text(result, value);
	result_row_end(result);
	result_done(result, "SHOW");
}

/* The daemon's own system user on the Unix socket may take the listening sockets. */
static bool
may_take_sockets(const Client *client)
{
	return client->console_admin && client->peer.family == AF_UNIX && client->peer.uid == (uint32_t) geteuid();
}

static void
hand_sockets_over(Console *console, Client *client, const Show *show)
{
	client_log(client, LOG_LEVEL_LOG, "handing the listening sockets over");
	if (show_fds_hand_over(show, client))
	{
		console->taker = client;
		result_done(show->result, "SHOW");
	}
	else
		result_error(show->result, "could not hand the listening sockets over");
}

static void
on_answered(ReporterQuestion *question, const struct pg_result *answer, const char *error, const char *hint)
{
	ConsoleWait *wait = CONTAINER_OF(question, ConsoleWait, question);
	Result result = {0};

	if (answer == NULL)
		result_error_detail(&result, "58000", error, hint);
	else
	{
		show_answer(&result, answer);
		result_done(&result, "SHOW");
	}
	end_wait(wait->console, wait, &result);
}

static void
run_show(Console *console, Client *client, const char *argument, Result *result)
{
	const char *fixed = show_fixed_value(argument);
	const ShowRow *row = show_find(argument);
	ConsoleWait *wait;

	if (fixed != NULL)
		show_fixed(argument, fixed, result);
	else if (row->admin_only && !client->console_admin)
		result_error(result, "admin access needed");
	else if (row->all != NULL)
	{
		Show show = make_show(console, result);

		if (row->all == show_fds && may_take_sockets(client))
		{
			hand_sockets_over(console, client, &show);
			return;
		}
		row->all(&show);
		result_done(result, "SHOW");
	}
	else if (row->sql != NULL)
	{
		if ((wait = start_wait(console, client, WAIT_ASKED, NULL, result)) == NULL)
			return;
		wait->question = (ReporterQuestion){.sql = row->sql, .answered = on_answered};
		reporter_ask(console->options.reporter, &wait->question);
	}
	else if ((wait = start_wait(console, client, WAIT_SENT, NULL, result)) != NULL)
	{
		wait->show = row;
		show_piece(console, wait);
	}
}

/* --- a command --- */

/* Is the argument one that the command knows?  What it does not take makes the whole text invalid. */
static bool
takes_argument(const CommandRow *row, const char *argument)
{
	if (row->run == run_show)
		return show_find(argument) != NULL || show_fixed_value(argument) != NULL;
	if (row->run == run_shutdown)
		return argument[0] == '\0' || strcasecmp(argument, "WAIT_FOR_SERVERS") == 0 ||
			   strcasecmp(argument, "WAIT_FOR_CLIENTS") == 0;
	if (row->run == run_reload || row->run == run_suspend)
		return argument[0] == '\0';
	return true;
}

static void
run_plain(Console *console, Client *client, const Command *command, Slice text, Result *result)
{
	const CommandRow *row = commands;

	while (row->name != NULL && strcasecmp(row->name, command->name) != 0)
		row++;
	if (row->run == NULL || !takes_argument(row, command->argument))
		invalid_command(result, text);
	else if (row->admin_only && !client->console_admin)
		result_error(result, "admin access needed");
	else
		row->run(console, client, command->argument, result);
}

static void
on_query(void *arg, Client *client, Slice text)
{
	Console *console = arg;
	Result result = {0};
	Command command;

	client->request_time = worker_now(client->worker);
	averages_count_command(console->options.averages);
	client_log(client, LOG_LEVEL_DEBUG, "got admin query: %.*s", text.len < 500 ? (int) text.len : 500,
			   (const char *) text.ptr);
	switch (command_parse(text, &command))
	{
		case COMMAND_PLAIN: run_plain(console, client, &command, text, &result); break;
		case COMMAND_SET: run_set(console, client, &command, &result); break;
		case COMMAND_INVALID: invalid_command(&result, text); break;
		case COMMAND_TOO_LONG: result_error(&result, "bad arguments"); break;
	}
	send_answer(client, &result);
}

/* --- the end of waits --- */

/* Who still has something to send after suspend_timeout. */
static void
close_unquiet(Hall *hall)
{
	HallWalk walk;
	const ListNode *node;

	hall_walk_begin(hall, &walk, WALK_SERVERS);
	while ((node = hall_walk_next(&walk)) != NULL)
	{
		Server *server = CONTAINER_OF(node, Server, node);

		if (net_backlog(&server->conn) > 0)
			server->slot.close_needed = true;
	}
	hall_walk_end(&walk);
	hall_walk_begin(hall, &walk, WALK_CLIENTS);
	while ((node = hall_walk_next(&walk)) != NULL)
	{
		Client *client = CONTAINER_OF(node, Client, node);
		bool blocked = net_backlog(&client->conn) > 0 ||
					   (client->server != NULL && net_backlog(&client->server->conn) > 0);

		if (client->state != CLIENT_CONSOLE && blocked)
			client_close(client, "suspend_timeout", NULL);
	}
	hall_walk_end(&walk);
	hall_run_actions(hall);
}

/* A pause that somebody else has undone will not be complete any more. */
static bool
was_resumed(const Worker *worker, const ConsoleWait *wait)
{
	if (wait->kind == WAIT_SUSPENDED)
		return !worker->hall->suspended;
	return wait->kind == WAIT_PAUSED && (wait->database != NULL ? !wait->database->paused : !worker->hall->paused);
}

static void
check_wait(Console *console, ConsoleWait *wait)
{
	static const char *const tags[] = {
		[WAIT_PAUSED] = "PAUSE", [WAIT_SUSPENDED] = "SUSPEND", [WAIT_CLOSED] = "WAIT_CLOSE", [WAIT_SENT] = "SHOW", [WAIT_ASKED] = "SHOW"};
	Worker *worker = console->options.worker;
	Result result = {0};
	bool over = false;

	switch (wait->kind)
	{
		case WAIT_PAUSED: over = !hall_has_active_servers(worker->hall, wait->database); break;
		case WAIT_CLOSED: over = !hall_has_closing_servers(worker->hall, wait->database); break;
		case WAIT_ASKED: return; /* on_answered */
		case WAIT_SUSPENDED:
			if (wait->until <= worker_now(worker))
				close_unquiet(worker->hall);
			over = wait->until <= worker_now(worker) || hall_is_quiet(worker->hall);
			break;
		case WAIT_SENT:
			if (net_backlog(&wait->client->conn) == 0)
				show_piece(console, wait);
			return;
	}
	if (was_resumed(worker, wait))
		result_error(&result, "resumed before everything had come to rest");
	else if (over)
		result_done(&result, tags[wait->kind]);
	else
		return;
	end_wait(console, wait, &result);
}

/* Is it worth a look at everything, for which the other workers must stop? */
static bool
look_now(const Console *console, usec_t now)
{
	if (console->look_at <= now)
		return true;
	list_each(node, &console->waits)
	{
		const ConsoleWait *wait = CONTAINER_OF(node, const ConsoleWait, node);

		if (wait->kind == WAIT_SENT && net_backlog(&wait->client->conn) == 0)
			return true;
	}
	return false;
}

void
console_tick(Console *console)
{
	Worker *worker = console->options.worker;
	usec_t now = worker_now(worker);
	deadline_t next = DEADLINE_NONE;

	if (list_empty(&console->waits) || !look_now(console, now))
		return;
	hall_park(worker->hall);
	list_each(node, &console->waits)
		check_wait(console, CONTAINER_OF(node, ConsoleWait, node));
	hall_unpark(worker->hall);
	list_each(node, &console->waits)
	{
		const ConsoleWait *wait = CONTAINER_OF(node, const ConsoleWait, node);

		/* a client that has read all gets more at once; the end of a backlog makes the loop turn by itself */
		if (wait->kind == WAIT_SENT && net_backlog(&wait->client->conn) == 0)
			next = now;
		/* also when this loop does not turn: others may do what is waited for */
		else if (wait->kind != WAIT_SENT)
			next = deadline_min(next, now + LOOK_AGAIN_US);
		next = deadline_min(next, wait->until);
	}
	console->look_at = next;
	timer_arm(net_timers(worker->loop), &console->timer, next);
}

static void
on_cancel(void *arg, Client *client)
{
	Console *console = arg;
	ConsoleWait *wait = find_wait(console, client);
	Result result = {0};

	if (wait == NULL || wait->kind == WAIT_SENT)
		return;
	undo_wait(console, wait);
	result_error_detail(&result, "57014", "canceling statement due to user request", NULL);
	end_wait(console, wait, &result);
}

static void
on_closed(void *arg, Client *client)
{
	Console *console = arg;
	ConsoleWait *wait = find_wait(console, client);

	if (wait != NULL)
	{
		undo_wait(console, wait);
		drop_wait(console, wait);
	}
	if (console->suspender == client)
		resume_suspended(console);
	if (console->taker == client)
		console->taker = NULL;
}

/* --- life --- */

/* Its only purpose is that the loop turns: console_tick comes at the end of the turn. */
static void
on_timer(Timer *timer, usec_t now)
{
	(void) timer;
	(void) now;
}

static void
write_help(Console *console)
{
	size_t len = 0;

	for (const CommandRow *row = commands; row->name != NULL; row++)
		if (row->help != NULL)
			len += (size_t) snprintf(console->help + len, sizeof(console->help) - len, "\n\t%s", row->help);
}

Console *
console_create(const ConsoleOptions *options)
{
	Console *console = calloc(1, sizeof(Console));

	if (console == NULL)
		return NULL;
	console->options = *options;
	console->timer.fire = on_timer;
	list_init(&console->waits);
	write_help(console);
	return console;
}

void
console_free(Console *console)
{
	if (console == NULL)
		return;
	timer_disarm(net_timers(console->options.worker->loop), &console->timer);
	list_each(node, &console->waits)
		drop_wait(console, CONTAINER_OF(node, ConsoleWait, node));
	free(console);
}

ConsoleOps
console_ops(Console *console)
{
	return (ConsoleOps){.arg = console, .query = on_query, .cancel = on_cancel, .closed = on_closed};
}
