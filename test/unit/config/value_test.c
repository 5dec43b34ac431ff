/*
 * value_test.c: text to value and back, for each type; and the tables of keys themselves.
 */
#include "config/value.h"

#include "config_test.h"

static const ConfigChoice colours[] = {
	{"red", 1}, {"green", 2}, {"blue", 3}, {NULL, 0}};

typedef struct Thing
{
	const char *string;
	int number;
	uint32_t unsigned_number;
	bool flag;
	usec_t duration;
} Thing;

static Arena arena;
static Thing thing;
static char reason[300];

#define ROW(type_, field_, ...)                                                                              \
	(ConfigRow)                                                                                              \
	{                                                                                                        \
		.name = "key", .type = type_, .home = HOME_SETTINGS, .offset = offsetof(Thing, field_), __VA_ARGS__  \
	}

/* Parse into `thing`; returns "" or the reason. */
static const char *
parse(ConfigRow row, const char *text)
{
	reason[0] = '\0';
	if (value_parse(&row, &thing, text, &arena, reason, sizeof(reason)))
		return "";
	return reason[0] != '\0' ? reason : "(no reason)";
}

static const char *
format(ConfigRow row)
{
	static char buf[CONFIG_VALUE_TEXT];

	return value_format(&row, &thing, buf, sizeof(buf));
}

static void
ints_are_c_constants(void)
{
	const ConfigRow row = ROW(CONFIG_INT, number, .initial = "1");

	is_str(parse(row, "42"), "", "decimal");
	is_int(thing.number, 42, "its value");
	is_str(parse(row, "0777"), "", "octal");
	is_int(thing.number, 511, "its value");
	is_str(format(row), "511", "shown in decimal");
	is_str(parse(row, "0x10"), "", "hexadecimal");
	is_int(thing.number, 16, "its value");
	is_str(parse(row, "-3"), "", "negative");
	is_int(thing.number, -3, "its value");
	is_str(parse(row, "10 "), "not a whole number", "something behind it");
	is_str(parse(row, "10k"), "not a whole number", "a letter behind it");
	is_str(parse(row, "1.5"), "not a whole number", "a fraction");
	is_str(parse(row, ""), "not a whole number", "nothing");
	is_str(parse(row, "on"), "not a whole number", "a word");
	is_str(parse(row, "2147483648"), "is too large", "one too large");
	is_str(parse(row, "99999999999999999999"), "not a whole number", "one too large for any type");
	is_int(thing.number, -3, "a refused text changes nothing");
}

static void
limits_are_kept(void)
{
	is_str(parse(ROW(CONFIG_INT, number, .max = INT32_MAX), "-1"), "must be at least 0", "below the least");
	is_str(parse(ROW(CONFIG_INT, number, .min = 1, .max = 9), "10"), "must be between 1 and 9",
		   "above the largest");
	is_str(parse(ROW(CONFIG_PORT, number, ), "0"), "must be between 1 and 65535", "port 0");
	is_str(parse(ROW(CONFIG_PORT, number, ), "65536"), "must be between 1 and 65535", "port 65536");
	is_str(parse(ROW(CONFIG_PORT, number, ), "65535"), "", "port 65535");
	is_str(parse(ROW(CONFIG_UINT, unsigned_number, ), "4294967295"), "", "the largest unsigned");
	is_str(format(ROW(CONFIG_UINT, unsigned_number, )), "4294967295", "shown");
	is_str(parse(ROW(CONFIG_UINT, unsigned_number, ), "-1"), "must be at least 0", "a negative unsigned");
}

static void
flags_are_ints(void)
{
	const ConfigRow row = ROW(CONFIG_BOOL, flag, );

	is_str(parse(row, "1"), "", "1");
	is_str(format(row), "1", "shown");
	is_str(parse(row, "0"), "", "0");
	is_str(format(row), "0", "shown");
	is_str(parse(row, "7"), "", "another int");
	is_str(format(row), "1", "means on");
	is_str(parse(row, "yes"), "not a whole number", "a word is refused");
}

