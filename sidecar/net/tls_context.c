/*
 * tls_context.c: from settings to an SSL_CTX.
 *
 * Everything that can be wrong about files and lists is found here, once, so that a connection can fail only for what its peer
 * does.
 *
 * Clients may resume a session with a ticket, which saves both sides the signature in a storm of logins.  The keys of tickets live
 * in the context: they are never written anywhere, and a reload begins with new ones, so a certificate or an authority that was
 * replaced counts at once.  To servers nothing is resumed: PostgreSQL gives no tickets.
 */
#include "net/tls_context.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

/* A ticket is good for so many seconds; a client certificate is not looked at again meanwhile. */
#define TICKET_SECONDS 300

static const unsigned char alpn_list[] = "\012postgresql";

const char *
net_tls_library_error(char *buf, size_t size)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
	unsigned long next;

	/* what "PEM lib" and its sisters say is only which library failed; the reason stands before */
	while ((next = ERR_get_error()) != 0)
	{
		const char *text = ERR_reason_error_string(next);
		size_t len = text != NULL ? strlen(text) : 0;

		if (len == 0 || (len > 4 && strcmp(text + len - 4, " lib") == 0))
			continue;
		code = next;
		reason = text;
	}

	if (ERR_SYSTEM_ERROR(code))
		snprintf(buf, size, "%s", strerror(ERR_GET_REASON(code)));
	else if (reason != NULL)
		snprintf(buf, size, "%s", reason);
	else
		snprintf(buf, size, "unknown error %lx", code);
	ERR_clear_error();
	return buf;
}

static bool
given(const char *text)
{
	return text != NULL && text[0] != '\0';
}

/* --- protocols --- */

#define PROTOCOL_COUNT 4

static const struct
{
	const char *name;
	uint64_t off;
} protocols[PROTOCOL_COUNT] = {
	{"tlsv1.0", SSL_OP_NO_TLSv1},
	{"tlsv1.1", SSL_OP_NO_TLSv1_1},
	{"tlsv1.2", SSL_OP_NO_TLSv1_2},
	{"tlsv1.3", SSL_OP_NO_TLSv1_3},
};

static bool
word_is(const char *word, size_t len, const char *name)
{
	return strlen(name) == len && strncasecmp(word, name, len) == 0;
}

/* The protocols a word stands for, a bit each; 0 = unknown. */
static unsigned
protocol_bits(const char *word, size_t len)
{
	if (word_is(word, len, "all") || word_is(word, len, "legacy") || word_is(word, len, "tlsv1"))
		return 0xf;
	if (word_is(word, len, "secure") || word_is(word, len, "default"))
		return 0xc;
	for (unsigned i = 0; i < PROTOCOL_COUNT; i++)
		if (word_is(word, len, protocols[i].name))
			return 1u << i;
	return 0;
}

static bool
set_protocols(SSL_CTX *ctx, const char *list, char *error, size_t size)
{
	unsigned wanted = 0;

	list = given(list) ? list : "secure";
	for (const char *p = list + strspn(list, ", \t:"); *p != '\0'; p += strspn(p, ", \t:"))
	{
		bool not = *p == '!';
		size_t len = strcspn(p, ", \t:");
		unsigned bits = protocol_bits(p + not, len - not);

		if (bits == 0)
		{
			snprintf(error, size, "protocols: unknown protocol \"%.*s\"", (int) len, p);
			return false;
		}
		wanted = not ? wanted & ~bits : wanted | bits;
		p += len;
	}
	if (wanted == 0)
	{
		snprintf(error, size, "protocols: no protocol is left");
		return false;
	}
	SSL_CTX_set_min_proto_version(ctx, 0);
	for (unsigned i = 0; i < PROTOCOL_COUNT; i++)
		if ((wanted & (1u << i)) == 0)
			SSL_CTX_set_options(ctx, protocols[i].off);
	return true;
}

/* --- ciphers, curves, Diffie-Hellman --- */

