/*
 * plan.h: what one wake-up writes to one peer: runs of the read buffer and a few inserted bytes, sent by one writev.
 *
 * Runs that touch are merged.  Inserted bytes are copied to the plan's own small store, and so are short runs behind them: a list of small
 * pieces costs more than to have them in one.  It is flushed early when the store is full.
 */
#ifndef PGWEIR_SESSION_PLAN_H
#define PGWEIR_SESSION_PLAN_H

#include "net/net.h"

#define PLAN_IOV 64
#define PLAN_STORE 4096
#define PLAN_COPY 256 /* up to so much is short */

typedef struct Plan
{
	NetConn *to;	/* NULL: bytes are dropped */
	int count;
	size_t stored;
	struct iovec iov[PLAN_IOV];
	uint8_t store[PLAN_STORE];
} Plan;

static inline void
plan_init(Plan *plan, NetConn *to)
{
	plan->to = to;
	plan->count = 0;
	plan->stored = 0;
}

static inline void
plan_flush(Plan *plan)
{
	if (plan->count > 0 && plan->to != NULL && net_is_open(plan->to))
		net_send(plan->to, plan->iov, plan->count);
	plan->count = 0;
	plan->stored = 0;
}

/* Bytes that stay where they are until the flush. */
static inline void
plan_add(Plan *plan, const uint8_t *bytes, size_t len)
{
	if (len == 0)
		return;
	if (plan->count > 0)
	{
		struct iovec *last = &plan->iov[plan->count - 1];
		const uint8_t *end = (const uint8_t *) last->iov_base + last->iov_len;

		if (end == bytes)
		{
			last->iov_len += len;
			return;
		}
		if (len <= PLAN_COPY && plan->stored + len <= PLAN_STORE && end == plan->store + plan->stored)
		{
			memcpy(plan->store + plan->stored, bytes, len);
			plan->stored += len;
			last->iov_len += len;
			return;
		}
	}
	if (plan->count == PLAN_IOV)
		plan_flush(plan);
	plan->iov[plan->count++] = (struct iovec){(void *) bytes, len};
}

/* Bytes that are gone after the call. */
static inline void
plan_insert(Plan *plan, const void *bytes, size_t len)
{
	if (len > PLAN_STORE)
	{
		plan_add(plan, bytes, len);
		plan_flush(plan);
		return;
	}
	/* plan_add must not flush: that would free the store under these bytes */
	if (plan->stored + len > PLAN_STORE || plan->count == PLAN_IOV)
		plan_flush(plan);
	memcpy(plan->store + plan->stored, bytes, len);
	plan_add(plan, plan->store + plan->stored, len);
	plan->stored += len;
}

#endif
