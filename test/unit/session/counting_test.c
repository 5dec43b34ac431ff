/*
 * counting_test.c: statements that repeat, and applications.
 */
#include "tap.h"
#include "session/apps.h"
#include "session/repeats.h"

#include <string.h>

#define MS USEC_PER_MSEC

static const Slice sql = {(const uint8_t *) "select name from item where id = 7", 34};

static const RepeatCount *
counted(const SessionStats *stats, uint64_t fingerprint, bool in_xact)
{
	static const RepeatCount none;

	for (int i = 0; stats->repeats != NULL && i < STATS_REPEATS; i++)
		if (stats->repeats[i].fingerprint == fingerprint && stats->repeats[i].in_xact == in_xact)
			return &stats->repeats[i];
	return &none;
}

static void
a_loop_in_a_transaction_counts(void)
{
	static SessionStats stats;
	RepeatTally tally = {.any = false};
	usec_t now = 1000;

	for (uint64_t i = 0; i < 40; i++)
	{
		repeats_note(&tally, &stats, 11, sql, now++);
		if (i < REPEATS_MIN)
			repeats_note(&tally, &stats, 12, sql, now++);
		repeats_note(&tally, &stats, 100 + i, sql, now++); /* others come and go between them */
		repeats_note(&tally, &stats, 0, sql, now++);
	}
	is_int(counted(&stats, 11, true)->units, 0, "nothing before the transaction ends");
	repeats_end(&tally, &stats, now);
	is_int(counted(&stats, 11, true)->units, 1, "a unit");
	is_int(counted(&stats, 11, true)->statements, 40, "its statements");
	is_int(counted(&stats, 11, true)->most, 40, "the most");
	is_int(counted(&stats, 12, true)->statements, REPEATS_MIN, "the second one of the loop");
	is_str(counted(&stats, 11, true)->text, "select name from item where id = ?", "text");
	is_int(stats.repeat_units, 2, "units of all classes");
	is_int(stats.repeat_statements, 40 + REPEATS_MIN, "statements of all classes");
	for (int i = 0; i < REPEATS_MIN - 1; i++)
		repeats_note(&tally, &stats, 11, sql, now++);
	repeats_end(&tally, &stats, now);
	is_int(counted(&stats, 11, true)->units, 1, "one less than the minimum does not count, and the next begins anew");
	for (int i = 0; i < 20; i++)
		repeats_note(&tally, &stats, 11, sql, now++);
	repeats_end(&tally, &stats, now);
	is_int(counted(&stats, 11, true)->most, 40, "the most stays");
	for (int i = 0; i < 20; i++)
		repeats_note(&tally, &stats, 11, sql, now + 11 * USEC_PER_SEC);
	repeats_end(&tally, &stats, now + 11 * USEC_PER_SEC);
	is_int(counted(&stats, 11, true)->most, 20, "for some time");
	stats_free(&stats);
}

static void
runs_end_by_class_pause_and_length(void)
{
	static SessionStats stats;
	uint32_t length = 0;

	for (int i = 0; i < 10; i++)
		repeats_note_run(&length, &stats, i == 0 ? 0 : 5, 5, sql, MS, 1000 + i);
	repeats_note_run(&length, &stats, 5, 6, sql, MS, 2000);
	is_int(counted(&stats, 5, false)->statements, 10, "another class ends it");
	for (int i = 0; i < 8; i++)
		repeats_note_run(&length, &stats, 6, 6, sql, MS, 3000 + i);
	repeats_note_run(&length, &stats, 6, 6, sql, 21 * MS, 4000);
	is_int(counted(&stats, 6, false)->statements, 9, "a pause ends it");
	is_int(length, 1, "and begins another");
	repeats_end_run(&length, &stats, 6, 5000);
	is_int(counted(&stats, 6, false)->units, 1, "which is too short");
	for (int i = 0; i < 2 * REPEATS_RUN_MAX + 1; i++)
		repeats_note_run(&length, &stats, 7, 7, sql, 0, 6000);
	is_int(counted(&stats, 7, false)->units, 2, "one without end is told in parts");
	for (int i = 0; i < 100; i++)
		repeats_note_run(&length, &stats, 0, 0, sql, 0, 7000);
	is_int(counted(&stats, 0, false)->units, 0, "without classes there is nothing");
	stats_free(&stats);
}

