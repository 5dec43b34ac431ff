/*
 * show_deadlines.c: what PgBouncer has no column for: SHOW DEADLINES, ADMISSION, CLASSES, LIMITS and STATEMENTS.
 */
#include "admin/show.h"
#include "session/limits.h"

#include <inttypes.h>
#include <stdlib.h>

/* --- deadlines --- */

static void
put_quantiles(Result *result, const SparseHistogram *counted)
{
	Histogram histogram;

	sparse_histogram_read(counted, &histogram);
	result_number(result, histogram_quantile(&histogram, 0.50));
	result_number(result, histogram_quantile(&histogram, 0.95));
	result_number(result, histogram_quantile(&histogram, 0.99));
}

static void
deadline_row(Result *result, const SessionPool *pool)
{
	const PoolCounters *counters = &pool->policy.counters;
	SessionStats sums;
	const SessionStats *stats = &sums;

	session_pool_stats(pool, &sums);
	result_row(result);
	result_text(result, pool->database->name);
	result_text(result, pool->role->name);
	result_unsigned(result, counters->expired);
	result_unsigned(result, stats->expired_running);
	result_unsigned(result, stats->expired_grace);
	result_unsigned(result, counters->refused_hopeless);
	result_unsigned(result, counters->refused_full);
	result_unsigned(result, stats->gone_waiting);
	result_unsigned(result, stats->gone_running);
	put_quantiles(result, &counters->wait_hist);
	put_quantiles(result, &stats->run_hist);
	put_quantiles(result, &stats->deadline_hist);
	result_row_end(result);
	stats_free(&sums);
}

/* Since the pool began; times in microseconds. */
void
show_deadlines(const Show *show)
{
	size_t count;
	SessionPool **pools = show_sorted_pools(show, &count);

	result_columns(show->result, "ssNNNNNNNqqqqqqqqq",
				   "database user expired_queued expired_running expired_grace refused queue_full gone_waiting gone_running "
				   "wait_p50 wait_p95 wait_p99 run_p50 run_p95 run_p99 deadline_p50 deadline_p95 deadline_p99");
	for (size_t i = 0; i < count; i++)
		deadline_row(show->result, pools[i]);
	free(pools);
}

/* --- admission --- */

static void
admission_row(Result *result, const SessionPool *pool)
{
	const Pool *policy = &pool->policy;
	PoolAdmission now;

	pool_admission(policy, &now);
	result_row(result);
	result_text(result, pool->database->name);
	result_text(result, pool->role->name);
	result_text(result, policy->limits.admission ? "on" : "off");
	result_number(result, policy->waiters.count);
	result_number(result, policy->active.count);
	result_number(result, now.active_limit);
	result_number(result, now.slow_waiting);
	result_number(result, now.slow_active);
	result_number(result, now.slow_limit);
	result_number(result, policy->estimate.median_us);
	result_number(result, policy->estimate.hold[0].mean_us);
	result_number(result, policy->estimate.hold[1].mean_us);
	result_number(result, policy->estimate.login.mean_us);
	result_number(result, (int64_t) (now.margin * 100 + 0.5));
	result_unsigned(result, policy->counters.refused_hopeless);
	result_unsigned(result, policy->counters.refused_full);
	result_row_end(result);
}

/* What each pool decides by: limits in slots (0 = none), estimates in microseconds, the margin in percent of a wait. */
void
show_admission(const Show *show)
{
	size_t count;
	SessionPool **pools = show_sorted_pools(show, &count);

	result_columns(show->result, "sssiiiiiiqqqqiNN",
				   "database user admission waiting active active_limit slow_waiting slow_active slow_limit median_us hold_us "
				   "hold_slow_us login_us margin refused queue_full");
	for (size_t i = 0; i < count; i++)
		admission_row(show->result, pools[i]);
	free(pools);
}

/* --- statement classes --- */

