/*
 * console.c: the console's commands: a table, who may use what, SHOW, and answering.
 */
#include "admin/console.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "admin/command.h"
#include "admin/console_inside.h"
#include "admin/show.h"

typedef struct CommandRow
{
	const char *name;
	/* argument is "" when there is none */
	void (*run)(Console *console, Client *client, const char *argument, Result *result);
	bool admin_only;
	const char *help;
} CommandRow;

static void run_show(Console *console, Client *client, const char *argument, Result *result);

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
	{"RELOAD", console_reload, true, "RELOAD"},
	{"PAUSE", console_pause, true, "PAUSE [<db>]"},
	{"RESUME", console_resume, true, "RESUME [<db>]"},
	{"DISABLE", console_disable, true, "DISABLE <db>"},
	{"ENABLE", console_enable, true, "ENABLE <db>"},
	{"RECONNECT", console_reconnect, true, "RECONNECT [<db>]"},
	{"KILL", console_kill, true, "KILL [<db>]"},
	{"KILL_CLIENT", console_kill_client, true, "KILL_CLIENT <client_id>"},
	{"SUSPEND", console_suspend, true, "SUSPEND"},
	{"SHUTDOWN", console_shutdown, true, "SHUTDOWN\n\tSHUTDOWN WAIT_FOR_SERVERS|WAIT_FOR_CLIENTS"},
	{"WAIT_CLOSE", console_wait_close, true, "WAIT_CLOSE [<db>]"},
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

void
console_answer(Client *client, Result *result)
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

void
console_show_piece(Console *console, ConsoleWait *wait)
{
	Result result = {0};
	Show show = make_show(console, &result);

	if (wait->show->piece(&show, &wait->walk))
	{
		result_done(&result, "SHOW");
		console_wait_end(console, wait, &result);
	}
	else
		console_answer(wait->client, &result); /* may close the client, and with it the wait */
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
	console_wait_end(wait->console, wait, &result);
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
		if ((wait = console_wait_start(console, client, WAIT_ASKED, NULL, result)) == NULL)
			return;
		wait->question = (ReporterQuestion){.sql = row->sql, .answered = on_answered};
		reporter_ask(console->options.reporter, &wait->question);
	}
	else if ((wait = console_wait_start(console, client, WAIT_SENT, NULL, result)) != NULL)
	{
		wait->show = row;
		console_show_piece(console, wait);
	}
}

/* --- a command --- */

/* Is the argument one that the command knows?  What it does not take makes the whole text invalid. */
static bool
takes_argument(const CommandRow *row, const char *argument)
{
	if (row->run == run_show)
		return show_find(argument) != NULL || show_fixed_value(argument) != NULL;
	if (row->run == console_shutdown)
		return argument[0] == '\0' || strcasecmp(argument, "WAIT_FOR_SERVERS") == 0 ||
			   strcasecmp(argument, "WAIT_FOR_CLIENTS") == 0;
	if (row->run == console_reload || row->run == console_suspend)
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
		case COMMAND_SET: console_set(console, client, &command, &result); break;
		case COMMAND_INVALID: invalid_command(&result, text); break;
		case COMMAND_TOO_LONG: result_error(&result, "bad arguments"); break;
	}
	console_answer(client, &result);
}

/* --- life --- */

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
	console_waits_init(console);
	write_help(console);
	return console;
}

void
console_free(Console *console)
{
	if (console == NULL)
		return;
	console_waits_free(console);
	free(console);
}

ConsoleOps
console_ops(Console *console)
{
	return (ConsoleOps){.arg = console, .query = on_query, .cancel = console_on_cancel, .closed = console_on_closed};
}
