/*
 * config.c: the life of a Config: load, reload, change one key, show.  What the files mean is in loader.c.
 */
#include "config/config.h"

#include <stdlib.h>
#include <string.h>
#include "config/authfile.h"
#include "config/loader.h"

void *
config_home(const Config *config, const ConfigRow *row)
{
	switch (row->home)
	{
		case HOME_SETTINGS: return config->settings;
		case HOME_PROCESS: return (void *) &config->process;
		case HOME_NONE:
		case HOME_DATABASE:
		case HOME_USER:
		case HOME_PEER:
		case HOME_LIMIT: return NULL;
	}
	abort();
}

/* A config without values; everything in it comes from its arena. */
static Config *
config_allocate(void)
{
	Config *config = calloc(1, sizeof(*config));

	if (config == NULL)
		return NULL;
	config->settings = arena_alloc(&config->_arena, sizeof(Settings));
	if (config->settings == NULL)
	{
		free(config);
		return NULL;
	}
	settings_init_users(config->settings);
	return config;
}

Config *
config_new(void)
{
	Config *config = config_allocate();

	for (const ConfigRow *row = config_table(); config != NULL && row->name != NULL; row++)
	{
		if (value_reset(row, config_home(config, row), &config->_arena))
			continue;
		config_free(config);
		return NULL;
	}
	return config;
}

void
config_free(Config *config)
{
	if (config == NULL)
		return;
	map_free(&config->settings->users);
	hba_file_unref(config->hba);
	net_tls_context_unref(config->settings->client_tls_context);
	net_tls_context_unref(config->settings->server_tls_context);
	arena_free(&config->_arena);
	free(config);
}

/* --- load and reload --- */

/* An empty config for the same command line. */
static Config *
config_begin(const ConfigOverrides *overrides, ConfigProblems *problems)
{
	Config *config = config_new();

	if (config != NULL && overrides != NULL)
	{
		config->overrides.verbose = overrides->verbose;
		config->overrides.user = arena_strdup(&config->_arena, overrides->user);
		if (overrides->user != NULL && config->overrides.user == NULL)
		{
			config_free(config);
			config = NULL;
		}
	}
	if (config == NULL)
		problems_add(problems, PROBLEM_ERROR, NULL, "out of memory");
	return config;
}

/* The config, read from path (NULL: made by SET), if it has no errors, else NULL. */
static Config *
config_finish(Config *config, const char *path, int errors_before, ConfigProblems *problems)
{
	/* checks that join several keys would only repeat what is wrong with one of them */
	if (problems->errors == errors_before)
	{
		config_derive(config, problems);
		config_validate(config, path, problems);
	}
	if (problems->errors == errors_before)
		return config;
	config_free(config);
	return NULL;
}

Config *
config_load(const char *path, const ConfigOverrides *overrides, ConfigProblems *problems)
{
	const int errors_before = problems->errors;
	Config *config = config_begin(overrides, problems);

	if (config == NULL)
		return NULL;
	config_read(config, path, problems);
	return config_finish(config, path, errors_before, problems);
}

/* A value as it stands in a note. */
static const char *
shown_value(const ConfigRow *row, const Config *config, char *buf, size_t size)
{
	const char *value = value_format(row, config_home(config, row), buf, size);

	if (value == NULL)
		return "unset";
	if (row->secret)
		return "what is not shown";
	return value[0] != '\0' ? value : "empty";
}

/* Keys that cannot change while running keep their value. */
static void
keep_fixed_keys(Config *fresh, const Config *running, ConfigProblems *problems)
{
	for (const ConfigRow *row = config_table(); row->name != NULL; row++)
	{
		char asked[CONFIG_VALUE_TEXT];
		char kept[CONFIG_VALUE_TEXT];
		void *to = config_home(fresh, row);
		const void *from = config_home(running, row);

		if (row->reloadable || value_equal(row, to, from))
			continue;
		problems_add(problems, PROBLEM_NOTE, NULL, "%s = %s takes effect after a restart; %s stays in use",
					 row->name, shown_value(row, fresh, asked, sizeof(asked)),
					 shown_value(row, running, kept, sizeof(kept)));
		if (!value_copy(row, to, from, &fresh->_arena))
			problems_add(problems, PROBLEM_ERROR, NULL, "out of memory");
	}
}

static bool
same_database(const DatabaseSpec *a, const DatabaseSpec *b)
{
	for (const ConfigRow *row = config_database_table(); row->name != NULL; row++)
		if (!value_equal(row, a, b))
			return false;
	return true;
}

