/*
 * hba.c: lines to tokens, tokens to rules.
 */
#include "config/hba.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include "config/arena.h"
#include "config/file.h"
#include "config/ldap.h"
#include "session/external.h"

#define MAX_DEPTH 10
#define MAX_FIELDS 32

typedef struct KeptPattern
{
	Pattern *pattern;
	struct KeptPattern *next;
} KeptPattern;

struct HbaFile
{
	HbaRules rules;
	KeptPattern *patterns; /* in the arena */
	Arena arena;
	int references;
};

/* One item of a field: fields are lists of items separated by commas. */
typedef struct Item
{
	const char *text;
	bool quoted;
	struct Item *next;
} Item;

typedef struct Line
{
	Item *fields[MAX_FIELDS];
	int count;
	FilePlace place;
} Line;

typedef struct Reader
{
	HbaFile *file;
	Arena scratch;
	ConfigProblems *problems;
	HbaRule **next_rule;
	IdentLine **next_ident;
	int depth;
} Reader;

typedef void (*LineFunc)(Reader *reader, const Line *line);

static void read_path(Reader *reader, const char *path, const FilePlace *from, bool optional, LineFunc func);

static void
out_of_memory(Reader *reader)
{
	problems_add(reader->problems, PROBLEM_ERROR, NULL, "out of memory");
}

/* --- tokens --- */

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f' || c == '\n';
}

/* One item at *cursor, unquoted in place of the text; NULL with a reason. */
static Item *
cut_item(Reader *reader, const char **cursor, const char **why)
{
	const char *p = *cursor;
	char *text = arena_alloc(&reader->scratch, strlen(p) + 1);
	Item *item = arena_alloc(&reader->scratch, sizeof(*item));
	size_t len = 0;
	bool inside = false;

	*why = "out of memory";
	if (text == NULL || item == NULL)
		return NULL;
	for (; *p != '\0' && (inside || (!is_blank(*p) && *p != ',' && *p != '#')); p++)
	{
		if (*p == '"' && inside && p[1] == '"')
			text[len++] = *p++;
		else if (*p == '"')
		{
			item->quoted |= len == 0;
			inside = !inside;
		}
		else
			text[len++] = *p;
	}
	*why = inside ? "a quote is not closed" : "a name is missing";
	if (inside || (len == 0 && !item->quoted))
		return NULL;
	item->text = text;
	*cursor = p;
	return item;
}

/* Cut a line into fields; false after a report. */
static bool
cut_line(Reader *reader, Line *line, const char *text)
{
	const char *why;

	line->count = 0;
	for (;;)
	{
		Item **next;

		while (is_blank(*text))
			text++;
		if (*text == '\0' || *text == '#')
			return true;
		if (line->count == MAX_FIELDS)
		{
			problems_add(reader->problems, PROBLEM_ERROR, &line->place, "too many fields");
			return false;
		}
		next = &line->fields[line->count++];
		*next = NULL;
		for (;;)
		{
			if ((*next = cut_item(reader, &text, &why)) == NULL)
			{
				problems_add(reader->problems, PROBLEM_ERROR, &line->place, "%s", why);
				return false;
			}
			next = &(*next)->next;
			while (is_blank(*text) && strchr(text, ',') != NULL && text[strspn(text, " \t")] == ',')
				text++;
			if (*text != ',')
				break;
			text++;
			while (is_blank(*text))
				text++;
		}
	}
}

static bool
is_word(const Item *item, const char *word)
{
	return !item->quoted && item->next == NULL && strcasecmp(item->text, word) == 0;
}

/* --- names --- */

static bool
compile(Reader *reader, const Line *line, HbaName *name, const char *text)
{
	KeptPattern *kept = arena_alloc(&reader->file->arena, sizeof(*kept));
	char why[160];

	if (kept == NULL)
	{
		out_of_memory(reader);
		return false;
	}
	if ((kept->pattern = pattern_compile(text, why, sizeof(why))) == NULL)
	{
		problems_add(reader->problems, PROBLEM_ERROR, &line->place, "pattern \"%.100s\": %s", text, why);
		return false;
	}
	name->kind = HBA_NAME_PATTERN;
	name->pattern = kept->pattern;
	kept->next = reader->file->patterns;
	reader->file->patterns = kept;
	return true;
}

