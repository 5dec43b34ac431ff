/*
 * show_workers.c: SHOW WORKERS: the threads that serve clients.
 */
#include "admin/show.h"

static void
worker_row(Result *result, Worker *worker, usec_t now)
{
	Spread *spread = &worker->hall->spread;

	result_row(result);
	result_number(result, worker->index);
	result_text(result, worker->index < spread->active ? "active" : "resting");
	result_number(result, spread_busy(spread, worker->index, now) / 10);
	result_number(result, worker->clients.count);
	result_number(result, worker->logins.count);
	result_number(result, worker->servers.count);
	result_unsigned(result, worker->moved_in);
	result_unsigned(result, worker->moved_out);
	result_row_end(result);
}

/*
 * A row for each: whether it gets new clients, the percentage of a core that it has been busy for lately, what is connected with it, and how many
 * clients have come from other workers and gone to them.
 */
void
show_workers(const Show *show)
{
	Hall *hall = show->worker->hall;
	usec_t now = clock_now();

	result_columns(show->result, "isiiiiNN", "worker state busy clients logins servers moved_in moved_out");
	pthread_mutex_lock(&hall->spread_lock);
	for (int i = 0; i < hall->worker_count; i++)
		worker_row(show->result, hall->workers[i], now);
	pthread_mutex_unlock(&hall->spread_lock);
}
