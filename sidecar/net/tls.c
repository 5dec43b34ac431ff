/*
 * tls.c: the records of one connection.
 *
 * OpenSSL reads and writes through a BIO of ours over the conn.  Written ciphertext goes to the socket, or behind the conn's
 * backlog: so SSL_write never has to be repeated, and the backlog is written by the conn as if there were no TLS.  Read
 * ciphertext comes from the socket, after the bytes that had been read before TLS began.
 *
 * The handshake is slow: each step of it is a job on a computing thread where the loop has a port for jobs.  What has come from the peer
 * is read before the step, what the step writes is sent after it; while the step is away (`away`) the thread alone touches SSL, `early`,
 * `written` and `step`, and a conn that closes leaves all of it to the job.
 *
 * A read fills the caller's buffer with as many records as are there.  Whenever it stops for another reason than an empty
 * socket, no event will tell of what is left inside OpenSSL: then `more` is set and the conn gets another turn.
 */
#include "net/conn.h"
#include "net/jobs.h"
#include "net/tls_context.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Small pieces are put together: a record costs more than the copy. */
#define RECORD_MAX (16 * 1024)

/* Reads of what a peer sent that is about to be refused. */
#define ALERT_READS 16

/* What became of a step of the handshake. */
typedef enum Step
{
	STEP_WANTS, /* more from the peer */
	STEP_OVER,
	STEP_FAILED,
} Step;

struct NetTls
{
	NetConn *conn; /* borrowed: this is its own */
	SSL *ssl;
	NetJob job;
	bool away;	 /* the job is under way */
	bool begun;	 /* a step has been made */
	Step step;
	Buf early;	 /* ciphertext that was read before TLS began, or for a step of the handshake */
	Buf written; /* by a step of the handshake */
	Buf plain; /* sent before the end of the handshake */
	bool up;   /* the handshake is over */
	bool need_alpn; /* ... and fails unless our protocol was agreed on */
	bool more; /* a read may give something although the socket has no event */
	bool broken;
	bool socket_empty; /* in this read the socket has given less than was asked for */
	bool saw_eof;
	char error[120];
};

static void run_step(NetJob *job);
static void on_step(NetJob *job);
static void discard_step(NetJob *job);

/* --- the BIO --- */

static int
bio_read(BIO *bio, char *to, int size)
{
	NetTls *tls = BIO_get_data(bio);
	ssize_t n;

	BIO_clear_retry_flags(bio);
	if (buf_len(&tls->early) > 0)
	{
		n = (ssize_t) buf_len(&tls->early) < size ? (ssize_t) buf_len(&tls->early) : size;
		memcpy(to, buf_ptr(&tls->early), (size_t) n);
		buf_consume(&tls->early, (size_t) n);
		if (buf_len(&tls->early) == 0)
			buf_free(&tls->early);
		return (int) n;
	}
	if (!tls->up && tls->saw_eof)
		return 0;
	if (!tls->up || tls->socket_empty)
	{
		BIO_set_retry_read(bio);
		return -1;
	}
	do
		n = recv(tls->conn->fd, to, (size_t) size, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	tls->socket_empty = n != 0 && n < size;
	tls->saw_eof = n == 0;
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		BIO_set_retry_read(bio);
	return (int) n;
}

static int
bio_write(BIO *bio, const char *from, int len)
{
	NetTls *tls = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	if (!tls->up)
		return buf_append(&tls->written, from, (size_t) len) ? len : -1;
	if (!net_conn_write(tls->conn, &(struct iovec){(void *) from, (size_t) len}, 1))
		return -1;
	return len;
}

static long
bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
	const NetTls *tls = BIO_get_data(bio);

	(void) number;
	(void) pointer;
	switch (command)
	{
		case BIO_CTRL_FLUSH: return 1;
		case BIO_CTRL_EOF: return tls->saw_eof;
		default: return 0;
	}
}

/* One for the process, made at first use and never changed; NULL when memory was short then. */
static BIO_METHOD *the_method;

static void
make_method(void)
{
	the_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "pgweir");
	if (the_method == NULL)
		return;
	BIO_meth_set_read(the_method, bio_read);
	BIO_meth_set_write(the_method, bio_write);
	BIO_meth_set_ctrl(the_method, bio_ctrl);
}

static BIO_METHOD *
bio_method(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_method);
	return the_method;
}

/* --- beginning --- */

