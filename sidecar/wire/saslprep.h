/*
 * saslprep.h: passwords as SCRAM hashes them (SASLprep, RFC 4013).
 */
#ifndef PGWEIR_WIRE_SASLPREP_H
#define PGWEIR_WIRE_SASLPREP_H

#include "base/buf.h"

/*
 * Prepare a password; false: hash it as it is.  That is what PostgreSQL does, too, when a password is not
 * valid UTF-8 or has characters that SASLprep prohibits, and it is right for every ASCII password, which
 * preparation leaves alone.
 *
 * Built with PGWEIR_HAVE_PG_SASLPREP this asks PostgreSQL's own libpgcommon (pg_saslprep), the only function
 * of wire/ that allocates, and only for a password beyond ASCII.  Built without, it is always false; then a
 * password whose prepared form differs (compatibility characters, decomposed accents, no-break spaces) does
 * not match the verifier a server made of it.
 */
extern bool wire_saslprep(Slice password, char *out, size_t out_size, size_t *out_len) MUST_CHECK;

#endif