static void
many_classes_are_bounded(void)
{
	static SessionStats stats;
	RepeatTally tally = {.any = false};

	for (uint64_t class = 1; class <= 1000; class++)
	{
		for (int i = 0; i < 10; i++)
			repeats_note(&tally, &stats, class, sql, (usec_t) class);
		repeats_end(&tally, &stats, (usec_t) class);
	}
	is_int(stats.repeat_units, 1000, "all are in the sums");
	is_int(counted(&stats, 1000, true)->units, 1, "the last one has a place");
	is_int(counted(&stats, 1, true)->units, 0, "the first one has not");
	for (uint64_t class = 1; class <= 100; class++)
		for (int i = 0; i < 10; i++)
			repeats_note(&tally, &stats, class, sql, 5000);
	repeats_end(&tally, &stats, 5000);
	is_int(stats.repeat_units, 1000 + REPEATS_TRACKED, "one transaction counts those it tracks");
	stats_free(&stats);
}

static void
applications_by_name_and_database(void)
{
	static AppTable table;
	AppCount *a = NULL;
	AppCount *b = NULL;
	AppCount *c = NULL;
	char long_name[200];

	apps_enter(&table, &a, "shop", "db", 1);
	apps_enter(&table, &b, "shop", "db", 2);
	apps_enter(&table, &c, "shop", "other", 3);
	ok(a == b && a != c, "name and database together");
	is_int(a->clients, 2, "clients");
	is_int(a->first_at, 1, "since");
	apps_enter(&table, &b, NULL, "db", 4);
	is_int(a->clients, 1, "a client changes its name");
	is_str(b->name, "", "to none");
	apps_leave(&b, 5);
	apps_leave(&b, 5);
	ok(b == NULL, "and leaves, once");
	for (size_t i = 0; i + 1 < sizeof(long_name); i += 2)
		memcpy(long_name + i, "\xc3\xa9", 2);
	long_name[sizeof(long_name) - 2] = '\0';
	apps_enter(&table, &b, long_name, "db", 6);
	is_int(strlen(b->name), 62, "a long name is cut between characters");
}

static void
applications_are_bounded(void)
{
	static AppTable table;
	AppCount *held[APPS_MAX + 5] = {NULL};
	AppCount *passing = NULL;
	char name[20];
	uint64_t serial;

	for (int i = 0; i < APPS_MAX - 2; i++)
	{
		snprintf(name, sizeof(name), "held%d", i);
		apps_enter(&table, &held[i], name, "db", i);
	}
	apps_enter(&table, &passing, "passing", "db", 100);
	serial = passing->serial;
	for (int i = 0; i < 50; i++)
	{
		snprintf(name, sizeof(name), "passing%d", i);
		apps_enter(&table, &passing, name, "db", 100 + i);
	}
	is_str(passing->name, "passing49", "an unused place is taken");
	ok(passing->serial > serial, "and is another one then");
	apps_enter(&table, &held[APPS_MAX], "late", "db", 200);
	apps_enter(&table, &held[APPS_MAX + 1], "later", "db", 200);
	is_str(held[APPS_MAX]->name, "(others)", "when all are in use");
	ok(held[APPS_MAX] == held[APPS_MAX + 1], "the rest shares one");
	is_int(held[0]->clients, 1, "who was there stays");
}

static void
statistics_add_up(void)
{
	SessionStats a = {.xacts = 1};
	SessionStats b = {.xacts = 2};
	SessionStats sum = {.xacts = 0};
	RepeatTally tally = {.any = false};
	Histogram read;

	stats_add(&sum, &a);
	ok(sum.errors == NULL && sum.repeats == NULL, "where nothing failed or repeated there is no memory for it");
	stats_count_error(&a, "57014");
	stats_count_error(&a, "57014");
	stats_count_error(&b, "53300");
	stats_count_error(&b, "57014");
	for (int i = 0; i < REPEATS_MIN; i++)
		repeats_note(&tally, &b, 11, sql, 1000);
	repeats_end(&tally, &b, 1000);
	sparse_histogram_add(&a.life_hist, 77);
	sparse_histogram_add(&b.life_hist, 77);
	stats_free(&sum);
	sum = (SessionStats){.xacts = 0};
	stats_add(&sum, &a);
	stats_add(&sum, &b);
	is_int(sum.xacts, 3, "numbers");
	is_str(sum.errors[0].code, "57014", "errors: code");
	is_int(sum.errors[0].count, 3, "errors: count");
	is_int(sum.errors[1].count, 1, "... of the other");
	is_int(counted(&sum, 11, true)->statements, REPEATS_MIN, "repeats");
	sparse_histogram_read(&sum.life_hist, &read);
	is_int(read.count[histogram_bucket(77)], 2, "histograms");
	stats_free(&a);
	stats_free(&b);
	stats_free(&sum);
}

int
main(void)
{
	a_loop_in_a_transaction_counts();
	runs_end_by_class_pause_and_length();
	many_classes_are_bounded();
	applications_by_name_and_database();
	applications_are_bounded();
	statistics_add_up();
	return done_testing();
}