static void
set_expected_name(SSL *ssl, const NetTlsContext *context, const char *host)
{
	NetAddress address;
	bool numeric = net_address_parse(host, 1, &address);

	if (!numeric)
		SSL_set_tlsext_host_name(ssl, host);
	if (context->mode < NET_TLS_VERIFY_FULL)
		return;
	if (numeric)
		X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host);
	else
		SSL_set1_host(ssl, host);
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
}

static SSL *
new_ssl(NetTls *tls, const NetTlsContext *context, const char *host)
{
	SSL *ssl = SSL_new(context->ssl_ctx);
	BIO *bio = bio_method() != NULL ? BIO_new(bio_method()) : NULL;

	if (ssl == NULL || bio == NULL)
	{
		SSL_free(ssl);
		BIO_free(bio);
		ERR_clear_error();
		return NULL;
	}
	BIO_set_data(bio, tls);
	BIO_set_init(bio, 1);
	SSL_set_bio(ssl, bio, bio);
	if (context->accepting)
		SSL_set_accept_state(ssl);
	else
	{
		SSL_set_connect_state(ssl);
		if (host != NULL)
			set_expected_name(ssl, context, host);
	}
	return ssl;
}

bool
net_start_tls(NetConn *conn, NetTlsContext *context, const char *host, Slice early)
{
	NetTls *tls = calloc(1, sizeof(*tls));

	assert(conn->_tls == NULL);
	if (tls == NULL || !buf_append(&tls->early, early.ptr, early.len) || (tls->ssl = new_ssl(tls, context, host)) == NULL)
	{
		if (tls != NULL)
			buf_free(&tls->early);
		free(tls);
		return false;
	}
	tls->conn = conn;
	tls->job = (NetJob){.run = run_step, .done = on_step, .discard = discard_step, .urgent = !conn->background};
	tls->more = true;
	tls->need_alpn = context->direct;
	conn->_tls = tls;
	net_conn_wake(conn);
	return true;
}

/* --- records --- */

static void
note_error(NetTls *tls)
{
	long verify = SSL_get_verify_result(tls->ssl);
	char why[80];

	tls->broken = true;
	net_tls_library_error(why, sizeof(why));
	if (!tls->up && verify != X509_V_OK)
		snprintf(tls->error, sizeof(tls->error), "%s: %s", why, X509_verify_cert_error_string(verify));
	else
		snprintf(tls->error, sizeof(tls->error), "%s", why);
}

/* An operation gave no bytes: 0 at the end of the stream, else -1 with errno. */
static int
no_bytes(NetTls *tls, int result)
{
	int why = SSL_get_error(tls->ssl, result);

	if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
	{
		errno = EAGAIN;
		return -1;
	}
	if (why == SSL_ERROR_ZERO_RETURN)
		return 0;
	if (why == SSL_ERROR_SYSCALL && ERR_peek_error() == 0)
	{
		tls->broken = true;
		if (errno == 0)
			errno = EPROTO;
		return -1;
	}
	note_error(tls);
	errno = EPROTO;
	return -1;
}

static void
write_plain(NetTls *tls, const uint8_t *bytes, size_t len)
{
	while (len > 0 && !tls->broken)
	{
		int n = SSL_write(tls->ssl, bytes, len < RECORD_MAX ? (int) len : RECORD_MAX);

		if (n <= 0)
		{
			note_error(tls);
			return;
		}
		bytes += n;
		len -= (size_t) n;
	}
}

/* --- the handshake --- */

/* One step, by whichever thread. */
static void
make_step(NetTls *tls)
{
	int result;

	ERR_clear_error();
	errno = 0;
	result = SSL_do_handshake(tls->ssl);
	tls->step = result == 1 ? STEP_OVER : no_bytes(tls, result) < 0 && errno == EAGAIN ? STEP_WANTS : STEP_FAILED;
}

static void
run_step(NetJob *job)
{
	make_step(CONTAINER_OF(job, NetTls, job));
}

static void
send_written(NetTls *tls)
{
	if (buf_len(&tls->written) > 0 &&
		!net_conn_write(tls->conn, &(struct iovec){buf_ptr(&tls->written), buf_len(&tls->written)}, 1))
		tls->broken = true;
	buf_free(&tls->written);
}

