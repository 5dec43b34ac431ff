/*
 * external.c: PAM and LDAP, one question a job.
 *
 * LDAP as PostgreSQL does it: either the name of the entry is made of prefix, user and suffix and bound to with the password, or the
 * entry is searched for first (with a bind of our own, or none) and then bound to.
 */
#include "session/external.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#ifdef PGWEIR_HAVE_PAM
#include <security/pam_appl.h>
#endif
#ifdef PGWEIR_HAVE_LDAP
#include <ldap.h>
#endif

struct External
{
	NetJob job;
	/* the job's; strings are owned */
	bool is_ldap;
	LdapOptions ldap;
	char *pam_service, *user, *host;
	char *password; /* wiped */
	int timeout_s;
	bool right;
	char why[300];
	/* the loop's */
	ExternalDone done;
	void *arg;
};

bool
external_has_pam(void)
{
#ifdef PGWEIR_HAVE_PAM
	return true;
#else
	return false;
#endif
}

bool
external_has_ldap(void)
{
#ifdef PGWEIR_HAVE_LDAP
	return true;
#else
	return false;
#endif
}

/* --- PAM --- */

#ifdef PGWEIR_HAVE_PAM

/* Modules ask for the password; what else they ask, nobody could answer. */
static int
converse(int count, const struct pam_message **messages, struct pam_response **out, void *arg)
{
	const External *e = arg;
	struct pam_response *answers = count > 0 && count <= PAM_MAX_NUM_MSG ? calloc((size_t) count, sizeof(*answers)) : NULL;

	if (answers == NULL)
		return PAM_CONV_ERR;
	for (int i = 0; i < count; i++)
	{
		int style = messages[i]->msg_style;

		if (style == PAM_PROMPT_ECHO_OFF)
			answers[i].resp = strdup(e->password);
		if ((style != PAM_PROMPT_ECHO_OFF && style != PAM_TEXT_INFO && style != PAM_ERROR_MSG) ||
			(style == PAM_PROMPT_ECHO_OFF && answers[i].resp == NULL))
		{
			for (int j = 0; j <= i; j++)
				free(answers[j].resp);
			free(answers);
			return PAM_CONV_ERR;
		}
	}
	*out = answers;
	return PAM_SUCCESS;
}

static void
ask_pam(External *e)
{
	struct pam_conv conversation = {converse, e};
	pam_handle_t *pam = NULL;
	const char *step = "pam_start";
	int status = pam_start(e->pam_service, e->user, &conversation, &pam);

	if (status == PAM_SUCCESS)
	{
		step = "pam_set_item";
		status = pam_set_item(pam, PAM_RHOST, e->host);
	}
	if (status == PAM_SUCCESS)
	{
		step = "pam_authenticate";
		status = pam_authenticate(pam, PAM_SILENT);
	}
	if (status == PAM_SUCCESS)
	{
		step = "pam_acct_mgmt";
		status = pam_acct_mgmt(pam, PAM_SILENT);
	}
	e->right = status == PAM_SUCCESS;
	if (!e->right)
		snprintf(e->why, sizeof(e->why), "%s: %s", step, pam_strerror(pam, status));
	if (pam != NULL)
		pam_end(pam, status);
}

#else
static void
ask_pam(External *e)
{
	snprintf(e->why, sizeof(e->why), "built without PAM");
}
#endif

/* --- LDAP --- */

#ifdef PGWEIR_HAVE_LDAP

static bool
ldap_said(External *e, const char *step, int status)
{
	if (status != LDAP_SUCCESS)
		snprintf(e->why, sizeof(e->why), "%s: %s", step, ldap_err2string(status));
	return status == LDAP_SUCCESS;
}

/* "ldap://one:389 ldap://two:389" of the list of servers. */
static bool
make_uri(const External *e, char *out, size_t size)
{
	const LdapOptions *o = &e->ldap;
	const char *server = o->server;
	size_t len = 0;

	out[0] = '\0';
	while (*(server += strspn(server, " ")) != '\0')
	{
		size_t name = strcspn(server, " ");
		int n = snprintf(out + len, size - len, "%s%s://%.*s:%d", len > 0 ? " " : "", o->scheme, (int) name, server, o->port);

		if (n < 0 || (size_t) n >= size - len)
			return false;
		len += (size_t) n;
		server += name;
	}
	return len > 0;
}

