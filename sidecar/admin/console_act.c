/*
 * console_act.c: the commands that act: on databases, clients and servers, on the process and its settings.
 */
#include "admin/console_inside.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* --- what they share --- */

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

void
console_resume_suspended(Console *console)
{
	console->suspender = NULL;
	hall_unsuspend(console->options.worker->hall);
}

void
console_resume_all(Console *console)
{
	Worker *worker = console->options.worker;

	console_resume_suspended(console);
	if (worker->hall->paused)
		hall_resume(worker->hall, NULL);
	console->killed_all = false;
}

void
console_pause(Console *console, Client *client, const char *argument, Result *result)
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
		(void) console_wait_start(console, client, WAIT_PAUSED, database, result);
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
resume_everything(Console *console, Client *client, Result *result)
{
	Worker *worker = console->options.worker;

	if (!worker->hall->paused && !worker->hall->suspended && !resume_killed(console))
	{
		result_error(result, "pooler is not paused/suspended");
		return;
	}
	log_command(client, "RESUME", "");
	console_resume_all(console);
	result_done(result, "RESUME");
}

void
console_resume(Console *console, Client *client, const char *argument, Result *result)
{
	Worker *worker = console->options.worker;
	Database *database;

	if (worker->hall->phase != WORKER_RUNNING)
		result_error(result, "pooler is shutting down");
	else if (argument[0] == '\0')
		resume_everything(console, client, result);
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

void
console_suspend(Console *console, Client *client, const char *argument, Result *result)
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
		else if ((wait = console_wait_start(console, client, WAIT_SUSPENDED, NULL, result)) != NULL)
			wait->until = deadline_after(worker_now(worker), worker->settings->suspend_timeout_us);
	}
}

/* --- single databases --- */

void
console_disable(Console *console, Client *client, const char *argument, Result *result)
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

void
console_enable(Console *console, Client *client, const char *argument, Result *result)
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

void
console_reconnect(Console *console, Client *client, const char *argument, Result *result)
{
	Database *database = NULL;

	if (argument[0] != '\0' && (database = named_database(console, argument, "reconnect", true, result)) == NULL)
		return;
	log_command(client, "RECONNECT", argument);
	hall_reconnect(console->options.worker->hall, database);
	result_done(result, "RECONNECT");
}

void
console_wait_close(Console *console, Client *client, const char *argument, Result *result)
{
	Database *database = NULL;

	if (argument[0] != '\0' && (database = named_database(console, argument, "wait in", true, result)) == NULL)
		return;
	log_command(client, "WAIT_CLOSE", argument);
	if (!hall_has_closing_servers(console->options.worker->hall, database))
		result_done(result, "WAIT_CLOSE");
	else
		(void) console_wait_start(console, client, WAIT_CLOSED, database, result);
}

/* --- KILL --- */

void
console_kill(Console *console, Client *client, const char *argument, Result *result)
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

void
console_kill_client(Console *console, Client *client, const char *argument, Result *result)
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

void
console_reload(Console *console, Client *client, const char *argument, Result *result)
{
	char error[512] = "";

	(void) argument;
	log_command(client, "RELOAD", "");
	if (console->options.reload(console->options.arg, error, sizeof(error)))
		result_done(result, "RELOAD");
	else
		result_error_detail(result, "F0000", "RELOAD failed, see logs for additional details", error);
}

void
console_shutdown(Console *console, Client *client, const char *argument, Result *result)
{
	const ConsoleOptions *options = &console->options;

	log_command(client, "SHUTDOWN", argument);
	if (console->taker == client)
	{
		console_resume_suspended(console);
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

void
console_set(Console *console, Client *client, const Command *command, Result *result)
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
