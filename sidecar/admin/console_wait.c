/*
 * console_wait.c: the commands that wait, and how each of them ends.
 *
 * Waits are few; a list is enough to find one.
 */
#include "admin/console_inside.h"

#include <stdlib.h>

/* How often it is looked whether what is waited for has come about, when several workers may bring it about. */
#define LOOK_AGAIN_US (2 * USEC_PER_MSEC)

/* --- a wait --- */

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

ConsoleWait *
console_wait_start(Console *console, Client *client, WaitKind kind, Database *database, Result *result)
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

void
console_wait_end(Console *console, ConsoleWait *wait, Result *result)
{
	Client *client = wait->client;

	drop_wait(console, wait);
	net_resume(&client->conn);
	console_answer(client, result);
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
		console_resume_all(console);
}

/* --- its end --- */

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
				console_show_piece(console, wait);
			return;
	}
	if (was_resumed(worker, wait))
		result_error(&result, "resumed before everything had come to rest");
	else if (over)
		result_done(&result, tags[wait->kind]);
	else
		return;
	console_wait_end(console, wait, &result);
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

void
console_on_cancel(void *arg, Client *client)
{
	Console *console = arg;
	ConsoleWait *wait = find_wait(console, client);
	Result result = {0};

	if (wait == NULL || wait->kind == WAIT_SENT)
		return;
	undo_wait(console, wait);
	result_error_detail(&result, "57014", "canceling statement due to user request", NULL);
	console_wait_end(console, wait, &result);
}

void
console_on_closed(void *arg, Client *client)
{
	Console *console = arg;
	ConsoleWait *wait = find_wait(console, client);

	if (wait != NULL)
	{
		undo_wait(console, wait);
		drop_wait(console, wait);
	}
	if (console->suspender == client)
		console_resume_suspended(console);
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

void
console_waits_init(Console *console)
{
	list_init(&console->waits);
	console->timer.fire = on_timer;
}

void
console_waits_free(Console *console)
{
	timer_disarm(net_timers(console->options.worker->loop), &console->timer);
	list_each(node, &console->waits)
		drop_wait(console, CONTAINER_OF(node, ConsoleWait, node));
}