/* Notes of which databases came, went or changed; what changed is not said: it may be a password. */
static void
note_changed_databases(const Settings *old, const Settings *fresh, ConfigProblems *problems)
{
	for (int i = 0; i < old->database_count; i++)
		if (settings_find_database(fresh, old->databases[i].name) == NULL)
			problems_add(problems, PROBLEM_NOTE, NULL, "database \"%s\" removed", old->databases[i].name);
	for (int i = 0; i < fresh->database_count; i++)
	{
		const DatabaseSpec *before = settings_find_database(old, fresh->databases[i].name);

		if (before == NULL)
			problems_add(problems, PROBLEM_NOTE, NULL, "database \"%s\" added", fresh->databases[i].name);
		else if (!same_database(before, &fresh->databases[i]))
			problems_add(problems, PROBLEM_NOTE, NULL, "database \"%s\" changed", fresh->databases[i].name);
	}
}

static void
note_changes(const Config *running, const Config *fresh, ConfigProblems *problems)
{
	for (const ConfigRow *row = config_table(); row->name != NULL; row++)
	{
		char before[CONFIG_VALUE_TEXT];
		char after[CONFIG_VALUE_TEXT];

		if (!value_equal(row, config_home(running, row), config_home(fresh, row)))
			problems_add(problems, PROBLEM_NOTE, NULL, "%s changed from %s to %s", row->name,
						 shown_value(row, running, before, sizeof(before)),
						 shown_value(row, fresh, after, sizeof(after)));
	}
	note_changed_databases(running->settings, fresh->settings, problems);
}

Config *
config_reload(const Config *running, ConfigProblems *problems)
{
	const int errors_before = problems->errors;
	Config *fresh = config_begin(&running->overrides, problems);

	if (fresh == NULL)
		return NULL;
	config_read(fresh, running->process.conffile, problems);
	if (problems->errors == errors_before)
		keep_fixed_keys(fresh, running, problems);
	fresh = config_finish(fresh, running->process.conffile, errors_before, problems);
	if (fresh != NULL)
		note_changes(running, fresh, problems);
	return fresh;
}

/* --- SET --- */

/* Give a copied entry strings of its own. */
static bool
own_strings(const ConfigRow *rows, void *copy, const void *original, Arena *arena)
{
	for (const ConfigRow *row = rows; row->name != NULL; row++)
		if (!value_copy(row, copy, original, arena))
			return false;
	return true;
}

static bool
copy_database(DatabaseSpec *to, const DatabaseSpec *from, Arena *arena)
{
	*to = *from;
	to->name = arena_strdup(arena, from->name);
	return to->name != NULL && own_strings(config_database_table(), to, from, arena);
}

static bool
copy_databases(Settings *to, const Settings *from, Arena *arena)
{
	DatabaseSpec *databases = arena_alloc(arena, (size_t) from->database_count * sizeof(*databases));
	DatabaseSpec *template = NULL;

	if (databases == NULL)
		return false;
	for (int i = 0; i < from->database_count; i++)
		if (!copy_database(&databases[i], &from->databases[i], arena))
			return false;
	if (from->database_template != NULL)
	{
		template = arena_alloc(arena, sizeof(*template));
		if (template == NULL || !copy_database(template, from->database_template, arena))
			return false;
	}
	to->databases = databases;
	to->database_template = template;
	return true;
}

static bool
copy_users(Settings *to, const Settings *from, Arena *arena)
{
	for (MapNode *node = map_next(&from->users, NULL); node != NULL; node = map_next(&from->users, node))
	{
		const UserSpec *user = CONTAINER_OF(node, UserSpec, node);
		UserSpec *copy = config_new_user(to, arena, user->name);

		if (copy == NULL || !own_strings(config_user_table(), copy, user, arena))
			return false;
		copy->secret = arena_strdup(arena, user->secret);
		if (user->secret != NULL && copy->secret == NULL)
			return false;
	}
	return true;
}

static bool
copy_peers(Settings *to, const Settings *from, Arena *arena)
{
	const PeerSpec **end = &to->peers;

	to->peers = NULL;
	for (const PeerSpec *peer = from->peers; peer != NULL; peer = peer->next)
	{
		PeerSpec *copy = arena_alloc(arena, sizeof(*copy));

		if (copy == NULL)
			return false;
		*copy = *peer;
		copy->next = NULL;
		if (!own_strings(config_peer_table(), copy, peer, arena))
			return false;
		*end = copy;
		end = (const PeerSpec **) &copy->next;
	}
	return true;
}

static bool
copy_limits(Settings *to, const Settings *from, Arena *arena)
{
	const LimitSpec **end = &to->limits;

	to->limits = NULL;
	for (const LimitSpec *limit = from->limits; limit != NULL; limit = limit->next)
	{
		LimitSpec *copy = arena_alloc(arena, sizeof(*copy));

		if (copy == NULL)
			return false;
		*copy = *limit;
		copy->next = NULL;
		copy->name = arena_strdup(arena, limit->name);
		if (copy->name == NULL || !own_strings(config_limit_table(), copy, limit, arena))
			return false;
		*end = copy;
		end = (const LimitSpec **) &copy->next;
	}
	return true;
}

