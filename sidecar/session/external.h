/*
 * external.h: asking PAM or an LDAP directory whether a password is right, off the event loop.
 *
 * Everything a question needs is copied when it is asked, so that it may outlive the client and the settings.
 */
#ifndef PGWEIR_SESSION_EXTERNAL_H
#define PGWEIR_SESSION_EXTERNAL_H

#include "base/slice.h"
#include "net/jobs.h"
#include "session/hba.h"

/* Is this build able to ask? */
extern bool external_has_pam(void);
extern bool external_has_ldap(void);

typedef struct ExternalAsk
{
	const LdapOptions *ldap; /* or NULL: PAM */
	const char *pam_service;
	const char *user;
	const char *host; /* the client's address */
	Slice password;	  /* not empty, without NUL */
	int timeout_s;	  /* for each step of LDAP */
} ExternalAsk;

typedef struct External External;

/* What became of it; `why` is for the log, borrowed, "" when there is nothing to say. */
typedef void (*ExternalDone)(void *arg, bool right, const char *why);

/* done() follows, never from inside this call.  NULL: out of memory. */
extern External *external_start(NetJobPort *port, const ExternalAsk *ask, ExternalDone done, void *arg);
/* Nobody waits; accepts NULL. */
extern void external_abandon(External *external);

#endif
