/*
 * hba.h: who may log in how: the rules of auth_hba_file and the maps of auth_ident_file, once they are read.
 *
 * Matching is a pure function of the rules and of what is known about a client before it has said anything secret.  config/hba.h
 * makes the rules from files, and owns them.
 */
#ifndef PGWEIR_SESSION_HBA_H
#define PGWEIR_SESSION_HBA_H

#include <stdbool.h>
#include <stddef.h>
#include "base/pattern.h"
#include "net/net.h"

typedef enum HbaMethod
{
	HBA_REJECT,
	HBA_TRUST,
	HBA_PASSWORD, /* in clear */
	HBA_MD5,	  /* SCRAM where the secret is SCRAM */
	HBA_SCRAM,
	HBA_PEER,	  /* the system's user of the other end of a Unix socket */
	HBA_CERT,	  /* the common name of a verified certificate */
	HBA_PAM,	  /* in clear, and PAM says whether it is right */
	HBA_LDAP,	  /* likewise a directory */
} HbaMethod;

typedef enum HbaConnection
{
	HBA_LOCAL, /* Unix sockets */
	HBA_HOST,
	HBA_HOSTSSL,
	HBA_HOSTNOSSL,
} HbaConnection;

typedef enum HbaNameKind
{
	HBA_NAME,
	HBA_NAME_ALL,
	HBA_NAME_SAMEUSER,	  /* databases: of the user's name */
	HBA_NAME_REPLICATION, /* databases: replication connections, and nothing else */
	HBA_NAME_PATTERN,
} HbaNameKind;

typedef struct HbaName
{
	HbaNameKind kind;
	const char *text; /* HBA_NAME; and the pattern's text */
	Pattern *pattern; /* HBA_NAME_PATTERN; owned by the file */
	struct HbaName *next;
} HbaName;

/* A range of addresses. */
typedef struct HbaNetwork
{
	uint8_t family; /* AF_INET, AF_INET6; 0 = every address */
	uint8_t address[16];
	uint8_t mask[16];
	struct HbaNetwork *next;
} HbaNetwork;

typedef enum HbaClientCert
{
	HBA_CLIENTCERT_NONE,
	HBA_CLIENTCERT_VERIFY_CA,
	HBA_CLIENTCERT_VERIFY_FULL, /* ... and its name is the user's */
} HbaClientCert;

/* Where and how to ask a directory. */
typedef struct LdapOptions
{
	const char *server; /* one or more, separated by blanks */
	const char *scheme; /* "ldap" or "ldaps" */
	const char *prefix, *suffix; /* of the name to bind to; or, with base_dn, a search: */
	const char *base_dn, *bind_dn, *bind_password, *search_attribute, *search_filter;
	int port;
	int scope; /* of the search, as in the protocol: 0 = base, 1 = one, 2 = sub */
	bool tls;  /* StartTLS */
} LdapOptions;

typedef struct HbaRule
{
	HbaConnection connection;
	HbaName *databases, *users;
	HbaNetwork *networks; /* not of local rules */
	HbaMethod method;
	HbaClientCert client_cert;
	const char *map; /* or NULL */
	const LdapOptions *ldap;	/* of HBA_LDAP */
	const char *pam_service; /* of HBA_PAM; NULL = the setting's */
	const char *file;
	int line;
	struct HbaRule *next;
} HbaRule;

typedef struct IdentLine
{
	const char *map;
	HbaName system_user; /* a name or a pattern */
	HbaName user;		 /* a name, in which \1 = what the pattern's first group matched; or a pattern, or all */
	struct IdentLine *next;
} IdentLine;

typedef struct HbaRules
{
	HbaRule *rules;	  /* in the order of the file */
	IdentLine *ident;
} HbaRules;

typedef struct HbaQuery
{
	const NetPeer *peer;
	bool tls;
	bool replication;
	const char *database;
	const char *user;
} HbaQuery;

/* The first rule that fits, or NULL: nobody said that this client may come in. */
extern const HbaRule *hba_match(const HbaRules *rules, const HbaQuery *query);
/*
 * May somebody whom the system (or a certificate) calls system_user log in as user?  Without a map if the names are the same;
 * else if a line of the map says so.
 */
extern bool hba_ident_allows(const HbaRules *rules, const char *map, const char *system_user, const char *user);

#endif