static void
come_up(NetTls *tls)
{
	const unsigned char *protocol;
	unsigned protocol_len;

	SSL_get0_alpn_selected(tls->ssl, &protocol, &protocol_len);
	if (tls->need_alpn && protocol_len == 0)
	{
		tls->broken = true;
		snprintf(tls->error, sizeof(tls->error), "the server did not agree on the protocol (ALPN)");
		return;
	}
	tls->up = true;
	write_plain(tls, buf_ptr(&tls->plain), buf_len(&tls->plain));
	if (buf_len(&tls->plain) > 0)
		explicit_bzero(buf_ptr(&tls->plain), buf_len(&tls->plain));
	buf_free(&tls->plain);
}

/* What a step wrote goes out, be it an alert. */
static void
finish_step(NetTls *tls)
{
	send_written(tls);
	if (tls->step == STEP_FAILED)
		tls->broken = true;
	else if (tls->step == STEP_OVER && !tls->broken)
		come_up(tls);
}

static void
on_step(NetJob *job)
{
	NetTls *tls = CONTAINER_OF(job, NetTls, job);

	tls->away = false;
	if (!tls->conn->_open || tls->conn->_ended || tls->conn->_closing)
		return;
	finish_step(tls);
	tls->more = true;
	net_conn_wake(tls->conn);
}

/* The conn is gone, or (at the end of the process) the port is. */
static void
discard_step(NetJob *job)
{
	NetTls *tls = CONTAINER_OF(job, NetTls, job);

	tls->away = false;
	tls->broken = true;
	if (tls->conn == NULL)
		net_tls_free(tls);
}

/* A socket that is closed with something unread resets the connection, and the peer never sees why it failed. */
static void
let_alert_through(NetConn *conn, uint8_t *to, size_t size)
{
	for (int i = 0; i < ALERT_READS && recv(conn->fd, to, size, MSG_DONTWAIT) > 0; i++)
		continue;
}

/*
 * What has come, and a step if there is anything to make one of.  1: the handshake is over; else as recv().  `to` is room for what is read.
 */