static void
seconds_have_fractions_and_no_unit(void)
{
	const ConfigRow row = ROW(CONFIG_SECONDS, duration, );

	is_str(parse(row, "15"), "", "whole");
	is_int(thing.duration, 15000000, "its value");
	is_str(format(row), "15", "shown without a fraction");
	is_str(parse(row, "0.25"), "", "a fraction");
	is_int(thing.duration, 250000, "its value");
	is_str(format(row), "0.25", "shown with it");
	is_str(parse(row, ".5"), "", "without a leading digit");
	is_int(thing.duration, 500000, "its value");
	is_str(parse(row, "0.000001"), "", "a microsecond");
	is_int(thing.duration, 1, "its value");
	is_str(format(row), "1e-06", "shown with an exponent");
	is_str(parse(row, "0.0000001"), "", "less than a microsecond");
	is_int(thing.duration, 1, "does not become 0, which would mean no limit");
	is_str(parse(row, "0"), "", "zero");
	is_int(thing.duration, 0, "its value");
	is_str(parse(row, "1e300"), "", "an enormous number");
	is_int(thing.duration, CONFIG_MAX_DURATION_US, "becomes the longest duration");
	ok(thing.duration < INT64_MAX / 2, "to which an instant can be added");
	is_str(parse(row, "-1"), "not a number of seconds >= 0", "negative");
	is_str(parse(row, "5s"), "not a number of seconds >= 0", "a unit");
	is_str(parse(row, "inf"), "not a number of seconds >= 0", "inf");
	is_str(parse(row, "nan"), "not a number of seconds >= 0", "nan");
	is_str(parse(row, "0x10"), "not a number of seconds >= 0", "hexadecimal");
	is_str(parse(row, "."), "not a number of seconds >= 0", "a point alone");
	is_str(parse(row, ""), "not a number of seconds >= 0", "nothing");
	is_str(parse(row, "1 2"), "not a number of seconds >= 0", "two numbers");
}

static void
durations_have_units(void)
{
	const ConfigRow row = ROW(CONFIG_DURATION, duration, );
	static const struct
	{
		const char *text;
		int64_t us;
	} cases[] = {{"250ms", 250000}, {"100us", 100}, {"1.5s", 1500000}, {"2min", 120000000}, {"3", 3000000},
				 {"0.5", 500000},   {"5 ms", 5000}, {"0", 0},          {"0ms", 0},          {"0.1us", 1}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		is_str(parse(row, cases[i].text), "", "%s", cases[i].text);
		is_int(thing.duration, cases[i].us, "its value");
	}
	is_str(parse(row, "5h"), "unknown unit: expected us, ms, s (the default) or min", "another unit");
	is_str(parse(row, "5MS"), "unknown unit: expected us, ms, s (the default) or min", "in capitals");
	is_str(parse(row, "ms"), "not a duration: expected a number >= 0 and us, ms, s (the default) or min",
		   "a unit alone");
	is_str(parse(row, "-5ms"), "not a duration: expected a number >= 0 and us, ms, s (the default) or min",
		   "negative");
	parse(row, "250ms");
	is_str(format(row), "0.25", "shown in seconds");
}

static void
whole_seconds_are_ints(void)
{
	const ConfigRow row = ROW(CONFIG_WHOLE, duration, );

	is_str(parse(row, "5"), "", "an int");
	is_int(thing.duration, 5000000, "in microseconds");
	is_str(format(row), "5", "shown as an int");
	is_str(parse(row, "5.5"), "not a whole number", "a fraction");
	is_str(parse(row, "-1"), "must be at least 0", "negative");
	is_str(parse(row, "2147483647"), "", "the largest int");
	is_int(thing.duration, CONFIG_MAX_DURATION_US, "becomes the longest duration");
}

static void
percentages(void)
{
	const ConfigRow row = ROW(CONFIG_PERCENT, number, );

	is_str(parse(row, "50"), "", "a number");
	is_int(thing.number, 50, "its value");
	is_str(parse(row, "60%"), "", "with a sign");
	is_str(parse(row, "70 %"), "", "and a blank");
	is_int(thing.number, 70, "its value");
	is_str(format(row), "70", "shown without");
	is_str(parse(row, "101"), "must be a percentage between 0 and 100", "too much");
	is_str(parse(row, "-1"), "must be a percentage between 0 and 100", "too little");
	is_str(parse(row, "%"), "must be a percentage between 0 and 100", "no number");
	is_str(parse(row, "00000000000000000000050"), "must be a percentage between 0 and 100",
		   "too many digits");
}

static void
names_ignore_case(void)
{
	const ConfigRow row = ROW(CONFIG_ENUM, number, .choices = colours, .initial = "red");
	const ConfigRow name = ROW(CONFIG_NAME, string, .choices = colours, .initial = "red");

	is_str(parse(row, "GREEN"), "", "in capitals");
	is_int(thing.number, 2, "its value");
	is_str(format(row), "green", "shown as it is spelled in the table");
	is_str(parse(row, "yellow"), "must be red, green or blue", "an unknown one");
	is_str(parse(row, "blue"), "", "the last of them");
	is_int(thing.number, 3, "its value");
	is_str(parse(name, "Red"), "", "kept as a string");
	is_str(thing.string, "red", "in the table's spelling");
}

