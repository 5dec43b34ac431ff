/*
 * show_stats.c: SHOW STATS, STATS_TOTALS, STATS_AVERAGES and TOTALS: the pools' counters, added up per database.
 */
#include "admin/show.h"

#include <stdlib.h>

#define CONSOLE_NAME "pgbouncer"

typedef struct StatsRow
{
	const char *database;
	StatSums now, then;
} StatsRow;

/* A row per database that has a pool, and the console's, by name; for free(). */
static StatsRow *
collect(const Show *show, size_t *row_count)
{
	size_t pool_count;
	SessionPool **pools = show_sorted_pools(show, &pool_count);
	StatsRow *rows = calloc(pool_count + 1, sizeof(StatsRow));
	bool console_done = false;
	size_t n = 0;

	*row_count = 0;
	if (rows == NULL)
	{
		show->result->failed = true;
		free(pools);
		return NULL;
	}
	for (size_t i = 0; i <= pool_count; i++)
	{
		const char *name = i < pool_count ? pools[i]->database->name : NULL;

		if (!console_done && (name == NULL || strcmp(name, CONSOLE_NAME) > 0))
		{
			rows[n].database = CONSOLE_NAME;
			averages_add_console(show->averages, &rows[n].now, &rows[n].then);
			n++;
			console_done = true;
		}
		if (name == NULL)
			break;
		if (n == 0 || strcmp(rows[n - 1].database, name) != 0)
			rows[n++].database = name;
		averages_add_pool(show->averages, pools[i], &rows[n - 1].now, &rows[n - 1].then);
	}
	free(pools);
	*row_count = n;
	return rows;
}

static void
put_sums(Result *result, const StatSums *sums)
{
	for (int i = 0; i < STAT_KINDS; i++)
		result_unsigned(result, sums->v[i]);
}

static void
write_rows(const Show *show, bool totals, bool averages)
{
	size_t count;
	StatsRow *rows = collect(show, &count);

	for (size_t i = 0; i < count; i++)
	{
		StatSums average;

		averages_compute(&rows[i].now, &rows[i].then, averages_span(show->averages), &average);
		result_row(show->result);
		result_text(show->result, rows[i].database);
		if (totals)
			put_sums(show->result, &rows[i].now);
		if (averages)
			put_sums(show->result, &average);
		result_row_end(show->result);
	}
	free(rows);
}

void
show_stats(const Show *show)
{
	result_columns(show->result, "sNNNNNNNNNNNNNNNNNNNNNNNN",
				   "database total_server_assignment_count total_xact_count total_query_count total_received total_sent "
				   "total_xact_time total_query_time total_wait_time total_client_parse_count total_server_parse_count "
				   "total_bind_count total_client_login_count avg_server_assignment_count avg_xact_count avg_query_count "
				   "avg_recv avg_sent avg_xact_time avg_query_time avg_wait_time avg_client_parse_count "
				   "avg_server_parse_count avg_bind_count avg_client_login_count");
	write_rows(show, true, true);
}

void
show_stats_totals(const Show *show)
{
	result_columns(show->result, "sNNNNNNNNNNNN",
				   "database server_assignment_count xact_count query_count bytes_received bytes_sent xact_time query_time "
				   "wait_time client_parse_count server_parse_count bind_count client_login_count");
	write_rows(show, true, false);
}

void
show_stats_averages(const Show *show)
{
	result_columns(show->result, "sNNNNNNNNNNNN",
				   "database server_assignment_count xact_count query_count bytes_received bytes_sent xact_time query_time "
				   "wait_time avg_client_parse_count avg_server_parse_count avg_bind_count avg_client_login_count");
	write_rows(show, false, true);
}

static void
total_rows(Result *result, const char *prefix, const StatSums *sums)
{
	static const char *const names[STAT_KINDS] = {
		"server_assignment_count", "xact_count",		   "query_count",		   "client_bytes",	"server_bytes",
		"xact_time",			   "query_time",		   "wait_time",			   "ps_client_parse_count",
		"ps_server_parse_count",   "ps_bind_count",		   "client_login_count"};

	for (int i = 0; i < STAT_KINDS; i++)
	{
		result_row(result);
		result_format(result, "%s_%s", prefix, names[i]);
		result_unsigned(result, sums->v[i]);
		result_row_end(result);
	}
}

void
show_totals(const Show *show)
{
	StatSums now = {0};
	StatSums then = {0};
	StatSums average;

	averages_add_console(show->averages, &now, &then);
	list_each(node, &show->worker->hall->pool_list)
		averages_add_pool(show->averages, CONTAINER_OF(node, const SessionPool, list_node), &now, &then);
	averages_compute(&now, &then, averages_span(show->averages), &average);
	result_columns(show->result, "sN", "name value");
	total_rows(show->result, "total", &now);
	total_rows(show->result, "avg", &average);
}
