/*
 * ldap.h: the options of LDAP authentication, in auth_ldap_options and behind the method ldap in auth_hba_file, as PostgreSQL has
 * them.
 */
#ifndef PGWEIR_CONFIG_LDAP_H
#define PGWEIR_CONFIG_LDAP_H

#include <stdbool.h>
#include <stddef.h>
#include "config/arena.h"
#include "session/hba.h"

/* Nothing is given yet. */
extern void ldap_options_begin(LdapOptions *options);
/* One "ldapserver=..."; false with the reason, which shows no value. */
extern bool ldap_options_add(LdapOptions *options, const char *text, Arena *arena, char *why, size_t why_size);
/* Do they make sense together? */
extern bool ldap_options_end(LdapOptions *options, char *why, size_t why_size);
/* A whole text: options separated by blanks, values perhaps in double quotes. */
extern bool ldap_options_parse(LdapOptions *options, const char *text, Arena *arena, char *why, size_t why_size);

#endif
