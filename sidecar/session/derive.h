/*
 * derive.h: SCRAM keys from passwords, off the event loop.
 *
 * A derivation takes milliseconds, and a storm of logins wants thousands.  Who needs one asks here and is called back; those who
 * ask for the same at the same time share one.
 */
#ifndef PGWEIR_SESSION_DERIVE_H
#define PGWEIR_SESSION_DERIVE_H

#include "base/list.h"
#include "net/jobs.h"
#include "wire/auth_scram.h"

typedef struct Derivation Derivation;
typedef struct DeriveWaiter DeriveWaiter;

/* Embedded in who waits; zeroed but for `ready`. */
struct DeriveWaiter
{
	/* The keys are borrowed and gone when this returns; they count only with SCRAM_OK. */
	void (*ready)(DeriveWaiter *waiter, ScramStatus status, const ScramKeys *keys);
	Derivation *_of;
	ListNode _node;
};

/*
 * Derive what `wanted` says (salt and iterations) from a password.  ready() follows, never from inside this call.  `shared` is the
 * port's list of derivations under way: one of the same is joined.  NULL: neither join nor be joined.  false: out of memory.
 */
extern bool derive_start(NetJobPort *port, List *shared, Slice password, const ScramKeys *wanted,
						 DeriveWaiter *waiter) MUST_CHECK;
/* The waiter waits no more; harmless when it does not. */
extern void derive_cancel(DeriveWaiter *waiter);
static inline bool
derive_waits(const DeriveWaiter *waiter)
{
	return waiter->_of != NULL;
}

#endif
