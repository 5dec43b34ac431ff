/*
 * client_rules.c: what can be told about a client: the rule that fits it, its certificate, its system user, a password in clear.
 */
#include "session/session.h"

#include <openssl/crypto.h>
#include <pwd.h>

#include "wire/auth_md5.h"

/* The name in the client's certificate, if that was verified, is this user's. */
bool
client_certificate_fits(const Client *client, const char *user, const char *map)
{
	char name[256];

	return net_tls_peer_name(&client->conn, name, sizeof(name)) &&
		   hba_ident_allows(client->worker->settings->hba, map, name, user);
}

/* The system's name of who is at the other end of the Unix socket is this user's. */
bool
client_peer_fits(const Client *client, const char *user, const char *map)
{
	struct passwd entry;
	struct passwd *found = NULL;
	char buf[2048];

	return client->peer.family == AF_UNIX && getpwuid_r(client->peer.uid, &entry, buf, sizeof(buf), &found) == 0 &&
		   found != NULL && hba_ident_allows(client->worker->settings->hba, map, found->pw_name, user);
}

/* What the client's certificate must be before anything else is asked. */
static bool
client_cert_fits(const Client *client, const char *user, HbaClientCert wanted)
{
	char name[256];

	switch (wanted)
	{
		case HBA_CLIENTCERT_NONE: return true;
		case HBA_CLIENTCERT_VERIFY_CA: return net_tls_peer_name(&client->conn, name, sizeof(name));
		case HBA_CLIENTCERT_VERIFY_FULL: return client_certificate_fits(client, user, NULL);
	}
	return false;
}

AuthType
client_rule_method(const Client *client, const HbaQuery *asked, const HbaRule **out)
{
	HbaQuery query = {.peer = &client->peer, .tls = net_is_tls(&client->conn), .replication = asked->replication,
					  .database = asked->database, .user = asked->user};
	const HbaRule *rule = hba_match(client->worker->settings->hba, &query);

	if (rule == NULL)
	{
		client_log(client, LOG_LEVEL_WARNING, "no rule of auth_hba_file fits: db=%s user=%s tls=%s", query.database, query.user,
				   query.tls ? "yes" : "no");
		return AUTH_TYPE_REJECT;
	}
	client_log(client, LOG_LEVEL_DEBUG, "rule %s:%d", rule->file, rule->line);
	if (!client_cert_fits(client, query.user, rule->client_cert))
		return AUTH_TYPE_REJECT;
	*out = rule;
	switch (rule->method)
	{
		case HBA_REJECT: return AUTH_TYPE_REJECT;
		case HBA_TRUST: return AUTH_TYPE_TRUST;
		case HBA_PASSWORD: return AUTH_TYPE_PLAIN;
		case HBA_MD5: return AUTH_TYPE_MD5;
		case HBA_SCRAM: return AUTH_TYPE_SCRAM_SHA_256;
		case HBA_PEER: return AUTH_TYPE_PEER;
		case HBA_CERT: return AUTH_TYPE_CERT;
		case HBA_PAM: return AUTH_TYPE_PAM;
		case HBA_LDAP: return AUTH_TYPE_LDAP;
	}
	return AUTH_TYPE_REJECT;
}

bool
client_password_matches(Slice given, const char *stored, const char *user)
{
	char md5[WIRE_MD5_SIZE];

	if (wire_md5_is_stored(slice_str(stored)))
		return wire_md5_password(slice_str(user), given, md5) && CRYPTO_memcmp(md5, stored, 35) == 0;
	return strlen(stored) == given.len && given.len > 0 && CRYPTO_memcmp(stored, given.ptr, given.len) == 0;
}
