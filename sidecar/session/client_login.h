/*
 * client_login.h: the inside of a login, for client_startup.c, client_auth.c and client_login.c only.
 *
 *   client_startup.c   the startup packet: TLS, names, parameters
 *   client_auth.c      the dialogue: who proves what how
 *   client_login.c     the rest: console or pool, and the welcome
 */
#ifndef PGWEIR_SESSION_CLIENT_LOGIN_H
#define PGWEIR_SESSION_CLIENT_LOGIN_H

#include "session/external.h"
#include "session/session.h"

#define LOGIN_NAME_SIZE 128

struct ClientLogin
{
	Client *client; /* borrowed */
	char database[LOGIN_NAME_SIZE];
	char user[LOGIN_NAME_SIZE];
	AuthType method;
	ReplicationKind replication;
	char *options; /* owned; of a replication connection */
	bool unknown_user;
	bool verifier_stored; /* the auth file holds the verifier itself: its keys are good for the server too */
	AuthLookup *lookup; /* auth_query is under way */
	bool lookup_done;
	char *looked_up;	/* owned, wiped: the secret it gave */
	/* something slow is under way: see client_auth.c */
	DeriveWaiter derive;
	External *external; /* PAM or LDAP is being asked */
	void (*derived)(Client *client, ScramStatus status, const ScramKeys *keys);
	uint8_t *kept; /* owned, wiped: the message that goes on when it is over */
	size_t kept_len;
	bool cold; /* the keys of `verifier` are still to be derived from the password in the auth file */
	bool paid; /* a derivation was made: a refusal need not wait for another one */
	uint8_t salt[4];
	int step; /* SCRAM: 0 = client-first is next, 1 = client-final is next */
	ScramVerifier verifier;
	ScramServer scram;
	uint8_t binding[NET_TLS_BINDING_MAX]; /* of our certificate, where PLUS was offered */
	size_t binding_len;
	Buf last_word; /* of the dialogue; goes out with what follows, in one write */
	const ParamSet *wanted; /* counted: parameters of the startup packet */
	ParamRegistry *registry;
	usec_t deadline_us;
};

/* An empty one for a client; closes the client when there is no memory. */
extern bool login_create(Client *client) MUST_CHECK;
/* Send (and free) what was written, or close the client if writing failed. */
extern void login_send(Client *client, Buf *out, bool ok);
/* Wipe and free the message that was kept. */
extern void login_drop_kept(ClientLogin *login);
/* Is this the name of the console? */
extern bool login_is_console(const char *database);
/* Somebody on a Unix socket who is the daemon's own user may enter the console as `pgbouncer` without a password. */
extern bool login_is_own_uid(const Client *client);

/* --- client_startup.c --- */
extern size_t login_startup_input(Client *client, uint8_t *data, size_t len);

/* --- client_auth.c --- */
/* The dialogue begins, for known and unknown users alike. */
extern void login_authenticate(Client *client);
extern size_t login_auth_input(Client *client, uint8_t *data, size_t len);

/* --- client_login.c --- */
/* The client is who it says: find its pool, and learn what the server's sessions look like. */
extern void login_authenticated(Client *client);

#endif
