/*
 * loader.c: what the sections mean: [pgbouncer] and [pgweir], [databases], [users], [peers], [limits].
 *
 * Repeated sections, as tools that append to a file depend on them: [databases] and [users] add up, and an
 * entry given again replaces the former.  A further [pgbouncer] header puts the keys set under a former one
 * back to their defaults, except those whose default is unset.  [pgweir] is the same section for people who
 * keep our keys apart: its header resets nothing, and what is set under it stays.
 */
#include "config/loader.h"

#include <stdlib.h>
#include <string.h>
#include "config/authfile.h"
#include "config/ini.h"

typedef enum Section
{
	SECTION_NONE,
	SECTION_PGBOUNCER,
	SECTION_PGWEIR,
	SECTION_DATABASES,
	SECTION_USERS,
	SECTION_PEERS,
	SECTION_LIMITS,
	SECTION_UNKNOWN /* reported; its values are skipped */
} Section;

/* An entry of [databases] while the file is being read. */
typedef struct Entry
{
	DatabaseSpec spec;
	int order;
} Entry;

typedef struct Loader
{
	Config *config;
	ConfigProblems *problems;
	Section section;
	bool main_seen;         /* [pgbouncer] or [pgweir] was there */
	bool *set_here;         /* owned; row i was set under [pgbouncer] */
	DatabaseSpec *template; /* in the arena, or NULL */
	Entry *entries;         /* owned */
	int entry_count;
	int entry_capacity;
} Loader;

static const char *const section_names[] = {
	[SECTION_PGBOUNCER] = "pgbouncer", [SECTION_PGWEIR] = "pgweir", [SECTION_DATABASES] = "databases",
	[SECTION_USERS] = "users",         [SECTION_PEERS] = "peers",
	[SECTION_LIMITS] = "limits",
};

static void
out_of_memory(Loader *loader, const FilePlace *place)
{
	problems_add(loader->problems, PROBLEM_ERROR, place, "out of memory");
}

/* --- [pgbouncer], [pgweir] --- */

/* A further [pgbouncer] header. */
static void
start_over(Loader *loader, const FilePlace *place)
{
	const ConfigRow *rows = config_table();
	int lost = 0;

	for (int i = 0; rows[i].name != NULL; i++)
	{
		if (!loader->set_here[i] || rows[i].initial == NULL)
			continue;
		if (!value_reset(&rows[i], config_home(loader->config, &rows[i]), &loader->config->_arena))
			out_of_memory(loader, place);
		loader->set_here[i] = false;
		lost++;
	}
	if (lost > 0)
		problems_add(loader->problems, PROBLEM_WARNING, place,
					 "this further [pgbouncer] section puts %d key%s set before it back to the default", lost,
					 lost == 1 ? "" : "s");
}

/*
 * May the value stand in a message?  Free text may hold a secret, and so may what follows a forgotten blank
 * (port=5432password=...): only a short word of a type that has no secrets is shown.
 */
