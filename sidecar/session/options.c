/*
 * options.c: lookups in the settings.
 */
#include "session/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/list.h"

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
	return bsearch(name, settings->databases, (size_t) settings->database_count, sizeof(DatabaseSpec),
				   compare_name);
}

const UserSpec *
settings_find_user(const Settings *settings, const char *name)
{
	MapNode *node = map_find(&settings->users, user_hash(name), name);

	return node != NULL ? CONTAINER_OF(node, UserSpec, node) : NULL;
}

static bool
line_fits(const char *wanted, const char *is)
{
	return strcmp(wanted, "*") == 0 || strcmp(wanted, is) == 0;
}

/* A Unix socket is "localhost" there, as for libpq. */
const char *
settings_find_password(const Settings *settings, const char *host, int port, const char *database, const char *user)
{
	char port_text[12];

	snprintf(port_text, sizeof(port_text), "%d", port);
	if (host[0] == '/' || host[0] == '@' || host[0] == '\0')
		host = "localhost";
	for (const ServerPassword *p = settings->passwords; p != NULL; p = p->next)
		if (line_fits(p->host, host) && line_fits(p->port, port_text) && line_fits(p->database, database) && line_fits(p->user, user))
			return p->password;
	return NULL;
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
