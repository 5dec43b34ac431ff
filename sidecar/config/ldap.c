/*
 * ldap.c: names and values, and ldapurl, which stands for several of them.
 */
#include "config/ldap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* RFC 4511 */
#define SCOPE_BASE 0
#define SCOPE_ONE 1
#define SCOPE_SUB 2

void
ldap_options_begin(LdapOptions *options)
{
	*options = (LdapOptions){.scheme = "ldap", .scope = SCOPE_SUB};
}

static bool
bad(char *why, size_t size, const char *text)
{
	snprintf(why, size, "%s", text);
	return false;
}

static bool
set_port(LdapOptions *options, const char *text, char *why, size_t size)
{
	char *end;
	long port = strtol(text, &end, 10);

	if (*text < '0' || *text > '9' || *end != '\0' || port < 1 || port > 65535)
		return bad(why, size, "ldapport: must be between 1 and 65535");
	options->port = (int) port;
	return true;
}

static bool
set_scheme(LdapOptions *options, const char *text, char *why, size_t size)
{
	if (strcmp(text, "ldap") != 0 && strcmp(text, "ldaps") != 0)
		return bad(why, size, "ldapscheme: must be ldap or ldaps");
	options->scheme = strcmp(text, "ldaps") == 0 ? "ldaps" : "ldap";
	return true;
}

/* --- ldapurl --- */

static int
hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* Resolve %XX in place. */
static bool
unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from != '\0'; from++)
	{
		if (*from != '%')
		{
			*to++ = *from;
			continue;
		}
		if (hex_digit(from[1]) < 0 || hex_digit(from[2]) < 0 || (from[1] == '0' && from[2] == '0'))
			return false;
		*to++ = (char) (hex_digit(from[1]) * 16 + hex_digit(from[2]));
		from += 2;
	}
	*to = '\0';
	return true;
}

static bool
set_scope(LdapOptions *options, const char *text)
{
	static const char *const names[] = {[SCOPE_BASE] = "base", [SCOPE_ONE] = "one", [SCOPE_SUB] = "sub"};

	for (int i = SCOPE_BASE; i <= SCOPE_SUB; i++)
		if (strcasecmp(text, names[i]) == 0)
		{
			options->scope = i;
			return true;
		}
	return false;
}

/* ldap[s]://host[:port]/basedn[?[attribute][?[scope][?[filter]]]] */
static bool
set_url(LdapOptions *options, const char *text, Arena *arena, char *why, size_t size)
{
	char *cursor = arena_strdup(arena, text);
	char *host;
	char *parts[4] = {NULL};
	char *colon;

	if (cursor == NULL)
		return bad(why, size, "out of memory");
	if (strncmp(cursor, "ldaps://", 8) != 0 && strncmp(cursor, "ldap://", 7) != 0)
		return bad(why, size, "ldapurl: must begin with ldap:// or ldaps://");
	options->scheme = cursor[4] == 's' ? "ldaps" : "ldap";
	cursor += strlen(options->scheme) + 3;
	host = strsep(&cursor, "/");
	for (int i = 0; i < 4 && cursor != NULL; i++)
		if (!unescape(parts[i] = strsep(&cursor, "?")))
			return bad(why, size, "ldapurl: a % must be followed by two hexadecimal digits, not 00");
	if (cursor != NULL)
		return bad(why, size, "ldapurl: extensions are not supported");
	colon = strrchr(host, ':');
	if (colon != NULL && strchr(colon, ']') == NULL)
	{
		*colon = '\0';
		if (!set_port(options, colon + 1, why, size))
			return bad(why, size, "ldapurl: the port must be between 1 and 65535");
	}
	options->server = host[0] != '\0' ? host : NULL;
	options->base_dn = parts[0];
	options->search_attribute = parts[1] != NULL && parts[1][0] != '\0' ? parts[1] : NULL;
	if (parts[2] != NULL && parts[2][0] != '\0' && !set_scope(options, parts[2]))
		return bad(why, size, "ldapurl: the scope must be base, one or sub");
	options->search_filter = parts[3] != NULL && parts[3][0] != '\0' ? parts[3] : NULL;
	return true;
}

/* --- options --- */