/* A word that is no name: sets the kind.  False after a report. */
static bool
set_kind(Reader *reader, const Line *line, const Item *item, bool is_database, HbaName *name)
{
	name->kind = HBA_NAME;
	if (item->text[0] == '/')
		return compile(reader, line, name, item->text + 1);
	if (item->quoted)
		return true;
	if (strcmp(item->text, "all") == 0)
		name->kind = HBA_NAME_ALL;
	else if (is_database && strcmp(item->text, "sameuser") == 0)
		name->kind = HBA_NAME_SAMEUSER;
	else if (is_database && strcmp(item->text, "replication") == 0)
		name->kind = HBA_NAME_REPLICATION;
	else if (item->text[0] == '+' || (is_database && (strcmp(item->text, "samerole") == 0 || strcmp(item->text, "samegroup") == 0)))
	{
		problems_add(reader->problems, PROBLEM_ERROR, &line->place,
					 "%.100s: groups are not supported, since only the server knows who is in them", item->text);
		return false;
	}
	return true;
}

static bool add_names(Reader *reader, const Line *line, const Item *items, bool is_database, HbaName ***next);

/* The names of @file, relative to the file that names it. */
static bool
add_names_of_file(Reader *reader, const Line *line, const char *path, bool is_database, HbaName ***next)
{
	const char *slash = strrchr(line->place.file, '/');
	char full[4096];
	FileText text;
	const char *why = "nested too deeply";
	Line inner = {.place = {full, 0}};
	bool ok = true;
	char *cursor;
	char *row;

	if (path[0] == '/' || slash == NULL)
		snprintf(full, sizeof(full), "%s", path);
	else
		snprintf(full, sizeof(full), "%.*s/%s", (int) (slash - line->place.file), line->place.file, path);
	if (reader->depth >= MAX_DEPTH || !file_text_read(full, &text, &why))
	{
		problems_add(reader->problems, PROBLEM_ERROR, &line->place, "could not read \"%s\": %s", full, why);
		return false;
	}
	reader->depth++;
	cursor = text.text;
	while (ok && (row = strsep(&cursor, "\n")) != NULL)
	{
		inner.place.line++;
		ok = cut_line(reader, &inner, row);
		for (int i = 0; ok && i < inner.count; i++)
			ok = add_names(reader, &inner, inner.fields[i], is_database, next);
	}
	reader->depth--;
	file_text_free(&text);
	return ok;
}

static bool
add_names(Reader *reader, const Line *line, const Item *items, bool is_database, HbaName ***next)
{
	for (const Item *item = items; item != NULL; item = item->next)
	{
		HbaName *name;

		if (!item->quoted && item->text[0] == '@' && item->text[1] != '\0')
		{
			if (!add_names_of_file(reader, line, item->text + 1, is_database, next))
				return false;
			continue;
		}
		name = arena_alloc(&reader->file->arena, sizeof(*name));
		if (name == NULL || (name->text = arena_strdup(&reader->file->arena, item->text)) == NULL)
		{
			out_of_memory(reader);
			return false;
		}
		if (!set_kind(reader, line, item, is_database, name))
			return false;
		**next = name;
		*next = &name->next;
	}
	return true;
}

static bool
read_names(Reader *reader, const Line *line, const Item *items, bool is_database, HbaName **out)
{
	HbaName **next = out;

	return add_names(reader, line, items, is_database, &next);
}

/* --- addresses --- */

static HbaNetwork *
add_network(Reader *reader, HbaRule *rule, uint8_t family)
{
	HbaNetwork *network = arena_alloc(&reader->file->arena, sizeof(*network));

	if (network == NULL)
	{
		out_of_memory(reader);
		return NULL;
	}
	network->family = family;
	network->next = rule->networks;
	rule->networks = network;
	return network;
}

