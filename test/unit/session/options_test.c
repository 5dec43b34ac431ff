/*
 * options_test.c: lookups in the settings.
 */
#include "session/options.h"

#include "tap.h"

static void
lists(void)
{
	ok(settings_list_has("a,b,c", "a"), "the first");
	ok(settings_list_has("a,b,c", "c"), "the last");
	ok(settings_list_has(" a , b\t,c ", "b"), "with blanks around it");
	ok(settings_list_has("a,,b", "b"), "behind an empty item");
	ok(settings_list_has("a b,c", "a b"), "with a blank inside");
	ok(!settings_list_has("abc", "ab"), "not a beginning");
	ok(!settings_list_has("abc", "bc"), "not an end");
	ok(!settings_list_has("a,b", "A"), "not in another case");
	ok(!settings_list_has("a,b", ""), "not the empty name");
	ok(!settings_list_has("a,,b", ""), "not even where an item is empty");
	ok(!settings_list_has("", "a"), "not in an empty list");
	ok(!settings_list_has(" , ", "a"), "not in a list of blanks");
	ok(!settings_list_has(NULL, "a"), "not in no list");
}

static void
databases(void)
{
	const DatabaseSpec specs[] = {{.name = "A"}, {.name = "a"}, {.name = "b"}, {.name = "shop"}};
	const Settings settings = {.databases = specs, .database_count = 4};
	const Settings empty = {0};

	for (int i = 0; i < 4; i++)
		ok(settings_find_database(&settings, specs[i].name) == &specs[i], "finds %s", specs[i].name);
	ok(settings_find_database(&settings, "c") == NULL, "no c");
	ok(settings_find_database(&settings, "") == NULL, "no empty name");
	ok(settings_find_database(&empty, "a") == NULL, "none in no databases");
}

static void
users(void)
{
	Settings settings = {0};
	UserSpec app = {.name = "app", .pool_size = 3};
	UserSpec admin = {.name = "admin"};

	settings_init_users(&settings);
	ok(settings_find_user(&settings, "app") == NULL, "nobody at first");
	settings_add_user(&settings, &app);
	settings_add_user(&settings, &admin);
	ok(settings_find_user(&settings, "app") == &app, "one");
	ok(settings_find_user(&settings, "admin") == &admin, "the other");
	ok(settings_find_user(&settings, "App") == NULL, "case counts");
	map_free(&settings.users);
}

int
main(void)
{
	lists();
	databases();
	users();
	return done_testing();
}
