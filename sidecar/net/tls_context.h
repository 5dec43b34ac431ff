/*
 * tls_context.h: the inside of a NetTlsContext, for the files of net/ only.
 */
#ifndef PGWEIR_NET_TLS_CONTEXT_H
#define PGWEIR_NET_TLS_CONTEXT_H

#include <openssl/ssl.h>
#include "net/tls.h"

struct NetTlsContext
{
	SSL_CTX *ssl_ctx; /* owned */
	NetTlsMode mode;
	bool accepting;
	bool direct;
	int references;
};

/* The newest entry of OpenSSL's error queue in words, and empty the queue. */
extern const char *net_tls_library_error(char *buf, size_t size);

#endif