static const char *
cipher_list(const char *text)
{
	static const struct
	{
		const char *name;
		const char *list;
	} names[] = {
		{"default", "HIGH:!aNULL:!eNULL:!MD5:!3DES"},
		{"secure", "TLSv1.2+AEAD+ECDHE:TLSv1.2+AEAD+DHE"},
		{"fast", "TLSv1.2+AEAD+ECDHE:ECDHE+AES:HIGH:!aNULL:!eNULL:!3DES"},
		{"normal", "HIGH:MEDIUM:!aNULL:!eNULL:!RC4:!3DES"},
		{"all", "ALL:!aNULL:!eNULL"},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!given(text) || strcasecmp(text, names[i].name) == 0)
			return names[i].list;
	return text;
}

static bool
set_ciphers(SSL_CTX *ctx, const NetTlsOptions *options, char *error, size_t size)
{
	char why[128];

	if (SSL_CTX_set_cipher_list(ctx, cipher_list(options->ciphers)) != 1)
	{
		snprintf(error, size, "ciphers: \"%.100s\": %s", options->ciphers, net_tls_library_error(why, sizeof(why)));
		return false;
	}
	if (given(options->tls13_ciphers) && SSL_CTX_set_ciphersuites(ctx, options->tls13_ciphers) != 1)
	{
		snprintf(error, size, "tls13_ciphers: \"%.100s\": %s", options->tls13_ciphers,
				 net_tls_library_error(why, sizeof(why)));
		return false;
	}
	return true;
}

/* How a key is agreed on. */
static bool
set_exchange(SSL_CTX *ctx, const NetTlsOptions *options, char *error, size_t size)
{
	const char *dh = options->dheparams;
	const char *curve = options->ecdhcurve;

	if (given(dh) && strcasecmp(dh, "none") != 0 && strcasecmp(dh, "auto") != 0 && strcasecmp(dh, "legacy") != 0)
	{
		snprintf(error, size, "dheparams: must be none, auto or legacy");
		return false;
	}
	SSL_CTX_set_dh_auto(ctx, !given(dh) || strcasecmp(dh, "none") != 0);
	if (!given(curve) || strcasecmp(curve, "auto") == 0 || strcasecmp(curve, "none") == 0)
		return true;
	if (SSL_CTX_set1_groups_list(ctx, curve) != 1)
	{
		ERR_clear_error();
		snprintf(error, size, "ecdhcurve: unknown curve in \"%.100s\"", curve);
		return false;
	}
	return true;
}

/* --- files --- */

static bool
file_failed(const char *key, const char *path, const char *what, char *error, size_t size)
{
	char why[128];

	net_tls_library_error(why, sizeof(why));
	/* OpenSSL says "no such file" in several ways; the system says it in one */
	if (access(path, R_OK) != 0)
		snprintf(why, sizeof(why), "%s", strerror(errno));
	snprintf(error, size, "%s: could not %s \"%s\": %s", key, what, path, why);
	return false;
}

/* A key with a passphrase cannot be used by a daemon: never ask at the terminal. */
static int
no_passphrase(char *buf, int size, int writing, void *arg)
{
	(void) buf;
	(void) size;
	(void) writing;
	(void) arg;
	return 0;
}

static bool
load_certificate(SSL_CTX *ctx, const NetTlsOptions *options, char *error, size_t size)
{
	if (!given(options->cert_file) || !given(options->key_file))
	{
		if (!given(options->cert_file) && !given(options->key_file) && !options->accepting)
			return true;
		snprintf(error, size, "%s: not set", given(options->cert_file) ? "key_file" : "cert_file");
		return false;
	}
	SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
	if (SSL_CTX_use_certificate_chain_file(ctx, options->cert_file) != 1)
		return file_failed("cert_file", options->cert_file, "load certificate", error, size);
	if (SSL_CTX_use_PrivateKey_file(ctx, options->key_file, SSL_FILETYPE_PEM) != 1)
		return file_failed("key_file", options->key_file, "load private key", error, size);
	if (SSL_CTX_check_private_key(ctx) != 1)
	{
		ERR_clear_error();
		snprintf(error, size, "key_file: \"%s\" is not the key of the certificate \"%s\"", options->key_file,
				 options->cert_file);
		return false;
	}
	return true;
}