static int
handshake(NetTls *tls, uint8_t *to, size_t size)
{
	NetConn *conn = tls->conn;
	ssize_t n;

	do
		n = recv(conn->fd, to, size, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
		return -1;
	tls->saw_eof = n == 0;
	tls->more = n == (ssize_t) size;
	if (n > 0 && !buf_append(&tls->early, to, (size_t) n))
	{
		errno = ENOMEM;
		return -1;
	}
	errno = EAGAIN;
	if (n <= 0 && buf_len(&tls->early) == 0 && (n < 0 ? tls->begun || SSL_is_server(tls->ssl) : !tls->begun))
		return (int) n; /* nothing to say, or nobody to talk to */
	tls->begun = true;
	if (conn->loop->jobs != NULL)
	{
		tls->away = true;
		net_job_start(conn->loop->jobs, NET_JOB_COMPUTES, &tls->job);
		return -1;
	}
	make_step(tls);
	finish_step(tls);
	if (tls->broken)
		let_alert_through(conn, to, size);
	errno = tls->broken ? EPROTO : EAGAIN;
	return tls->up && !tls->broken ? 1 : -1;
}

ssize_t
net_tls_read(NetConn *conn, uint8_t *to, size_t size)
{
	NetTls *tls = conn->_tls;
	size_t filled = 0;
	int n = 1;

	ERR_clear_error();
	errno = 0;
	tls->more = false;
	tls->socket_empty = false;
	if (tls->away) /* all the rest is the other thread's */
	{
		errno = EAGAIN;
		return -1;
	}
	if (tls->broken)
	{
		if (!tls->up)
			let_alert_through(conn, to, size);
		errno = EPROTO;
		return -1;
	}
	if (!tls->up && (n = handshake(tls, to, size)) <= 0)
		return n;
	while (filled < size && (n = SSL_read(tls->ssl, to + filled, (int) (size - filled))) > 0)
		filled += (size_t) n;
	if (n <= 0)
		n = no_bytes(tls, n);
	tls->more = n >= 0 || errno != EAGAIN;
	if (filled == 0)
		return n;
	if (tls->more)
		net_conn_wake(conn);
	return (ssize_t) filled;
}

bool
net_tls_has_more(const NetConn *conn)
{
	return conn->_tls->more;
}

/* The pieces as one record, if they are small. */
static void
write_pieces(NetTls *tls, const struct iovec *iov, int iov_count, size_t total)
{
	uint8_t record[RECORD_MAX];
	size_t len = 0;

	if (iov_count == 1 || total > sizeof(record))
	{
		for (int i = 0; i < iov_count; i++)
			write_plain(tls, iov[i].iov_base, iov[i].iov_len);
		return;
	}
	for (int i = 0; i < iov_count; i++)
	{
		if (iov[i].iov_len > 0)
			memcpy(record + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
	}
	write_plain(tls, record, len);
}

bool
net_tls_write(NetConn *conn, const struct iovec *iov, int iov_count, size_t total)
{
	NetTls *tls = conn->_tls;

	ERR_clear_error();
	if (tls->up)
		write_pieces(tls, iov, iov_count, total);
	else
		for (int i = 0; i < iov_count; i++)
			if (!buf_append(&tls->plain, iov[i].iov_base, iov[i].iov_len))
				return false;
	return !tls->broken;
}

/* --- ending --- */

void
net_tls_say_goodbye(NetConn *conn)
{
	NetTls *tls = conn->_tls;

	if (!tls->up || tls->broken)
		return;
	ERR_clear_error();
	SSL_shutdown(tls->ssl);
	ERR_clear_error();
}

void
net_tls_free(NetTls *tls)
{
	if (tls == NULL)
		return;
	tls->conn = NULL;
	if (tls->away)
	{
		net_job_abandon(&tls->job);
		return;
	}
	SSL_free(tls->ssl);
	if (buf_len(&tls->plain) > 0)
		explicit_bzero(buf_ptr(&tls->plain), buf_len(&tls->plain));
	buf_free(&tls->plain);
	buf_free(&tls->early);
	buf_free(&tls->written);
	free(tls);
}

/* --- what is known about it --- */

const char *
net_tls_error(const NetConn *conn)
{
	/* (while a step is away it is the other thread's) */
	return conn->_tls != NULL && !conn->_tls->away ? conn->_tls->error : "";
}

const char *
net_tls_describe(const NetConn *conn, char *buf, size_t size)
{
	const NetTls *tls = conn->_tls;
	int group;

	buf[0] = '\0';
	if (tls == NULL || !tls->up)
		return buf;
	group = (int) SSL_get_negotiated_group(tls->ssl);
	snprintf(buf, size, "%s/%s/ECDH=%s", SSL_get_version(tls->ssl), SSL_get_cipher_name(tls->ssl),
			 group != NID_undef && OBJ_nid2sn(group) != NULL ? OBJ_nid2sn(group) : "-");
	return buf;
}

bool
net_tls_peer_name(const NetConn *conn, char *buf, size_t size)
{
	const NetTls *tls = conn->_tls;
	X509 *certificate = tls != NULL && tls->up ? SSL_get0_peer_certificate(tls->ssl) : NULL;
	X509_NAME *name;
	int at;
	unsigned char *text = NULL;
	int len;
	bool ok;

	if (certificate == NULL || SSL_get_verify_result(tls->ssl) != X509_V_OK ||
		(SSL_get_verify_mode(tls->ssl) & SSL_VERIFY_PEER) == 0)
		return false;
	name = X509_get_subject_name(certificate);
	at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
	/* two names would leave it to chance which of them counts */
	if (at < 0 || X509_NAME_get_index_by_NID(name, NID_commonName, at) >= 0)
		return false;
	len = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
	/* a zero byte inside is an old trick to seem somebody else */
	ok = len > 0 && (size_t) len < size && memchr(text, '\0', (size_t) len) == NULL;
	if (ok)
	{
		memcpy(buf, text, (size_t) len);
		buf[len] = '\0';
	}
	OPENSSL_free(text);
	return ok;
}

size_t
net_tls_binding(const NetConn *conn, uint8_t out[NET_TLS_BINDING_MAX])
{
	const NetTls *tls = conn->_tls;
	X509 *certificate;
	const EVP_MD *hash;
	int digest = NID_undef;
	unsigned len = 0;

	if (tls == NULL || !tls->up)
		return 0;
	certificate = SSL_is_server(tls->ssl) ? SSL_get_certificate(tls->ssl) : SSL_get0_peer_certificate(tls->ssl);
	if (certificate == NULL || X509_get_signature_info(certificate, &digest, NULL, NULL, NULL) != 1)
		return 0;
	/* RFC 5929: the hash of the signature, but SHA-256 in place of the weak ones */
	hash = digest == NID_md5 || digest == NID_sha1 ? EVP_sha256() : EVP_get_digestbynid(digest);
	if (hash == NULL || EVP_MD_get_size(hash) > NET_TLS_BINDING_MAX || X509_digest(certificate, hash, out, &len) != 1)
		return 0;
	return len;
}