bool
ldap_options_add(LdapOptions *options, const char *text, Arena *arena, char *why, size_t why_size)
{
	const struct
	{
		const char *name;
		const char **field;
	} strings[] = {
		{"ldapserver", &options->server}, {"ldapprefix", &options->prefix}, {"ldapsuffix", &options->suffix},
		{"ldapbasedn", &options->base_dn}, {"ldapbinddn", &options->bind_dn}, {"ldapbindpasswd", &options->bind_password},
		{"ldapsearchattribute", &options->search_attribute}, {"ldapsearchfilter", &options->search_filter},
	};
	const char *equals = strchr(text, '=');
	size_t len = equals != NULL ? (size_t) (equals - text) : 0;

	for (size_t i = 0; equals != NULL && i < sizeof(strings) / sizeof(strings[0]); i++)
		if (strlen(strings[i].name) == len && strncmp(text, strings[i].name, len) == 0)
		{
			*strings[i].field = arena_strdup(arena, equals + 1);
			return *strings[i].field != NULL || bad(why, why_size, "out of memory");
		}
	if (len == 8 && strncmp(text, "ldapport", len) == 0)
		return set_port(options, equals + 1, why, why_size);
	if (len == 10 && strncmp(text, "ldapscheme", len) == 0)
		return set_scheme(options, equals + 1, why, why_size);
	if (len == 7 && strncmp(text, "ldapurl", len) == 0)
		return set_url(options, equals + 1, arena, why, why_size);
	if (len == 7 && strncmp(text, "ldaptls", len) == 0)
	{
		options->tls = strcmp(equals + 1, "1") == 0;
		return options->tls || strcmp(equals + 1, "0") == 0 || bad(why, why_size, "ldaptls: must be 0 or 1");
	}
	snprintf(why, why_size, "unknown LDAP option \"%.*s\"", len > 0 && len < 40 ? (int) len : 0, text);
	return false;
}

bool
ldap_options_end(LdapOptions *options, char *why, size_t why_size)
{
	bool simple = options->prefix != NULL || options->suffix != NULL;
	bool search = options->base_dn != NULL || options->bind_dn != NULL || options->bind_password != NULL ||
				  options->search_attribute != NULL || options->search_filter != NULL;

	if (options->server == NULL || options->server[strspn(options->server, " ")] == '\0')
		return bad(why, why_size, "LDAP: ldapserver or a host in ldapurl is missing");
	if (simple && search)
		return bad(why, why_size, "LDAP: ldapprefix and ldapsuffix make the entry's name, so nothing that is for a search can stand beside them");
	if (!simple && options->base_dn == NULL)
		return bad(why, why_size, "LDAP: ldapbasedn, ldapprefix or ldapsuffix is missing");
	if (options->search_attribute != NULL && options->search_filter != NULL)
		return bad(why, why_size, "LDAP: ldapsearchattribute and ldapsearchfilter exclude each other");
	if (options->tls && strcmp(options->scheme, "ldaps") == 0)
		return bad(why, why_size, "LDAP: ldaptls is for the scheme ldap; ldaps has TLS anyway");
	if (options->port == 0)
		options->port = strcmp(options->scheme, "ldaps") == 0 ? 636 : 389;
	return true;
}

bool
ldap_options_parse(LdapOptions *options, const char *text, Arena *arena, char *why, size_t why_size)
{
	char *item = arena_alloc(arena, strlen(text) + 1);

	if (item == NULL)
		return bad(why, why_size, "out of memory");
	ldap_options_begin(options);
	while (*(text += strspn(text, " \t")) != '\0')
	{
		bool inside = false;
		size_t len = 0;

		for (; *text != '\0' && (inside || (*text != ' ' && *text != '\t')); text++)
		{
			if (*text == '"' && inside && text[1] == '"')
				item[len++] = *text++;
			else if (*text == '"')
				inside = !inside;
			else
				item[len++] = *text;
		}
		item[len] = '\0';
		if (inside)
			return bad(why, why_size, "a quote is not closed");
		if (!ldap_options_add(options, item, arena, why, why_size))
			return false;
	}
	return ldap_options_end(options, why, why_size);
}
