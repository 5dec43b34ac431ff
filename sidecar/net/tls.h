/*
 * tls.h: TLS below a NetConn, with OpenSSL 3.
 *
 * A NetTlsContext is what the files say: certificate, key, authorities, protocols, ciphers.  It is immutable and counted:
 * each connection keeps the one it began with, so new files are taken up by making a new context, and nobody is dropped.
 *
 * net_start_tls() puts TLS under an open connection; everything above stays as it was: net_send() takes and on_input()
 * gives plain bytes.  What is sent before the handshake is over is kept and sent after it.  A handshake that fails is
 * reported by on_end() with NET_END_ERROR and the errno EPROTO, and net_tls_error() says why.
 *
 * A connection without TLS pays one pointer.
 */
#ifndef PGWEIR_NET_TLS_H
#define PGWEIR_NET_TLS_H

#include "net/net.h"

/* In the order of strictness. */
typedef enum NetTlsMode
{
	NET_TLS_DISABLE,
	NET_TLS_ALLOW,		 /* as prefer */
	NET_TLS_PREFER,		 /* if the other side wants to */
	NET_TLS_REQUIRE,	 /* encrypted, with whomever */
	NET_TLS_VERIFY_CA,	 /* ... and its certificate is signed by our authority */
	NET_TLS_VERIFY_FULL, /* ... and, of a server, says the name that we asked for */
} NetTlsMode;

/* What a context is made of; NULL and "" mean: not given. */
typedef struct NetTlsOptions
{
	bool accepting; /* for connections from clients, rather than to servers */
	NetTlsMode mode;
	bool direct; /* not accepting: TLS begins without a request, so the server must say that it speaks our protocol (ALPN) */
	const char *ca_file;
	const char *cert_file;
	const char *key_file;
	const char *ciphers;	   /* TLS 1.2 and older: a list, or default, secure, fast, normal, all */
	const char *tls13_ciphers; /* or the library's */
	const char *protocols;	   /* tlsv1.0 to tlsv1.3 separated by commas; all, legacy, secure, default */
	const char *dheparams;	   /* accepting: none, auto, legacy */
	const char *ecdhcurve;	   /* accepting: none, auto, a list of curves separated by colons */
} NetTlsOptions;

typedef struct NetTlsContext NetTlsContext;

/*
 * Read the files.  NULL with the reason in error, which names the setting without its prefix and the file: "cert_file:
 * could not load \"/etc/x.crt\": no such file".  The caller has one reference.
 */
extern NetTlsContext *net_tls_context_create(const NetTlsOptions *options, char *error, size_t error_size);
extern NetTlsContext *net_tls_context_ref(NetTlsContext *context); /* NULL is passed through */
extern void net_tls_context_unref(NetTlsContext *context);		   /* accepts NULL */

/*
 * Begin TLS on an open connection without backlog; from inside on_input too.  An accepting context waits for the client's
 * first bytes, of which some may have been read already: `early`, which the caller's on_input must report as used. Other
 * contexts speak first; `host` is the name or address that was connected to (verify-full, server name indication).
 * false: out of memory; the connection is as it was.
 */
extern bool net_start_tls(NetConn *conn, NetTlsContext *context, const char *host, Slice early) MUST_CHECK;
static inline bool
net_is_tls(const NetConn *conn)
{
	return conn->_tls != NULL;
}
/* Why the handshake or the connection failed; "" when it did not. */
extern const char *net_tls_error(const NetConn *conn);
/* "TLSv1.3/TLS_AES_256_GCM_SHA384/ECDH=X25519"; "" without TLS or before the end of the handshake. */
extern const char *net_tls_describe(const NetConn *conn, char *buf, size_t size);
/* The common name of the certificate that the peer showed and that was verified; false if there is none. */
extern bool net_tls_peer_name(const NetConn *conn, char *buf, size_t size) MUST_CHECK;

/* Bytes of a channel binding at most. */
#define NET_TLS_BINDING_MAX 64

/*
 * RFC 5929 tls-server-end-point: the hash of the server's certificate, which is our own on an accepted connection. Returns
 * its length; 0 when there is none.
 */
extern size_t net_tls_binding(const NetConn *conn, uint8_t out[NET_TLS_BINDING_MAX]);

#endif