/* A copy that shares nothing with the original; NULL when out of memory. */
static Config *
config_copy(const Config *config)
{
	Config *copy = config_allocate();
	Arena *arena;

	if (copy == NULL)
		return NULL;
	arena = &copy->_arena;
	*copy->settings = *config->settings;
	settings_init_users(copy->settings);
	copy->hba = hba_file_ref(config->hba);
	(void) net_tls_context_ref(copy->settings->client_tls_context);
	(void) net_tls_context_ref(copy->settings->server_tls_context);
	copy->process = config->process;
	copy->overrides = config->overrides;
	copy->overrides.user = arena_strdup(arena, config->overrides.user);
	if (config->overrides.user != NULL && copy->overrides.user == NULL)
		goto fail;
	for (const ConfigRow *row = config_table(); row->name != NULL; row++)
		if (!value_copy(row, config_home(copy, row), config_home(config, row), arena))
			goto fail;
	if (!copy_databases(copy->settings, config->settings, arena) ||
		!copy_users(copy->settings, config->settings, arena) ||
		!copy_peers(copy->settings, config->settings, arena) ||
		!copy_limits(copy->settings, config->settings, arena))
		goto fail;
	return copy;

fail:
	config_free(copy);
	return NULL;
}

/* The secrets come from another file from now on. */
static void
change_auth_file(Config *config, ConfigProblems *problems)
{
	Settings *settings = config->settings;

	for (MapNode *node = map_next(&settings->users, NULL); node != NULL;
		 node = map_next(&settings->users, node))
		CONTAINER_OF(node, UserSpec, node)->secret = NULL;
	if (config->process.auth_file[0] != '\0')
		authfile_read(config->process.auth_file, settings, &config->_arena, problems);
}

Config *
config_set(const Config *running, const char *key, const char *value, char *error, size_t error_size)
{
	const ConfigRow *row = row_find(config_table(), key);
	ConfigProblems problems = {0};
	char why[300];
	Config *copy;

	if (row == NULL)
	{
		const char *nearest = row_nearest(config_table(), key);

		snprintf(error, error_size, "%.100s: unknown key%s%s%s", key,
				 nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "",
				 nearest != NULL ? "?" : "");
		return NULL;
	}
	copy = config_copy(running);
	if (copy == NULL)
	{
		snprintf(error, error_size, "out of memory");
		return NULL;
	}
	if (!row->reloadable)
		return copy;
	if (!value_parse(row, config_home(copy, row), value, &copy->_arena, why, sizeof(why)))
	{
		snprintf(error, error_size, "%s: %s", key, why);
		config_free(copy);
		return NULL;
	}
	if (strcmp(key, "auth_file") == 0)
		change_auth_file(copy, &problems);
	config_forget_files(copy, key);
	copy = config_finish(copy, NULL, 0, &problems);
	if (copy == NULL)
		snprintf(error, error_size, "%s", problems_first_error(&problems));
	problems_free(&problems);
	return copy;
}

/* --- showing --- */

bool
config_show(const Config *config, int i, ConfigShown *out)
{
	const ConfigRow *row = config_table();

	/* the table is short and the console asks for it rarely */
	for (int n = 0; n < i && row->name != NULL; n++)
		row++;
	if (row->name == NULL)
		return false;
	out->key = row->name;
	out->value = value_format(row, config_home(config, row), out->_text, sizeof(out->_text));
	if (row->secret && out->value != NULL && out->value[0] != '\0')
		out->value = "****"; /* it may hold a password */
	out->initial = row->initial;
	out->changeable = row->reloadable;
	return true;
}

bool
config_check(const char *path, FILE *out)
{
	static const char *const levels[] = {
		[PROBLEM_ERROR] = "error", [PROBLEM_WARNING] = "warning", [PROBLEM_NOTE] = "note"};
	ConfigProblems problems = {0};
	Config *config = config_load(path, NULL, &problems);
	const bool usable = config != NULL;

	for (int i = 0; i < problems.count; i++)
		fprintf(out, "%s: %s\n", levels[problems.items[i].level], problems.items[i].text);
	if (usable)
		fprintf(out, "%s can be used\n", path);
	else
		fprintf(out, "%s cannot be used: %d error%s\n", path, problems.errors,
				problems.errors == 1 ? "" : "s");
	problems_free(&problems);
	config_free(config);
	return usable;
}

static void
list_rows(FILE *out, const char *section, const ConfigRow *rows)
{
	for (const ConfigRow *row = rows; row->name != NULL; row++)
		if (!row->alias)
			fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", section, row->name, value_type_name(row->type),
					row->initial != NULL ? row->initial : "unset", row->reloadable ? "yes" : "no",
					row->home == HOME_NONE ? "no" : "yes", row->help);
}

void
config_list(FILE *out)
{
	list_rows(out, "pgbouncer", config_table());
	list_rows(out, "databases", config_database_table());
	list_rows(out, "users", config_user_table());
	list_rows(out, "peers", config_peer_table());
	list_rows(out, "limits", config_limit_table());
}
