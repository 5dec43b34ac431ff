/*
 * pressure.c: pgweir.report(), by which sidecars report, and the functions that show what they said.
 *
 * Sums over a pool are for everybody; whose connection it is, and from where, only for those who may read that user's
 * activity; addresses of the network only for members of pg_read_all_stats.
 */
#include "postgres.h"

#include "stores/reports.h"
#include "stores/timeline.h"
#include "views/rows.h"

PG_FUNCTION_INFO_V1(pgweir_report_1_0);
PG_FUNCTION_INFO_V1(pgweir_reporters_1_0);
PG_FUNCTION_INFO_V1(pgweir_pools_1_0);
PG_FUNCTION_INFO_V1(pgweir_pool_errors_1_0);
PG_FUNCTION_INFO_V1(pgweir_linked_1_0);
PG_FUNCTION_INFO_V1(pgweir_peers_1_0);
PG_FUNCTION_INFO_V1(pgweir_applications_1_0);
PG_FUNCTION_INFO_V1(pgweir_repeats_1_0);
PG_FUNCTION_INFO_V1(pgweir_timeline_1_0);

/*
 * pgweir.report(reporter text, version integer, payload jsonb): the version that is understood here.  A version only adds keys, so
 * every one is taken; what is not known is not shown.
 */
Datum
pgweir_report_1_0(PG_FUNCTION_ARGS)
{
	char	   *reporter = text_to_cstring(PG_GETARG_TEXT_PP(0));
	int32		version = PG_GETARG_INT32(1);

	pgweir_require_preload();
	if (version < 1)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("unsupported report version %d", version),
				 errdetail("This extension understands versions 1 to %d, and of later ones what these have.",
						   PGWEIR_PAYLOAD_VERSION)));
	if (reporter[0] == '\0' || strlen(reporter) >= PGWEIR_NAME_LEN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a reporter's name must have 1 to %d bytes", PGWEIR_NAME_LEN - 1)));
	pgweir_reports_store(reporter, pgweir_payload_parse(PG_GETARG_JSONB_P(2)));
	PG_RETURN_INT32(PGWEIR_PAYLOAD_VERSION);
}

static void
put_us_as_ms(PgweirRow *row, uint64 us)
{
	pgweir_row_float8(row, (double) us / 1000.0);
}

/* pgweir.reporters() */
Datum
pgweir_reporters_1_0(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = pgweir_rows_start(fcinfo);
	PgweirRow	row = {0};
	int			n;
	PgweirReporterView *views = pgweir_reports_reporters(&n);

	for (int i = 0; i < n; i++)
	{
		pgweir_row_text(&row, views[i].name);
		pgweir_row_put(&row, Int32GetDatum(views[i].pid));
		pgweir_row_text(&row, views[i].version);
		pgweir_row_text(&row, views[i].listen);
		pgweir_row_time(&row, views[i].first_seen);
		pgweir_row_time(&row, views[i].last_seen);
		pgweir_row_int8(&row, views[i].reports);
		pgweir_row_int8(&row, views[i].left_out);
		pgweir_row_float8(&row, (double) views[i].uptime_us / 1e6);
		pgweir_row_int8(&row, views[i].clients);
		pgweir_row_int8(&row, views[i].max_clients);
		pgweir_row_int8(&row, views[i].login_failures);
		pgweir_row_int8(&row, views[i].clients_refused);
		pgweir_row_emit(&row, result);
	}
	return (Datum) 0;
}

static uint64
hist_count(const uint64 *hist)
{
	uint64		sum = 0;

	for (int i = 0; i < PGWEIR_BUCKETS; i++)
		sum += hist[i];
	return sum;
}

/* p50, p95 and p99; null when nothing was measured. */
static void
put_quantiles(PgweirRow *row, const uint64 *hist)
{
	static const double quantiles[] = {0.50, 0.95, 0.99};
	bool		empty = hist_count(hist) == 0;

	for (int i = 0; i < (int) lengthof(quantiles); i++)
	{
		if (empty)
			pgweir_row_null(row);
		else
			put_us_as_ms(row, pgweir_histogram_quantile(hist, quantiles[i]));
	}
}

/* p50, p95 and p99 of a histogram of counts. */
static void
put_counts(PgweirRow *row, const uint64 *hist)
{
	static const double quantiles[] = {0.50, 0.95, 0.99};
	bool		empty = hist_count(hist) == 0;

	for (int i = 0; i < (int) lengthof(quantiles); i++)
	{
		if (empty)
			pgweir_row_null(row);
		else
			pgweir_row_int8(row, pgweir_histogram_quantile(hist, quantiles[i]));
	}
}

/*
 * Where most of a histogram is: the upper edge of the two neighbouring buckets that hold most, and the share they hold.
 * Clients that give up by a timeout of their own all do so at the same age.
 */
