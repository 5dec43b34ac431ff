/*
 * hba.c: matching.
 */
#include "session/hba.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static bool
name_fits(const HbaName *name, const char *text, const HbaQuery *query)
{
	Slice group;

	switch (name->kind)
	{
		case HBA_NAME: return strcmp(name->text, text) == 0;
		case HBA_NAME_ALL: return true;
		case HBA_NAME_SAMEUSER: return strcmp(query->user, text) == 0;
		case HBA_NAME_REPLICATION: return false;
		case HBA_NAME_PATTERN: return pattern_matches(name->pattern, text, &group);
	}
	return false;
}

/* As in PostgreSQL, `all` does not mean replication. */
static bool
database_fits(const HbaName *names, const HbaQuery *query)
{
	for (; names != NULL; names = names->next)
		if (query->replication ? names->kind == HBA_NAME_REPLICATION : name_fits(names, query->database, query))
			return true;
	return false;
}

static bool
user_fits(const HbaName *names, const HbaQuery *query)
{
	for (; names != NULL; names = names->next)
		if (name_fits(names, query->user, query))
			return true;
	return false;
}

static bool
connection_fits(HbaConnection connection, const HbaQuery *query)
{
	bool local = query->peer->family == AF_UNIX;

	switch (connection)
	{
		case HBA_LOCAL: return local;
		case HBA_HOST: return !local;
		case HBA_HOSTSSL: return !local && query->tls;
		case HBA_HOSTNOSSL: return !local && !query->tls;
	}
	return false;
}

static bool
network_fits(const HbaNetwork *network, const NetPeer *peer)
{
	size_t size = peer->family == AF_INET ? 4 : 16;

	if (network->family == 0)
		return true;
	if (network->family != peer->family)
		return false;
	for (size_t i = 0; i < size; i++)
		if (((peer->ip[i] ^ network->address[i]) & network->mask[i]) != 0)
			return false;
	return true;
}

static bool
address_fits(const HbaRule *rule, const NetPeer *peer)
{
	if (rule->connection == HBA_LOCAL)
		return true;
	for (const HbaNetwork *network = rule->networks; network != NULL; network = network->next)
		if (network_fits(network, peer))
			return true;
	return false;
}

const HbaRule *
hba_match(const HbaRules *rules, const HbaQuery *query)
{
	const HbaRule *rule = rules != NULL ? rules->rules : NULL;

	for (; rule != NULL; rule = rule->next)
		if (connection_fits(rule->connection, query) && address_fits(rule, query->peer) &&
			database_fits(rule->databases, query) && user_fits(rule->users, query))
			return rule;
	return NULL;
}

/* --- maps --- */

/* The line's user with \1 replaced by the first group. */
static bool
substitute(const char *name, Slice group, char *buf, size_t size)
{
	const char *place = strstr(name, "\\1");
	int n;

	if (place == NULL)
		n = snprintf(buf, size, "%s", name);
	else if (group.ptr == NULL)
		return false;
	else
		n = snprintf(buf, size, "%.*s%.*s%s", (int) (place - name), name, (int) group.len, (const char *) group.ptr, place + 2);
	return n >= 0 && (size_t) n < size;
}

static bool
line_allows(const IdentLine *line, const char *system_user, const char *user)
{
	const HbaName *name = &line->user;
	Slice group = {NULL, 0};
	char expected[256];

	if (line->system_user.kind == HBA_NAME ? strcmp(line->system_user.text, system_user) != 0
										   : !pattern_matches(line->system_user.pattern, system_user, &group))
		return false;
	if (name->kind == HBA_NAME_ALL)
		return true;
	if (name->kind == HBA_NAME_PATTERN)
		return pattern_matches(name->pattern, user, &group);
	if (line->system_user.kind == HBA_NAME)
		return strcmp(name->text, user) == 0;
	return substitute(name->text, group, expected, sizeof(expected)) && strcmp(expected, user) == 0;
}

bool
hba_ident_allows(const HbaRules *rules, const char *map, const char *system_user, const char *user)
{
	if (map == NULL)
		return strcmp(system_user, user) == 0;
	for (const IdentLine *line = rules != NULL ? rules->ident : NULL; line != NULL; line = line->next)
		if (strcmp(line->map, map) == 0 && line_allows(line, system_user, user))
			return true;
	return false;
}