static LDAP *
ldap_open_connection(External *e)
{
	char uri[1000];
	const int version = LDAP_VERSION3;
	struct timeval limit = {e->timeout_s, 0};
	LDAP *ldap = NULL;

	if (!make_uri(e, uri, sizeof(uri)) || !ldap_said(e, "ldap_initialize", ldap_initialize(&ldap, uri)))
		return NULL;
	ldap_set_option(ldap, LDAP_OPT_PROTOCOL_VERSION, &version);
	ldap_set_option(ldap, LDAP_OPT_NETWORK_TIMEOUT, &limit);
	ldap_set_option(ldap, LDAP_OPT_TIMEOUT, &limit);
	ldap_set_option(ldap, LDAP_OPT_REFERRALS, LDAP_OPT_OFF);
	if (!e->ldap.tls || ldap_said(e, "StartTLS", ldap_start_tls_s(ldap, NULL, NULL)))
		return ldap;
	ldap_unbind_ext(ldap, NULL, NULL);
	return NULL;
}

static bool
ldap_bind(External *e, LDAP *ldap, const char *step, const char *dn, const char *password)
{
	struct berval secret = {strlen(password), (char *) password};

	return ldap_said(e, step, ldap_sasl_bind_s(ldap, dn, LDAP_SASL_SIMPLE, &secret, NULL, NULL, NULL));
}

/* The filter with the user in it; the name has no character that means something there. */
static bool
make_filter(const External *e, char *out, size_t size)
{
	static const char place[] = "$username";
	const char *filter = e->ldap.search_filter;
	const char *at;
	size_t len = 0;
	int n;

	if (filter == NULL)
	{
		n = snprintf(out, size, "(%s=%s)", e->ldap.search_attribute != NULL ? e->ldap.search_attribute : "uid", e->user);
		return n > 0 && (size_t) n < size;
	}
	while ((at = strstr(filter, place)) != NULL)
	{
		n = snprintf(out + len, size - len, "%.*s%s", (int) (at - filter), filter, e->user);
		if (n < 0 || (size_t) n >= size - len)
			return false;
		len += (size_t) n;
		filter = at + strlen(place);
	}
	n = snprintf(out + len, size - len, "%s", filter);
	return n >= 0 && (size_t) n < size - len;
}

/* The one entry that the filter finds, or NULL. */
static char *
ldap_find(External *e, LDAP *ldap)
{
	char filter[1000];
	char *attributes[] = {(char *) LDAP_NO_ATTRS, NULL};
	struct timeval limit = {e->timeout_s, 0};
	LDAPMessage *found = NULL;
	char *dn = NULL;

	if (!make_filter(e, filter, sizeof(filter)))
		snprintf(e->why, sizeof(e->why), "the search filter is too long");
	else if (ldap_said(e, "search", ldap_search_ext_s(ldap, e->ldap.base_dn, e->ldap.scope, filter, attributes, 0, NULL, NULL, &limit, 2, &found)))
	{
		int count = ldap_count_entries(ldap, found);

		if (count == 1)
			dn = ldap_get_dn(ldap, ldap_first_entry(ldap, found));
		else
			snprintf(e->why, sizeof(e->why), "%s", count == 0 ? "no entry found" : "several entries found");
	}
	ldap_msgfree(found);
	return dn;
}