static void
set_bits(uint8_t mask[16], int bits)
{
	for (int i = 0; i < bits; i++)
		mask[i / 8] |= (uint8_t) (0x80 >> (i % 8));
}

/* Text to an address; its family, or 0. */
static uint8_t
parse_ip(const char *text, uint8_t out[16])
{
	if (inet_pton(AF_INET, text, out) == 1)
		return AF_INET;
	return inet_pton(AF_INET6, text, out) == 1 ? AF_INET6 : 0;
}

static const void *
ip_of(const struct sockaddr *addr, int family)
{
	return family == AF_INET ? (const void *) &((const struct sockaddr_in *) (const void *) addr)->sin_addr
							 : (const void *) &((const struct sockaddr_in6 *) (const void *) addr)->sin6_addr;
}

/* This machine's addresses, or the networks they are in. */
static bool
add_own_networks(Reader *reader, const Line *line, HbaRule *rule, bool whole_net)
{
	struct ifaddrs *list;
	bool ok = true;

	if (getifaddrs(&list) != 0)
	{
		problems_add(reader->problems, PROBLEM_ERROR, &line->place, "could not look up this machine's addresses: %s", strerror(errno));
		return false;
	}
	for (const struct ifaddrs *i = list; ok && i != NULL; i = i->ifa_next)
	{
		HbaNetwork *network;
		size_t size;

		if (i->ifa_addr == NULL || (i->ifa_addr->sa_family != AF_INET && i->ifa_addr->sa_family != AF_INET6))
			continue;
		size = i->ifa_addr->sa_family == AF_INET ? 4 : 16;
		network = add_network(reader, rule, (uint8_t) i->ifa_addr->sa_family);
		ok = network != NULL;
		if (!ok)
			break;
		memcpy(network->address, ip_of(i->ifa_addr, i->ifa_addr->sa_family), size);
		if (whole_net && i->ifa_netmask != NULL)
			memcpy(network->mask, ip_of(i->ifa_netmask, i->ifa_addr->sa_family), size);
		else
			set_bits(network->mask, (int) size * 8);
	}
	freeifaddrs(list);
	return ok;
}

static bool
bad_address(Reader *reader, const Line *line, const char *text, const char *why)
{
	problems_add(reader->problems, PROBLEM_ERROR, &line->place, "address \"%.100s\": %s", text, why);
	return false;
}

/* Fields from *at on; *at moves behind the address and its mask. */
static bool
read_address(Reader *reader, const Line *line, HbaRule *rule, int *at)
{
	const Item *item = line->fields[(*at)++];
	char text[128];
	char *slash;
	uint8_t ip[16] = {0};
	HbaNetwork *network;
	int bits;
	uint8_t family;

	if (is_word(item, "all"))
		return add_network(reader, rule, 0) != NULL;
	if (is_word(item, "samehost") || is_word(item, "samenet"))
		return add_own_networks(reader, line, rule, is_word(item, "samenet"));
	if (item->next != NULL || (size_t) snprintf(text, sizeof(text), "%s", item->text) >= sizeof(text))
		return bad_address(reader, line, item->text, "one address is expected");
	slash = strchr(text, '/');
	if (slash != NULL)
		*slash++ = '\0';
	if ((family = parse_ip(text, ip)) == 0)
		return bad_address(reader, line, item->text, "not an IP address; host names are not supported");
	if ((network = add_network(reader, rule, family)) == NULL)
		return false;
	memcpy(network->address, ip, sizeof(ip));
	bits = family == AF_INET ? 32 : 128;
	if (slash != NULL)
	{
		char *end;
		long given = strtol(slash, &end, 10);

		if (*slash < '0' || *slash > '9' || *end != '\0' || given > bits)
			return bad_address(reader, line, item->text, "bad number of bits behind the slash");
		set_bits(network->mask, (int) given);
		return true;
	}
	if (*at >= line->count || parse_ip(line->fields[*at]->text, network->mask) != family)
		return bad_address(reader, line, item->text, "a mask is missing: write it behind, or /bits");
	(*at)++;
	return true;
}

/* --- rules --- */