static void
put_peak(PgweirRow *row, const uint64 *hist)
{
	uint64		total = hist_count(hist);
	uint64		most = 0;
	int			at = 0;

	for (int i = 0; i + 1 < PGWEIR_BUCKETS; i++)
	{
		if (hist[i] + hist[i + 1] > most)
		{
			most = hist[i] + hist[i + 1];
			at = hist[i + 1] > 0 ? i + 1 : i;
		}
	}
	pgweir_row_int8(row, total);
	if (total == 0)
	{
		pgweir_row_null(row);
		pgweir_row_null(row);
		return;
	}
	put_us_as_ms(row, pgweir_histogram_upper(at));
	pgweir_row_float8(row, (double) most / (double) total);
}

/* pgweir.pools(): the pools of all reporters; counters are of the last minute. */
Datum
pgweir_pools_1_0(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = pgweir_rows_start(fcinfo);
	PgweirRow	row = {0};
	int			n;
	PgweirPoolView *views = pgweir_reports_pools(&n);

	for (int i = 0; i < n; i++)
	{
		PgweirPoolView *view = &views[i];

		pgweir_row_text(&row, view->reporter);
		pgweir_row_text(&row, view->db);
		pgweir_row_text(&row, view->user);
		pgweir_row_text(&row, view->mode);
		pgweir_row_time(&row, view->first_seen);
		pgweir_row_time(&row, view->last_seen);
		for (int j = 0; j < PGWEIR_PG_NGAUGES; j++)
			pgweir_row_int8(&row, view->gauge[j]);
		for (int j = 0; j < PGWEIR_PC_NCOUNTERS; j++)
			pgweir_row_int8(&row, view->recent[j]);
		put_quantiles(&row, view->hist[PGWEIR_PH_WAIT]);
		put_quantiles(&row, view->hist[PGWEIR_PH_RUN]);
		put_quantiles(&row, view->hist[PGWEIR_PH_DEADLINE]);
		put_quantiles(&row, view->hist[PGWEIR_PH_THINK]);
		put_quantiles(&row, view->hist[PGWEIR_PH_LIFE]);
		put_counts(&row, view->hist[PGWEIR_PH_REQUESTS]);
		put_peak(&row, view->hist[PGWEIR_PH_GONE]);
		pgweir_row_int8(&row, view->peak_waiting);
		pgweir_row_int8(&row, view->total[PGWEIR_PC_QUERIES]);
		pgweir_row_int8(&row, view->total[PGWEIR_PC_LOGINS]);
		if (view->error[0] != '\0')
			pgweir_row_text(&row, view->error);
		else
			pgweir_row_null(&row);
		pgweir_row_emit(&row, result);
	}
	return (Datum) 0;
}

/* pgweir.pool_errors(): errors by SQLSTATE that the pools' clients were sent. */
Datum
pgweir_pool_errors_1_0(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = pgweir_rows_start(fcinfo);
	PgweirRow	row = {0};
	int			n;
	PgweirPoolView *views = pgweir_reports_pools(&n);

	for (int i = 0; i < n; i++)
	{
		for (int j = 0; j < views[i].n_sqlstates; j++)
		{
			pgweir_row_text(&row, views[i].reporter);
			pgweir_row_text(&row, views[i].db);
			pgweir_row_text(&row, views[i].user);
			pgweir_row_text(&row, views[i].sqlstate[j].code);
			pgweir_row_int8(&row, views[i].sqlstate[j].count);
			pgweir_row_int8(&row, views[i].sqlstate_total[j].count);
			pgweir_row_emit(&row, result);
		}
	}
	return (Datum) 0;
}

/* pgweir.linked(): the server connections that are in a client's hands, by the backend's pid. */
Datum
pgweir_linked_1_0(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = pgweir_rows_start(fcinfo);
	PgweirRow	row = {0};
	int			n;
	PgweirLinkedView *views = pgweir_reports_linked(&n);

	for (int i = 0; i < n; i++)
	{
		PgweirLinked *linked = &views[i].linked;
		Oid			userid = get_role_oid(linked->user, true);

		if (!pgweir_may_read(userid))
			continue;
		pgweir_row_put(&row, Int32GetDatum(linked->pid));
		pgweir_row_text(&row, views[i].reporter);
		pgweir_row_time(&row, views[i].reported);
		pgweir_row_text(&row, linked->db);
		pgweir_row_text(&row, linked->user);
		pgweir_row_text(&row, linked->client);
		pgweir_row_put(&row, Int32GetDatum(linked->port));
		pgweir_row_text(&row, linked->app);
		pgweir_row_text(&row, linked->state);
		put_us_as_ms(&row, linked->wait_us);
		put_us_as_ms(&row, linked->since_us);
		if (linked->has_deadline)
			pgweir_row_float8(&row, (double) linked->deadline_left_us / 1000.0);
		else
			pgweir_row_null(&row);
		pgweir_row_emit(&row, result);
	}
	return (Datum) 0;
}