static void
class_row(Result *result, const SessionPool *pool, const PoolClass *class, const char *text)
{
	result_row(result);
	result_text(result, pool->database->name);
	result_text(result, pool->role->name);
	result_format(result, "%016" PRIx64, class->fingerprint);
	result_unsigned(result, class->calls);
	result_unsigned(result, class->refused);
	result_unsigned(result, class->expired);
	result_number(result, class->run.mean_us);
	result_number(result, class->hold.mean_us);
	result_number(result, class->active);
	result_number(result, class->waiting);
	result_text(result, class->slow ? "yes" : "no");
	result_number(result, pool->policy.counters.granted > 0 ? (int64_t) (class->calls * 100 / pool->policy.counters.granted) : 0);
	result_text(result, text);
	result_row_end(result);
}

/* Any worker may have seen one. */
static const char *
text_of(const Hall *hall, uint64_t fingerprint)
{
	const char *text = NULL;

	for (int i = 0; i < hall->worker_count && text == NULL; i++)
		text = class_texts_find(&hall->workers[i]->class_texts, fingerprint);
	return text;
}

/*
 * Each pool's statement classes, the most recently used first.  share: its part of the statements that ran in the pool, in percent;
 * text: one of them with its values replaced, NULL when it is no longer known.
 */
void
show_classes(const Show *show)
{
	size_t count;
	SessionPool **pools = show_sorted_pools(show, &count);

	result_columns(show->result, "sssNNNqqiisis",
				   "database user fingerprint calls refused expired mean_us hold_us active waiting slow share text");
	for (size_t i = 0; i < count; i++)
	{
		const List *lru = &pools[i]->policy.classes.lru;

		for (const ListNode *node = lru->head.prev; node != &lru->head; node = node->prev)
		{
			const PoolClass *class = CONTAINER_OF(node, const PoolClass, lru);

			class_row(show->result, pools[i], class, text_of(show->worker->hall, class->fingerprint));
		}
	}
	free(pools);
}

/* --- rules --- */

static void
limit_row(Result *result, const Limit *limit)
{
	const LimitSpec *spec = limit->spec;

	result_row(result);
	result_text(result, limit->name);
	result_text(result, spec->user);
	result_text(result, spec->database);
	result_text(result, spec->application_name);
	result_text(result, spec->tag);
	result_text(result, spec->fingerprint);
	result_number(result, limit->cap.max_active);
	result_number(result, limit->cap.active);
	result_number(result, limit->cap.max_waiting);
	result_number(result, pool_cap_waiting(&limit->cap));
	result_unsigned(result, limit->cap.parked);
	result_unsigned(result, limit->cap.refused);
	result_number(result, spec->query_deadline_us > 0 ? spec->query_deadline_us : 0);
	result_row_end(result);
}

/* The rules of [limits] in order: what they fit (NULL = any), places and waiters, how many ever waited or were refused, the deadline in
 * microseconds. */
void
show_limits(const Show *show)
{
	result_columns(show->result, "ssssssiiiiNNq",
				   "name user database application_name tag fingerprint max_active active max_waiting waiting waited refused query_deadline");
	list_each(node, &show->worker->hall->limits)
		if (CONTAINER_OF(node, const Limit, node)->spec != NULL)
			limit_row(show->result, CONTAINER_OF(node, const Limit, node));
}

/* --- prepared statements --- */

/* One row: statements that are known (each is kept once), their bytes, and how often they are prepared on servers. */
void
show_statements(const Show *show)
{
	const Worker *worker = show->worker;
	uint64_t prepared = 0;
	uint64_t servers = 0;
	StatementSums sums = hall_statement_sums(worker->hall);
	HallWalk walk;
	const ListNode *node;

	hall_walk_begin(worker->hall, &walk, WALK_SERVERS);
	while ((node = hall_walk_next(&walk)) != NULL)
	{
		int count = server_statements_count(&CONTAINER_OF(node, const Server, node)->statements);

		prepared += (uint64_t) count;
		servers += count > 0;
	}
	hall_walk_end(&walk);
	result_columns(show->result, "qqqq", "statements bytes prepared servers");
	result_row(show->result);
	result_unsigned(show->result, sums.count);
	result_unsigned(show->result, sums.bytes);
	result_unsigned(show->result, prepared);
	result_unsigned(show->result, servers);
	result_row_end(show->result);
}
