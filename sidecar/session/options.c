/*
 * options.c: lookups in the settings, and copies of entries that outlive them.
 */
#include "session/options.h"

#include <stdlib.h>
#include <string.h>

/* User names come from our own files, not from a peer, so the seed need not be secret. */
#define USER_HASH_SEED 0

static uint64_t
user_hash(const char *name)
{
	return hash_bytes(USER_HASH_SEED, name, strlen(name));
}

static bool
user_is(const MapNode *node, const void *key)
{
	return strcmp(CONTAINER_OF(node, UserSpec, node)->name, key) == 0;
}

static int
compare_name(const void *name, const void *spec)
{
	return strcmp(name, ((const DatabaseSpec *) spec)->name);
}

const DatabaseSpec *
settings_find_database(const Settings *settings, const char *name)
{
	if (settings->database_count == 0)
		return NULL;
	return bsearch(name, settings->databases, (size_t) settings->database_count, sizeof(DatabaseSpec), compare_name);
}

const UserSpec *
settings_find_user(const Settings *settings, const char *name)
{
	MapNode *node = map_find(&settings->users, user_hash(name), name);

	return node != NULL ? CONTAINER_OF(node, UserSpec, node) : NULL;
}

bool
settings_list_has(const char *list, const char *name)
{
	const size_t len = strlen(name);

	while (list != NULL && *list != '\0')
	{
		size_t item;

		list += strspn(list, ", \t");
		item = strcspn(list, ",");
		for (size_t end = item;; end--)
		{
			if (end == 0 || (list[end - 1] != ' ' && list[end - 1] != '\t'))
			{
				if (end > 0 && end == len && memcmp(list, name, len) == 0)
					return true;
				break;
			}
		}
		list += item;
	}
	return false;
}

void
settings_init_users(Settings *settings)
{
	map_init(&settings->users, user_is);
}

void
settings_add_user(Settings *settings, UserSpec *user)
{
	map_insert(&settings->users, &user->node, user_hash(user->name));
}

/* --- copies in one block --- */

/* The strings of an entry: each is copied, so each must be listed. */
static const size_t spec_strings[] = {
	offsetof(DatabaseSpec, name),			 offsetof(DatabaseSpec, dbname),
	offsetof(DatabaseSpec, host),			 offsetof(DatabaseSpec, user),
	offsetof(DatabaseSpec, password),		 offsetof(DatabaseSpec, client_encoding),
	offsetof(DatabaseSpec, datestyle),		 offsetof(DatabaseSpec, timezone),
	offsetof(DatabaseSpec, application_name), offsetof(DatabaseSpec, connect_query),
};

#define SPEC_STRING_COUNT (sizeof(spec_strings) / sizeof(spec_strings[0]))

static const char **
spec_string(const DatabaseSpec *spec, size_t i)
{
	return (const char **) ((char *) spec + spec_strings[i]);
}

DatabaseSpec *
database_spec_copy(const DatabaseSpec *spec)
{
	size_t size = sizeof(*spec);
	DatabaseSpec *copy;
	char *at;

	for (size_t i = 0; i < SPEC_STRING_COUNT; i++)
		if (*spec_string(spec, i) != NULL)
			size += strlen(*spec_string(spec, i)) + 1;
	copy = malloc(size);
	if (copy == NULL)
		return NULL;
	*copy = *spec;
	at = (char *) (copy + 1);
	for (size_t i = 0; i < SPEC_STRING_COUNT; i++)
	{
		const char *string = *spec_string(spec, i);
		size_t len;

		if (string == NULL)
			continue;
		len = strlen(string) + 1;
		memcpy(at, string, len);
		*spec_string(copy, i) = at;
		at += len;
	}
	return copy;
}

DatabaseSpec *
database_spec_from_template(const DatabaseSpec *template, const char *name)
{
	DatabaseSpec spec = *template;

	spec.name = name;
	if (spec.dbname == NULL)
		spec.dbname = name;
	spec.from_template = true;
	return database_spec_copy(&spec);
}

void
database_spec_free(DatabaseSpec *spec)
{
	if (spec != NULL && spec->password != NULL)
		explicit_bzero((char *) spec->password, strlen(spec->password));
	free(spec);
}

static bool
same_string(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

bool
database_spec_needs_reconnect(const DatabaseSpec *old, const DatabaseSpec *fresh)
{
	return !same_string(old->dbname, fresh->dbname) || !same_string(old->host, fresh->host) ||
		   old->port != fresh->port || !same_string(old->user, fresh->user) ||
		   !same_string(old->connect_query, fresh->connect_query) ||
		   old->load_balance_disabled != fresh->load_balance_disabled;
}