/* The name to bind to; NULL with why. */
static char *
ldap_entry(External *e)
{
	const LdapOptions *o = &e->ldap;
	bool search = o->base_dn != NULL;
	LDAP *ldap;
	char *dn = NULL;

	/* characters with a meaning in a filter, or in a name */
	if (strpbrk(e->user, search ? "*()\\/" : ",+\"\\<>;=") != NULL)
	{
		snprintf(e->why, sizeof(e->why), "invalid character in user name for LDAP authentication");
		return NULL;
	}
	if (!search)
	{
		if (asprintf(&dn, "%s%s%s", o->prefix != NULL ? o->prefix : "", e->user, o->suffix != NULL ? o->suffix : "") < 0)
			return NULL;
		return dn;
	}
	ldap = ldap_open_connection(e);
	if (ldap == NULL)
		return NULL;
	if (ldap_bind(e, ldap, "bind for the search", o->bind_dn, o->bind_password != NULL ? o->bind_password : ""))
		dn = ldap_find(e, ldap);
	ldap_unbind_ext(ldap, NULL, NULL);
	return dn;
}

static void
ask_ldap(External *e)
{
	char *dn = ldap_entry(e);
	LDAP *ldap = dn != NULL ? ldap_open_connection(e) : NULL;

	if (ldap != NULL)
	{
		e->right = ldap_bind(e, ldap, "bind", dn, e->password);
		ldap_unbind_ext(ldap, NULL, NULL);
	}
	free(dn);
}

#else
static void
ask_ldap(External *e)
{
	snprintf(e->why, sizeof(e->why), "built without LDAP");
}
#endif

/* --- jobs --- */

static void
run(NetJob *job)
{
	External *e = CONTAINER_OF(job, External, job);

	if (e->is_ldap)
		ask_ldap(e);
	else
		ask_pam(e);
}

static void
wipe(const char *text)
{
	if (text != NULL)
		OPENSSL_cleanse((char *) text, strlen(text));
	free((char *) text);
}

static void
discard(NetJob *job)
{
	External *e = CONTAINER_OF(job, External, job);
	LdapOptions *o = &e->ldap;

	free((char *) o->server);
	free((char *) o->scheme);
	free((char *) o->prefix);
	free((char *) o->suffix);
	free((char *) o->base_dn);
	free((char *) o->bind_dn);
	wipe(o->bind_password);
	free((char *) o->search_attribute);
	free((char *) o->search_filter);
	free(e->pam_service);
	free(e->user);
	free(e->host);
	wipe(e->password);
	free(e);
}

static void
done(NetJob *job)
{
	External *e = CONTAINER_OF(job, External, job);

	e->done(e->arg, e->right, e->why);
	discard(job);
}

static bool
copy(const char **to, const char *from)
{
	*to = from != NULL ? strdup(from) : NULL;
	return from == NULL || *to != NULL;
}

static bool
copy_ldap(LdapOptions *to, const LdapOptions *from)
{
	to->port = from->port;
	to->scope = from->scope;
	to->tls = from->tls;
	return copy(&to->server, from->server) && copy(&to->scheme, from->scheme) && copy(&to->prefix, from->prefix) &&
		   copy(&to->suffix, from->suffix) && copy(&to->base_dn, from->base_dn) && copy(&to->bind_dn, from->bind_dn) &&
		   copy(&to->bind_password, from->bind_password) && copy(&to->search_attribute, from->search_attribute) &&
		   copy(&to->search_filter, from->search_filter);
}

External *
external_start(NetJobPort *port, const ExternalAsk *ask, ExternalDone on_done, void *arg)
{
	External *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return NULL;
	e->job = (NetJob){.run = run, .done = done, .discard = discard};
	e->is_ldap = ask->ldap != NULL;
	e->timeout_s = ask->timeout_s;
	e->done = on_done;
	e->arg = arg;
	e->user = strdup(ask->user);
	e->host = strdup(ask->host);
	e->password = strndup((const char *) ask->password.ptr, ask->password.len);
	e->pam_service = strdup(ask->pam_service != NULL ? ask->pam_service : "");
	if (e->user == NULL || e->host == NULL || e->password == NULL || e->pam_service == NULL ||
		(e->is_ldap && !copy_ldap(&e->ldap, ask->ldap)))
	{
		discard(&e->job);
		return NULL;
	}
	net_job_start(port, NET_JOB_WAITS, &e->job);
	return e;
}

void
external_abandon(External *external)
{
	if (external != NULL)
		net_job_abandon(&external->job);
}