/* pgweir.peers(): what the kernel of the sidecar's machine measures on its sockets. */
Datum
pgweir_peers_1_0(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = pgweir_rows_start(fcinfo);
	PgweirRow	row = {0};
	int			n;
	PgweirPeerView *views = pgweir_reports_peers(&n);

	for (int i = 0; i < n && pgweir_may_read(InvalidOid); i++)
	{
		PgweirPeer *peer = &views[i].peer;

		pgweir_row_text(&row, views[i].reporter);
		pgweir_row_text(&row, peer->is_server ? "server" : "client");
		pgweir_row_text(&row, peer->addr);
		pgweir_row_time(&row, views[i].seen);
		pgweir_row_int8(&row, peer->n);
		put_us_as_ms(&row, peer->rtt_us);
		put_us_as_ms(&row, peer->rttvar_us);
		put_us_as_ms(&row, views[i].rtt_most_us);
		pgweir_row_int8(&row, peer->retrans);
		pgweir_row_int8(&row, peer->segments);
		pgweir_row_int8(&row, peer->lost);
		pgweir_row_int8(&row, peer->unacked);
		pgweir_row_emit(&row, result);
	}
	return (Datum) 0;
}

/* pgweir.applications(): what clients of one application_name do; counters are of the last minute. */
Datum
pgweir_applications_1_0(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = pgweir_rows_start(fcinfo);
	PgweirRow	row = {0};
	int			n;
	PgweirAppView *views = pgweir_reports_apps(&n);

	for (int i = 0; i < n && pgweir_may_read(InvalidOid); i++)
	{
		PgweirApp  *app = &views[i].app;

		pgweir_row_text(&row, views[i].reporter);
		pgweir_row_text(&row, app->db);
		pgweir_row_text(&row, app->name);
		pgweir_row_time(&row, views[i].first);
		pgweir_row_time(&row, views[i].seen);
		pgweir_row_int8(&row, app->clients);
		pgweir_row_int8(&row, app->counter[PGWEIR_AC_XACTS]);
		pgweir_row_int8(&row, app->counter[PGWEIR_AC_QUERIES]);
		put_us_as_ms(&row, app->counter[PGWEIR_AC_QUERY_US]);
		put_us_as_ms(&row, app->counter[PGWEIR_AC_THINK_US]);
		pgweir_row_int8(&row, app->counter[PGWEIR_AC_ERRORS]);
		pgweir_row_int8(&row, views[i].total[PGWEIR_AC_QUERIES]);
		pgweir_row_int8(&row, views[i].total[PGWEIR_AC_ERRORS]);
		pgweir_row_emit(&row, result);
	}
	return (Datum) 0;
}

/* pgweir.repeats(): classes of statements that came many times in a transaction or in a row, in the last minute. */
Datum
pgweir_repeats_1_0(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = pgweir_rows_start(fcinfo);
	PgweirRow	row = {0};
	int			n;
	PgweirRepeatView *views = pgweir_reports_repeats(&n);

	for (int i = 0; i < n; i++)
	{
		PgweirRepeat *repeat = &views[i].repeat;

		if (!pgweir_may_read(get_role_oid(views[i].user, true)))
			continue;
		pgweir_row_text(&row, views[i].reporter);
		pgweir_row_text(&row, views[i].db);
		pgweir_row_text(&row, views[i].user);
		pgweir_row_text(&row, repeat->in_xact ? "transaction" : "connection");
		pgweir_row_text(&row, repeat->fingerprint);
		pgweir_row_text(&row, repeat->query);
		pgweir_row_int8(&row, repeat->units);
		pgweir_row_int8(&row, repeat->statements);
		pgweir_row_int8(&row, repeat->most);
		pgweir_row_time(&row, views[i].first);
		pgweir_row_time(&row, views[i].seen);
		pgweir_row_emit(&row, result);
	}
	return (Datum) 0;
}

static bool
is_empty(const PgweirStep *step)
{
	for (int i = 0; i < PGWEIR_TL_N; i++)
	{
		if (step->value[i] != 0)
			return false;
	}
	return true;
}

/* pgweir.timeline(): the server's last hour, a row for each ten seconds in which something happened. */
Datum
pgweir_timeline_1_0(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = pgweir_rows_start(fcinfo);
	PgweirStep *steps = palloc(PGWEIR_STEPS * sizeof(PgweirStep));
	int			n = pgweir_timeline_read(steps);
	PgweirRow	row = {0};

	for (int i = 0; i < n; i++)
	{
		const uint64 *value = steps[i].value;

		if (is_empty(&steps[i]))
			continue;
		pgweir_row_time(&row, (TimestampTz) steps[i].epoch * PGWEIR_STEP_S * USECS_PER_SEC);
		for (int j = 0; j < PGWEIR_TL_N; j++)
		{
			if (j == PGWEIR_TL_BUSY_NS || j == PGWEIR_TL_THINK_NS)
				pgweir_row_float8(&row, (double) value[j] / 1e6);
			else
				pgweir_row_int8(&row, value[j]);
		}
		pgweir_row_emit(&row, result);
	}
	return (Datum) 0;
}