static bool
may_show(const ConfigRow *row, const char *value)
{
	static const char harmless[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-._% ";

	return !row->secret && row->type != CONFIG_STRING && row->type != CONFIG_LIST &&
		   row->type != CONFIG_FILE && strlen(value) <= 40 && strspn(value, harmless) == strlen(value);
}

static void
set_key(Loader *loader, const FilePlace *place, const char *key, const char *value)
{
	const ConfigRow *rows = config_table();
	const ConfigRow *row = row_find(rows, key);
	const char *nearest;
	char why[300];

	if (row == NULL)
	{
		nearest = row_nearest(rows, key);
		problems_add(loader->problems, PROBLEM_ERROR, place,
					 nearest != NULL ? "%s: unknown key; did you mean %s?" : "%s: unknown key%s", key,
					 nearest != NULL ? nearest : "");
		return;
	}
	if (!value_parse(row, config_home(loader->config, row), value, &loader->config->_arena, why, sizeof(why)))
	{
		if (may_show(row, value))
			problems_add(loader->problems, PROBLEM_ERROR, place, "%s = %s: %s", key, value, why);
		else
			problems_add(loader->problems, PROBLEM_ERROR, place, "%s: %s", key, why);
		return;
	}
	if (loader->section == SECTION_PGBOUNCER)
		loader->set_here[row - rows] = true;
}

/* --- entries --- */

/* Read the connection string of an entry into its struct. */
static void
read_entry(Loader *loader, const FilePlace *place, const char *name, const char *value, const ConfigRow *rows,
		   void *spec, const char *kind)
{
	const char *section = section_names[loader->section];
	char *text = strdup(value);
	char *cursor = text;
	bool after_secret = false;
	ConnectionParam param;
	const char *error;
	char why[300];
	int got;

	if (text == NULL)
	{
		out_of_memory(loader, place);
		return;
	}
	while ((got = connection_string_next(&cursor, &param, &error)) > 0)
	{
		const ConfigRow *row = row_find(rows, param.key);
		const char *nearest;

		if (row == NULL && after_secret)
		{
			/* the rest of a password with a blank in it looks like a key */
			problems_add(loader->problems, PROBLEM_ERROR, place,
						 "[%s] %s: unrecognized %s parameter behind a password or query; quote a value with "
						 "blanks: '...'",
						 section, name, kind);
			break;
		}
		if (row == NULL)
		{
			nearest = row_nearest(rows, param.key);
			problems_add(loader->problems, PROBLEM_ERROR, place,
						 "[%s] %s: unrecognized %s parameter: %s%s%s%s", section, name, kind, param.key,
						 nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "",
						 nearest != NULL ? "?" : "");
			continue;
		}
		after_secret = row->secret;
		if (value_parse(row, spec, param.value, &loader->config->_arena, why, sizeof(why)))
			continue;
		if (may_show(row, param.value))
			problems_add(loader->problems, PROBLEM_ERROR, place, "[%s] %s: %s = %s: %s", section, name,
						 param.key, param.value, why);
		else
			problems_add(loader->problems, PROBLEM_ERROR, place, "[%s] %s: %s: %s", section, name, param.key,
						 why);
	}
	if (got < 0)
		problems_add(loader->problems, PROBLEM_ERROR, place, "[%s] %s: syntax error in connection string: %s",
					 section, name, error);
	explicit_bzero(text, strlen(value));
	free(text);
}

static bool
reset_entry(const ConfigRow *rows, void *spec, Arena *arena)
{
	for (const ConfigRow *row = rows; row->name != NULL; row++)
		if (!value_reset(row, spec, arena))
			return false;
	return true;
}

static DatabaseSpec *
add_entry(Loader *loader)
{
	if (loader->entry_count == loader->entry_capacity)
	{
		int capacity = loader->entry_capacity > 0 ? loader->entry_capacity * 2 : 16;
		Entry *entries = realloc(loader->entries, (size_t) capacity * sizeof(*entries));

		if (entries == NULL)
			return NULL;
		loader->entries = entries;
		loader->entry_capacity = capacity;
	}
	loader->entries[loader->entry_count] = (Entry){.order = loader->entry_count};
	return &loader->entries[loader->entry_count++].spec;
}

static void
add_database(Loader *loader, const FilePlace *place, const char *name, const char *value)
{
	const bool is_template = strcmp(name, "*") == 0;
	Arena *arena = &loader->config->_arena;
	DatabaseSpec spec = {0};
	DatabaseSpec *kept;

	if (strcmp(name, "pgbouncer") == 0)
	{
		problems_add(loader->problems, PROBLEM_ERROR, place,
					 "[databases] pgbouncer: this name is reserved for the admin console");
		return;
	}
	spec.name = arena_strdup(arena, name);
	kept = is_template ? arena_alloc(arena, sizeof(spec)) : add_entry(loader);
	if (spec.name == NULL || kept == NULL || !reset_entry(config_database_table(), &spec, arena))
	{
		out_of_memory(loader, place);
		return;
	}
	read_entry(loader, place, name, value, config_database_table(), &spec, "connection");
	if (spec.dbname == NULL && !is_template)
		spec.dbname = spec.name;
	*kept = spec;
	if (is_template)
		loader->template = kept;
}

static void
add_user(Loader *loader, const FilePlace *place, const char *name, const char *value)
{
	Settings *settings = loader->config->settings;
	Arena *arena = &loader->config->_arena;
	UserSpec *user = (UserSpec *) settings_find_user(settings, name);

	if (user == NULL)
		user = config_new_user(settings, arena, name);
	else if (!reset_entry(config_user_table(), user, arena))
		user = NULL;
	if (user == NULL)
	{
		out_of_memory(loader, place);
		return;
	}
	read_entry(loader, place, name, value, config_user_table(), user, "user");
}

static void
add_peer(Loader *loader, const FilePlace *place, const char *name, const char *value)
{
	Settings *settings = loader->config->settings;
	Arena *arena = &loader->config->_arena;
	PeerSpec *peer = arena_alloc(arena, sizeof(*peer));
	const PeerSpec **at = &settings->peers;
	char *end;
	long id = strtol(name, &end, 10);

	if (*end != '\0' || id < 1 || id > 16383)
	{
		problems_add(loader->problems, PROBLEM_ERROR, place, "[peers] %s: a peer id is a number from 1 to 16383", name);
		return;
	}
	if (peer == NULL || !reset_entry(config_peer_table(), peer, arena))
	{
		out_of_memory(loader, place);
		return;
	}
	read_entry(loader, place, name, value, config_peer_table(), peer, "peer");
	peer->id = (int) id;
	if (peer->host == NULL)
		problems_add(loader->problems, PROBLEM_ERROR, place, "[peers] %s: host is missing", name);
	while (*at != NULL && (*at)->id < peer->id)
		at = (const PeerSpec **) &((PeerSpec *) *at)->next;
	peer->next = (PeerSpec *) (*at != NULL && (*at)->id == peer->id ? (*at)->next : *at); /* the last one given counts */
	*at = peer;
}

/* What an entry of [limits] lacks, or NULL. */
static const char *
limit_fault(LimitSpec *limit)
{
	char *end;

	if (limit->max_active <= 0 && limit->query_deadline_us < 0)
		return "neither max_active nor query_deadline is given, so it limits nothing";
	if (limit->max_waiting > 0 && limit->max_active <= 0)
		return "max_waiting needs max_active: nobody waits without it";
	if (limit->tag != NULL && (strchr(limit->tag, '=') == NULL || limit->tag[0] == '='))
		return "tag must be key=value, as in tag='route=/report*'";
	if (limit->fingerprint == NULL)
		return NULL;
	limit->fingerprint_bits = strtoull(limit->fingerprint, &end, 16);
	if (strlen(limit->fingerprint) != 16 || *end != '\0' || limit->fingerprint_bits == 0)
		return "fingerprint must be 16 hexadecimal digits, as SHOW CLASSES prints them";
	return NULL;
}

static void
add_limit(Loader *loader, const FilePlace *place, const char *name, const char *value)
{
	Settings *settings = loader->config->settings;
	Arena *arena = &loader->config->_arena;
	LimitSpec *limit = arena_alloc(arena, sizeof(*limit));
	const LimitSpec **at = &settings->limits;
	int errors_before = loader->problems->errors;
	const char *fault;

	if (limit == NULL || !reset_entry(config_limit_table(), limit, arena) ||
		(limit->name = arena_strdup(arena, name)) == NULL)
	{
		out_of_memory(loader, place);
		return;
	}
	read_entry(loader, place, name, value, config_limit_table(), limit, "limit");
	fault = limit_fault(limit);
	if (fault != NULL && loader->problems->errors == errors_before)
		problems_add(loader->problems, PROBLEM_ERROR, place, "[limits] %s: %s", name, fault);
	while (*at != NULL && strcmp((*at)->name, name) != 0)
		at = (const LimitSpec **) &((LimitSpec *) *at)->next;
	limit->next = *at != NULL ? (*at)->next : NULL; /* the last one given counts */
	*at = limit;
}

UserSpec *
config_new_user(Settings *settings, Arena *arena, const char *name)
{
	UserSpec *user = arena_alloc(arena, sizeof(*user));

	if (user == NULL || (user->name = arena_strdup(arena, name)) == NULL ||
		!reset_entry(config_user_table(), user, arena))
		return NULL;
	settings_add_user(settings, user);
	return user;
}

static int
compare_entries(const void *a, const void *b)
{
	const Entry *left = a;
	const Entry *right = b;
	int by_name = strcmp(left->spec.name, right->spec.name);

	return by_name != 0 ? by_name : left->order - right->order;
}

/* Sort the databases into the settings; of several with one name the last counts. */
static bool
publish_databases(Loader *loader)
{
	Settings *settings = loader->config->settings;
	DatabaseSpec *databases =
		arena_alloc(&loader->config->_arena, (size_t) loader->entry_count * sizeof(*databases));
	int count = 0;

	if (databases == NULL)
		return false;
	if (loader->entry_count > 1)
		qsort(loader->entries, (size_t) loader->entry_count, sizeof(Entry), compare_entries);
	for (int i = 0; i < loader->entry_count; i++)
	{
		const DatabaseSpec *spec = &loader->entries[i].spec;

		if (i + 1 < loader->entry_count && strcmp(spec->name, loader->entries[i + 1].spec.name) == 0)
			continue;
		databases[count++] = *spec;
	}
	settings->databases = databases;
	settings->database_count = count;
	settings->database_template = loader->template;
	return true;
}

/* --- the file --- */

static void
on_section(void *arg, const FilePlace *place, const char *name)
{
	Loader *loader = arg;

	loader->section = SECTION_UNKNOWN;
	for (Section s = SECTION_PGBOUNCER; s <= SECTION_LIMITS; s++)
		if (strcmp(name, section_names[s]) == 0)
			loader->section = s;

	if (loader->section == SECTION_UNKNOWN)
		problems_add(
			loader->problems, PROBLEM_ERROR, place,
			"unknown section [%.60s]: expected [pgbouncer] (or [pgweir]), [databases], [users], [peers] or [limits]",
			name);
	if (loader->section == SECTION_PGBOUNCER)
		start_over(loader, place);
	if (loader->section == SECTION_PGBOUNCER || loader->section == SECTION_PGWEIR)
		loader->main_seen = true;
}

static void
on_value(void *arg, const FilePlace *place, const char *section, const char *key, const char *value)
{
	Loader *loader = arg;

	(void) section;
	switch (loader->section)
	{
		case SECTION_NONE:
			problems_add(loader->problems, PROBLEM_ERROR, place,
						 "%s: a value before the first section header; [pgbouncer] is missing above it", key);
			return;
		case SECTION_PGBOUNCER:
		case SECTION_PGWEIR: set_key(loader, place, key, value); return;
		case SECTION_DATABASES: add_database(loader, place, key, value); return;
		case SECTION_USERS: add_user(loader, place, key, value); return;
		case SECTION_PEERS:
			add_peer(loader, place, key, value);
			return;
		case SECTION_LIMITS: add_limit(loader, place, key, value); return;
		case SECTION_UNKNOWN: return;
	}
}

/* The command line beats the file. */
static void
apply_overrides(Config *config)
{
	if (config->overrides.user != NULL)
		config->process.user = config->overrides.user;
	if (config->overrides.verbose > config->process.verbose)
		config->process.verbose = config->overrides.verbose;
}

void
config_read(Config *config, const char *path, ConfigProblems *problems)
{
	size_t rows = 0;
	Loader loader = {.config = config, .problems = problems};
	IniHandler handler = {&loader, on_section, on_value};
	FilePlace whole = {path, 0};

	while (config_table()[rows].name != NULL)
		rows++;
	loader.set_here = calloc(rows, sizeof(bool));
	config->process.conffile = arena_strdup(&config->_arena, path);
	if (loader.set_here == NULL || config->process.conffile == NULL)
	{
		out_of_memory(&loader, &whole);
		free(loader.set_here);
		return;
	}

	ini_read(path, &handler, problems);
	if (!loader.main_seen && problems->errors == 0)
		problems_add(problems, PROBLEM_ERROR, &whole, "the section [pgbouncer] (or [pgweir]) is missing");
	apply_overrides(config);
	if (!publish_databases(&loader))
		out_of_memory(&loader, &whole);
	if (config->process.auth_file != NULL && config->process.auth_file[0] != '\0')
		authfile_read(config->process.auth_file, config->settings, &config->_arena, problems);
	free(loader.entries);
	free(loader.set_here);
}
