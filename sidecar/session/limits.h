/*
 * limits.h: the rules of [limits] at work: which rule a request is under, and the rule's places (PoolCap).
 */
#ifndef PGWEIR_SESSION_LIMITS_H
#define PGWEIR_SESSION_LIMITS_H

#include "session/session.h"

struct Limit
{
	ListNode node;		   /* Hall.limits */
	char *name;			   /* owned */
	const LimitSpec *spec; /* borrowed from the current Settings; NULL once removed: it limits nobody, and ends with the hall */
	PoolCap cap;
};

/* Take the rules of the settings over; requests that have a place keep it.  Parked. */
extern void limits_apply(Hall *hall);
extern void limits_free(Hall *hall);
/* The first rule that fits a request beginning with this statement (which may be empty), or NULL. */
extern Limit *limits_find(const Client *client, Slice sql, uint64_t fingerprint);
/* Does a rule ask for the class of statements? */
extern bool limits_by_class(const Settings *settings);

#endif
