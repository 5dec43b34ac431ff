/*
 * deltas.h: the counts that a backend has not merged into the statement table yet.
 *
 * Each backend owns a small set of deltas, one a statement class, in shared memory, so that counting an execution takes no lock and
 * touches no line that another backend writes.  An entry is merged when its place is needed for another class, all of them every
 * pgweir.flush_interval while the backend is busy, and when it exits.  What an idle backend, or one in a long statement, keeps longer the
 * sampler merges for it.  Readers add the rest up.
 *
 * Locking: pgweir_delta_add() takes none and cannot fail, so it is fit for a catch block; the functions that may merge
 * (open, flush) take partition locks of the table.  On the way of a statement, which waits for nobody, a merge that would have to wait is left
 * for later.  A pinned entry stays where it is.
 */
#ifndef PGWEIR_STORES_DELTAS_H
#define PGWEIR_STORES_DELTAS_H

#include "stores/statements_table.h"

extern Size pgweir_deltas_size(void);
extern void pgweir_deltas_attach(void *memory, LWLockPadded *locks, bool fresh);

/* Makes this process an owner on its first call.  False in processes that cannot be: no statements are counted. */
extern bool pgweir_deltas_own(void);

/* The entry of a class, if there is one.  Takes no lock. -1 if not. */
extern int	pgweir_delta_find(const PgweirKey *key);

/* The entry of a class, claimed if necessary.  -1 when every entry is pinned: count that with pgweir_delta_drop(). */
extern int	pgweir_delta_open(const PgweirKey *key);

/* Whether the class is known to be in the table with its text; no lock.  Whether it turns out to be, with one; and it is put there. */
extern bool pgweir_delta_text_known(int entry);
extern bool pgweir_delta_look_up(int entry);
extern void pgweir_delta_put_text(int entry, const char *text, int len);

/* Whether its tables are known to be there; and they are put there. */
extern bool pgweir_delta_relations_known(int entry);
extern void pgweir_delta_put_relations(int entry, const Oid *relations, int n);

extern const PgweirKey *pgweir_delta_key(int entry);

/* The plan that the class is executed by; 0: not known.  Executions are put down to it at the next change or merge. */
extern int64 pgweir_delta_plan(int entry);
extern void pgweir_delta_set_plan(int entry, int64 plan_id);

/* Whether the plan store has seen that plan. */
extern bool pgweir_delta_plan_shown(int entry);
extern void pgweir_delta_set_plan_shown(int entry);

/* Puts off to show it; false on the first time. */
extern bool pgweir_delta_put_off_plan(int entry);

/* The class's 99th percentile as it was at the last merge; 0 while it has too few executions. */
extern uint64 pgweir_delta_usual_ns(int entry);

/* The next execution is to count the rows of each node; take asks, and withdraws it. */
extern void pgweir_delta_set_instrument(int entry);
extern bool pgweir_delta_take_instrument(int entry);
extern bool pgweir_deltas_any_instrument(void);

extern void pgweir_delta_pin(int entry);
extern void pgweir_delta_unpin(int entry);

/* Adds one execution, that took ns, to an entry. */
extern void pgweir_delta_add(int entry, const PgweirUsage *usage, uint64 ns, TimestampTz seen);

/* Adds one planning that took ns. */
extern void pgweir_delta_add_plan(int entry, uint64 ns, TimestampTz seen);

/* An execution could not be counted. */
extern void pgweir_delta_drop(void);
extern uint64 pgweir_deltas_dropped(void);

/* Classes of which a backend has counts that are not merged yet, added up over backends. */
extern uint64 pgweir_deltas_unmerged(void);

/* Merges all of this backend's entries; returns how many had something to merge. */
extern int	pgweir_deltas_flush(void);

/* The same if the last flush is more than pgweir.flush_interval before now_ns, a reading of pgweir_clock_ns(). */
extern void pgweir_deltas_flush_if_due(uint64 now_ns);

/* How often the sampler has to call the next function. */
#define PGWEIR_OVERDUE_LOOK_NS UINT64CONST(100000000)

/* For the sampler, which is alone in calling it: merges what a backend will have kept for pgweir.flush_interval at the next look. */
extern void pgweir_deltas_merge_overdue(uint64 now_ns);

/* Merges what dead backends have left, when nobody else is there any more. */
extern void pgweir_deltas_merge_left(void);

/* How often a backend's counts were moved, by itself and by the sampler; odd while they are. */
typedef struct PgweirDeltaStamp
{
	uint32		flushes;
	uint32		taken;
} PgweirDeltaStamp;

/*
 * Calls visit with a copy of every delta of every backend.  stamps, an array of pgweir_max_backends(), is filled: as long as
 * pgweir_deltas_unmoved(stamps), what was visited is not in the table.
 */
typedef void (*PgweirDeltaVisitor) (const PgweirKey *key, const PgweirTally *tally, void *arg);
extern void pgweir_deltas_visit(PgweirDeltaVisitor visit, void *arg, PgweirDeltaStamp *stamps);
extern bool pgweir_deltas_unmoved(const PgweirDeltaStamp *stamps);

#endif
