/*
 * derive.c: derivations as jobs, and who waits for them.
 */
#include "session/derive.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

struct Derivation
{
	NetJob job;
	/* the job's */
	uint8_t *password; /* owned, wiped */
	size_t password_len;
	ScramKeys keys; /* wiped */
	ScramStatus status;
	/* the loop's */
	List waiters;
	bool awaited; /* the job is under way */
	List *shared; /* where others find it, or NULL */
	ListNode node; /* in that list, until it is over */
};

static void
run(NetJob *job)
{
	Derivation *d = CONTAINER_OF(job, Derivation, job);

	d->status = scram_keys_derive(slice_make(d->password, d->password_len), &d->keys, net_job_give_way);
}

static void
discard(NetJob *job)
{
	Derivation *d = CONTAINER_OF(job, Derivation, job);

	OPENSSL_cleanse(d->password, d->password_len);
	free(d->password);
	scram_keys_wipe(&d->keys);
	free(d);
}

static void
leave(Derivation *d)
{
	if (d->shared != NULL)
		list_remove(d->shared, &d->node);
	d->shared = NULL;
}

/* Nobody can join any more, before the first waiter hears: it may well ask for the next derivation. */
static void
done(NetJob *job)
{
	Derivation *d = CONTAINER_OF(job, Derivation, job);
	ListNode *node;

	leave(d);
	d->awaited = false;
	while ((node = list_pop(&d->waiters)) != NULL)
	{
		DeriveWaiter *waiter = CONTAINER_OF(node, DeriveWaiter, _node);

		waiter->_of = NULL;
		waiter->ready(waiter, d->status, &d->keys);
	}
	discard(job);
}

static bool
is_same(const Derivation *d, Slice password, const ScramKeys *wanted)
{
	return d->keys.iterations == wanted->iterations && d->keys.salt_len == wanted->salt_len &&
		   memcmp(d->keys.salt, wanted->salt, wanted->salt_len) == 0 && d->password_len == password.len &&
		   CRYPTO_memcmp(d->password, password.ptr, password.len) == 0;
}

static Derivation *
create(Slice password, const ScramKeys *wanted)
{
	Derivation *d = calloc(1, sizeof(*d));

	if (d == NULL || (d->password = malloc(password.len + 1)) == NULL)
	{
		free(d);
		return NULL;
	}
	if (password.len > 0)
		memcpy(d->password, password.ptr, password.len);
	d->password_len = password.len;
	d->keys.iterations = wanted->iterations;
	d->keys.salt_len = wanted->salt_len;
	memcpy(d->keys.salt, wanted->salt, sizeof(d->keys.salt));
	list_init(&d->waiters);
	d->job = (NetJob){.run = run, .done = done, .discard = discard};
	return d;
}

static Derivation *
find(const List *shared, Slice password, const ScramKeys *wanted)
{
	if (shared != NULL)
		list_each(node, shared)
		{
			Derivation *d = CONTAINER_OF(node, Derivation, node);

			if (is_same(d, password, wanted))
				return d;
		}
	return NULL;
}

bool
derive_start(NetJobPort *port, List *shared, Slice password, const ScramKeys *wanted, DeriveWaiter *waiter)
{
	Derivation *d = find(shared, password, wanted);
	bool join = d != NULL;

	if (!join && (d = create(password, wanted)) == NULL)
		return false;
	if (!join && shared != NULL)
		list_append(d->shared = shared, &d->node);
	list_append(&d->waiters, &waiter->_node);
	waiter->_of = d;
	if (!join)
	{
		d->awaited = true;
		net_job_start(port, NET_JOB_COMPUTES, &d->job);
	}
	return true;
}

void
derive_cancel(DeriveWaiter *waiter)
{
	Derivation *d = waiter->_of;

	if (d == NULL)
		return;
	waiter->_of = NULL;
	list_remove(&d->waiters, &waiter->_node);
	if (!list_empty(&d->waiters) || !d->awaited)
		return; /* others wait, or done() is calling them */
	leave(d);
	net_job_abandon(&d->job);
}