static bool
read_connection(const Item *item, HbaConnection *out)
{
	static const char *const names[] = {
		[HBA_LOCAL] = "local", [HBA_HOST] = "host", [HBA_HOSTSSL] = "hostssl", [HBA_HOSTNOSSL] = "hostnossl"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (is_word(item, names[i]))
		{
			*out = (HbaConnection) i;
			return true;
		}
	return false;
}

static bool
begin_ldap(Reader *reader, HbaRule *rule)
{
	LdapOptions *ldap = arena_alloc(&reader->file->arena, sizeof(*ldap));

	if (ldap == NULL)
		out_of_memory(reader);
	else
		ldap_options_begin(ldap);
	rule->ldap = ldap;
	return ldap != NULL;
}

/* The rule is still being made, so its options are ours to change. */
static bool
ldap_option(Reader *reader, const Line *line, const char *text, HbaRule *rule)
{
	LdapOptions *ldap = (LdapOptions *) rule->ldap;
	char why[300];
	bool ok = text != NULL ? ldap_options_add(ldap, text, &reader->file->arena, why, sizeof(why)) : ldap_options_end(ldap, why, sizeof(why));

	if (!ok)
		problems_add(reader->problems, PROBLEM_ERROR, &line->place, "%s", why);
	return ok;
}

static bool
read_method(Reader *reader, const Line *line, const Item *item, HbaRule *rule)
{
	static const char *const names[] = {
		[HBA_REJECT] = "reject", [HBA_TRUST] = "trust",			[HBA_PASSWORD] = "password", [HBA_MD5] = "md5",
		[HBA_SCRAM] = "scram-sha-256", [HBA_PEER] = "peer", [HBA_CERT] = "cert", [HBA_PAM] = "pam", [HBA_LDAP] = "ldap"};
	const char *why = NULL;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (is_word(item, names[i]))
		{
			rule->method = (HbaMethod) i;
			if (rule->method == HBA_PEER && rule->connection != HBA_LOCAL)
				why = "is for local lines only";
			if (rule->method == HBA_CERT && rule->connection != HBA_HOSTSSL)
				why = "is for hostssl lines only";
			if ((rule->method == HBA_PAM && !external_has_pam()) || (rule->method == HBA_LDAP && !external_has_ldap()))
				why = "is not part of this build";
			if (rule->method == HBA_LDAP && !begin_ldap(reader, rule))
				return false;
			if (why != NULL)
				problems_add(reader->problems, PROBLEM_ERROR, &line->place, "method %s %s", names[i], why);
			return why == NULL;
		}
	problems_add(reader->problems, PROBLEM_ERROR, &line->place, "unknown method \"%.60s\"", item->text);
	return false;
}

static bool
read_option(Reader *reader, const Line *line, const Item *item, HbaRule *rule)
{
	const char *text = item->text;

	if (strncmp(text, "map=", 4) == 0 && text[4] != '\0' && (rule->method == HBA_PEER || rule->method == HBA_CERT))
	{
		rule->map = arena_strdup(&reader->file->arena, text + 4);
		return rule->map != NULL;
	}
	if (rule->method == HBA_LDAP && strncmp(text, "ldap", 4) == 0)
		return ldap_option(reader, line, text, rule);
	if (rule->method == HBA_PAM && strncmp(text, "pamservice=", 11) == 0 && text[11] != '\0')
	{
		rule->pam_service = arena_strdup(&reader->file->arena, text + 11);
		return rule->pam_service != NULL;
	}
	if (rule->connection == HBA_HOSTSSL && strcmp(text, "clientcert=verify-ca") == 0)
		rule->client_cert = HBA_CLIENTCERT_VERIFY_CA;
	else if (rule->connection == HBA_HOSTSSL && strcmp(text, "clientcert=verify-full") == 0)
		rule->client_cert = HBA_CLIENTCERT_VERIFY_FULL;
	else
	{
		problems_add(reader->problems, PROBLEM_ERROR, &line->place, "option \"%.60s\" is unknown, or does not fit here", text);
		return false;
	}
	return true;
}

/* include and its sisters; true if the line is one of them. */
static bool
is_include(Reader *reader, const Line *line, LineFunc func)
{
	const Item *word = line->fields[0];
	bool directory = is_word(word, "include_dir");
	struct dirent **entries;
	int count;
	char path[4096];

	if (!directory && !is_word(word, "include") && !is_word(word, "include_if_exists"))
		return false;
	if (line->count != 2)
	{
		problems_add(reader->problems, PROBLEM_ERROR, &line->place, "%s: one file is expected", word->text);
		return true;
	}
	if (!directory)
	{
		read_path(reader, line->fields[1]->text, &line->place, is_word(word, "include_if_exists"), func);
		return true;
	}
	count = scandir(line->fields[1]->text, &entries, NULL, alphasort);
	if (count < 0)
		problems_add(reader->problems, PROBLEM_ERROR, &line->place, "could not read directory \"%s\": %s", line->fields[1]->text, strerror(errno));
	for (int i = 0; i < count; i++)
	{
		size_t len = strlen(entries[i]->d_name);

		snprintf(path, sizeof(path), "%s/%s", line->fields[1]->text, entries[i]->d_name);
		if (entries[i]->d_name[0] != '.' && len > 5 && strcmp(entries[i]->d_name + len - 5, ".conf") == 0)
			read_path(reader, path, &line->place, false, func);
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
	return true;
}

static void
hba_line(Reader *reader, const Line *line)
{
	HbaRule *rule;
	int at = 3;
	bool ok;

	if (is_include(reader, line, hba_line))
		return;
	rule = arena_alloc(&reader->file->arena, sizeof(*rule));
	if (rule == NULL || (rule->file = arena_strdup(&reader->file->arena, line->place.file)) == NULL)
	{
		out_of_memory(reader);
		return;
	}
	rule->line = line->place.line;
	if (!read_connection(line->fields[0], &rule->connection))
	{
		problems_add(reader->problems, PROBLEM_ERROR, &line->place,
					 "\"%.60s\": expected local, host, hostssl, hostnossl or include", line->fields[0]->text);
		return;
	}
	if (line->count < (rule->connection == HBA_LOCAL ? 4 : 5))
	{
		problems_add(reader->problems, PROBLEM_ERROR, &line->place, "the line ends too early");
		return;
	}
	ok = read_names(reader, line, line->fields[1], true, &rule->databases) &&
		 read_names(reader, line, line->fields[2], false, &rule->users) &&
		 (rule->connection == HBA_LOCAL || read_address(reader, line, rule, &at));
	if (ok && at >= line->count)
		problems_add(reader->problems, PROBLEM_ERROR, &line->place, "the method is missing");
	ok = ok && at < line->count && read_method(reader, line, line->fields[at++], rule);
	for (; ok && at < line->count; at++)
		ok = read_option(reader, line, line->fields[at], rule);
	ok = ok && (rule->method != HBA_LDAP || ldap_option(reader, line, NULL, rule));
	if (!ok)
		return;
	*reader->next_rule = rule;
	reader->next_rule = &rule->next;
}

/* A name of a map's line: as it stands, or a pattern.  False after a report. */
static bool
ident_name(Reader *reader, const Line *line, const Item *item, HbaName *out)
{
	out->kind = HBA_NAME;
	if ((out->text = arena_strdup(&reader->file->arena, item->text)) == NULL)
	{
		out_of_memory(reader);
		return false;
	}
	return item->text[0] != '/' || compile(reader, line, out, item->text + 1);
}

static void
ident_line(Reader *reader, const Line *line)
{
	IdentLine *ident;
	const Item *user;

	if (is_include(reader, line, ident_line))
		return;
	if (line->count != 3 || line->fields[0]->next != NULL || line->fields[1]->next != NULL || line->fields[2]->next != NULL)
	{
		problems_add(reader->problems, PROBLEM_ERROR, &line->place, "expected: map system-user user");
		return;
	}
	user = line->fields[2];
	if (!user->quoted && user->text[0] == '+')
	{
		problems_add(reader->problems, PROBLEM_ERROR, &line->place, "%.100s: groups are not supported, since only the server knows who is in them",
					 user->text);
		return;
	}
	ident = arena_alloc(&reader->file->arena, sizeof(*ident));
	if (ident == NULL || (ident->map = arena_strdup(&reader->file->arena, line->fields[0]->text)) == NULL)
	{
		out_of_memory(reader);
		return;
	}
	if (!ident_name(reader, line, line->fields[1], &ident->system_user) || !ident_name(reader, line, user, &ident->user))
		return;
	if (is_word(user, "all"))
		ident->user.kind = HBA_NAME_ALL;
	*reader->next_ident = ident;
	reader->next_ident = &ident->next;
}

/* --- files --- */

/* Join lines that end in a backslash; returns the logical line, *cursor moves behind it, *rows says how many it was. */
static char *
next_line(char **cursor, int *rows)
{
	char *start = *cursor;
	char *p = start;

	*rows = 1;
	if (start == NULL)
		return NULL;
	for (; *p != '\0'; p++)
	{
		if (*p == '\\' && p[1] == '\n')
		{
			*p = p[1] = ' ';
			(*rows)++;
		}
		if (*p == '\n')
			break;
	}
	*cursor = *p == '\0' ? NULL : p + 1;
	*p = '\0';
	return start;
}

static void
read_path(Reader *reader, const char *path, const FilePlace *from, bool optional, LineFunc func)
{
	const char *slash = from != NULL ? strrchr(from->file, '/') : NULL;
	char full[4096];
	Line line = {.place = {full, 0}};
	FileText text;
	const char *why = "nested too deeply";
	char *cursor;
	char *row;
	int rows;

	if (path[0] == '/' || slash == NULL)
		snprintf(full, sizeof(full), "%s", path);
	else
		snprintf(full, sizeof(full), "%.*s/%s", (int) (slash - from->file), from->file, path);
	if (optional && access(full, F_OK) != 0)
		return;
	if (reader->depth >= MAX_DEPTH || !file_text_read(full, &text, &why))
	{
		if (from != NULL)
			problems_add(reader->problems, PROBLEM_ERROR, from, "could not read \"%s\": %s", full, why);
		else
			problems_add(reader->problems, PROBLEM_ERROR, &line.place, "could not read the file: %s", why);
		return;
	}
	reader->depth++;
	cursor = text.text;
	line.place.line = 1;
	while ((row = next_line(&cursor, &rows)) != NULL)
	{
		if (cut_line(reader, &line, row) && line.count > 0)
			func(reader, &line);
		line.place.line += rows;
	}
	reader->depth--;
	file_text_free(&text);
}

static bool
is_set(const char *path)
{
	return path != NULL && path[0] != '\0';
}

HbaFile *
hba_file_read(const char *hba_path, const char *ident_path, ConfigProblems *problems)
{
	int errors_before = problems->errors;
	HbaFile *file = calloc(1, sizeof(*file));
	Reader reader = {.file = file, .problems = problems};

	if (file == NULL)
	{
		out_of_memory(&reader);
		return NULL;
	}
	file->references = 1;
	reader.next_rule = &file->rules.rules;
	reader.next_ident = &file->rules.ident;
	if (is_set(hba_path))
		read_path(&reader, hba_path, NULL, false, hba_line);
	if (is_set(ident_path))
		read_path(&reader, ident_path, NULL, false, ident_line);
	arena_free(&reader.scratch);
	if (problems->errors == errors_before)
		return file;
	hba_file_unref(file);
	return NULL;
}

const HbaRules *
hba_file_rules(const HbaFile *file)
{
	return file != NULL ? &file->rules : NULL;
}

HbaFile *
hba_file_ref(HbaFile *file)
{
	if (file != NULL)
		file->references++;
	return file;
}

void
hba_file_unref(HbaFile *file)
{
	if (file == NULL || --file->references > 0)
		return;
	for (KeptPattern *kept = file->patterns; kept != NULL; kept = kept->next)
		pattern_free(kept->pattern);
	arena_free(&file->arena);
	free(file);
}