/* Whose certificates are believed.  A client may do without one below verify-ca; one that it shows must be good. */
static bool
load_authority(SSL_CTX *ctx, const NetTlsOptions *options, char *error, size_t size)
{
	bool strict = options->mode >= NET_TLS_VERIFY_CA;

	if (!given(options->ca_file))
	{
		if (!strict)
			return true;
		if (options->accepting)
		{
			snprintf(error, size, "ca_file: not set, but verify-ca and verify-full need it");
			return false;
		}
		SSL_CTX_set_default_verify_paths(ctx);
	}
	else if (SSL_CTX_load_verify_locations(ctx, options->ca_file, NULL) != 1)
		return file_failed("ca_file", options->ca_file, "load certificates of the authority", error, size);
	if (options->accepting)
	{
		SSL_CTX_set_client_CA_list(ctx, SSL_load_client_CA_file(options->ca_file));
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | (strict ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
	}
	else
		SSL_CTX_set_verify(ctx, strict ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	return true;
}

/* --- protocol selection --- */

/* Who names protocols must name ours; who names none (an SSLRequest came first) is welcome. */
static int
select_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in, unsigned in_len,
				void *arg)
{
	(void) ssl;
	(void) arg;
	if (SSL_select_next_proto((unsigned char **) out, out_len, alpn_list, sizeof(alpn_list) - 1, in, in_len) ==
		OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_OK;
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static bool
set_up(SSL_CTX *ctx, const NetTlsOptions *options, char *error, size_t size)
{
	char why[128];

	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | (options->accepting ? 0 : SSL_OP_NO_TICKET) |
								 SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_read_ahead(ctx, 1);
	if (options->accepting)
	{
		SSL_CTX_set_alpn_select_cb(ctx, select_protocol, NULL);
		SSL_CTX_set_num_tickets(ctx, 1);
		SSL_CTX_set_timeout(ctx, TICKET_SECONDS);
		if (SSL_CTX_set_session_id_context(ctx, alpn_list, sizeof(alpn_list) - 1) != 1)
		{
			snprintf(error, size, "sslmode: %s", net_tls_library_error(why, sizeof(why)));
			return false;
		}
	}
	else
		SSL_CTX_set_alpn_protos(ctx, alpn_list, sizeof(alpn_list) - 1);
	return set_protocols(ctx, options->protocols, error, size) && set_ciphers(ctx, options, error, size) &&
		   (!options->accepting || set_exchange(ctx, options, error, size)) &&
		   load_certificate(ctx, options, error, size) && load_authority(ctx, options, error, size);
}

/* --- life --- */

NetTlsContext *
net_tls_context_create(const NetTlsOptions *options, char *error, size_t error_size)
{
	NetTlsContext *context = calloc(1, sizeof(*context));
	char why[128];

	ERR_clear_error();
	if (context == NULL)
	{
		snprintf(error, error_size, "out of memory");
		return NULL;
	}
	context->mode = options->mode;
	context->accepting = options->accepting;
	context->direct = options->direct;
	context->references = 1;
	context->ssl_ctx = SSL_CTX_new(options->accepting ? TLS_server_method() : TLS_client_method());
	if (context->ssl_ctx == NULL)
		snprintf(error, error_size, "sslmode: %s", net_tls_library_error(why, sizeof(why)));
	else if (set_up(context->ssl_ctx, options, error, error_size))
		return context;
	net_tls_context_unref(context);
	return NULL;
}

NetTlsContext *
net_tls_context_ref(NetTlsContext *context)
{
	if (context != NULL)
		context->references++;
	return context;
}

void
net_tls_context_unref(NetTlsContext *context)
{
	if (context == NULL || --context->references > 0)
		return;
	SSL_CTX_free(context->ssl_ctx);
	free(context);
}