static void
keys_without_effect_accept_their_default_only(void)
{
	const ConfigRow number = {.name = "key", .type = CONFIG_SECONDS, .home = HOME_NONE, .initial = "3600"};
	const ConfigRow unset = {.name = "key", .type = CONFIG_STRING, .home = HOME_NONE};
	const ConfigRow empty = {.name = "key", .type = CONFIG_FILE, .home = HOME_NONE, .initial = ""};

	is_str(parse(number, "3600"), "", "the default");
	is_str(parse(number, "3600.0"), "", "the default, spelled otherwise");
	is_str(parse(number, "60"),
		   "not supported by this version; remove the line or set it to its default \"3600\"",
		   "another value");
	is_str(parse(number, "x"),
		   "not supported by this version; remove the line or set it to its default \"3600\"", "nonsense");
	is_str(parse(unset, ""), "", "nothing where the default is unset");
	is_str(parse(unset, "x"), "not supported by this version; remove the line", "something there");
	is_str(parse(empty, ""), "", "nothing where the default is empty");
	is_str(parse(empty, "/x"), "not supported by this version; remove the line or set it to its default \"\"",
		   "something there");
	is_str(format(number), "3600", "shown as the default");
}

static void
entries_inherit(void)
{
	ConfigRow row = ROW(CONFIG_INT, number, .min = -1, .max = INT32_MAX);

	row.home = HOME_DATABASE;
	ok(value_reset(&row, &thing, &arena), "reset");
	is_int(thing.number, OPTION_INHERIT, "an entry's number starts as inherited");
	is_str(parse(row, "0"), "", "0");
	is_int(thing.number, 0, "is 0");
	is_str(parse(row, "-1"), "", "-1");
	is_int(thing.number, OPTION_INHERIT, "is inherited");
	row.zero_inherits = true;
	is_str(parse(row, "0"), "", "0 where it means nothing of its own");
	is_int(thing.number, OPTION_INHERIT, "is inherited");

	row = ROW(CONFIG_WHOLE, duration, .min = -1, .max = INT32_MAX);
	row.home = HOME_USER;
	is_str(parse(row, "-1"), "", "-1 seconds");
	is_int(thing.duration, OPTION_INHERIT, "are inherited");
}

/* --- the tables --- */

static void
check_table(const char *name, const ConfigRow *rows, void *home)
{
	for (const ConfigRow *row = rows; row->name != NULL; row++)
	{
		bool good =
			row->help != NULL && row->help[strlen(row->help) - 1] == '.' && row_find(rows, row->name) == row;

		good = good && value_reset(row, home, &arena);
		if (row->initial != NULL)
			good = good && value_parse(row, home, row->initial, &arena, reason, sizeof(reason));
		good = good && ((row->type != CONFIG_ENUM && row->type != CONFIG_NAME) || row->choices != NULL);
		if (!good)
			printf("# %s.%s\n", name, row->name);
		ok(good, "%s: the row has a unique name, help and a default that it accepts", row->name);
	}
}

static void
the_tables_are_sound(void)
{
	Config *config = load_text("[pgbouncer]\n", NULL);
	DatabaseSpec database = {0};
	UserSpec user = {0};

	ok(config != NULL, "an empty section is a configuration");
	if (config == NULL)
		return;
	for (const ConfigRow *row = config_table(); row->name != NULL; row++)
		if (row->home == HOME_DATABASE || row->home == HOME_USER)
			ok(false, "%s does not belong into the main table", row->name);
	check_table("databases", config_database_table(), &database);
	check_table("users", config_user_table(), &user);
	is_str(row_nearest(config_table(), "listen_prt"), "listen_port", "a missing letter");
	is_str(row_nearest(config_table(), "max_client_conns"), "max_client_conn", "an added one");
	is_str(row_nearest(config_table(), "LISTEN_ADDR"), "listen_addr", "capitals");
	is_str(row_nearest(config_table(), "frobnicate"), NULL, "nothing near");
	is_str(row_nearest(config_table(), ""), NULL, "nothing at all");
	config_free(config);
}

int
main(void)
{
	enter_test_dir();
	ints_are_c_constants();
	limits_are_kept();
	flags_are_ints();
	seconds_have_fractions_and_no_unit();
	durations_have_units();
	whole_seconds_are_ints();
	percentages();
	names_ignore_case();
	keys_without_effect_accept_their_default_only();
	entries_inherit();
	the_tables_are_sound();
	arena_free(&arena);
	return done_testing();
}
