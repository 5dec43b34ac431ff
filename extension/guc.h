/*
 * guc.h: the extension's settings.  Their meaning stands in the table in guc.c; here are only the variables.
 */
#ifndef PGWEIR_GUC_H
#define PGWEIR_GUC_H

typedef enum PgweirTrack
{
	PGWEIR_TRACK_NONE,
	PGWEIR_TRACK_TOP,			/* statements sent by clients */
	PGWEIR_TRACK_ALL			/* those inside functions, too */
} PgweirTrack;

extern int	pgweir_track;
extern bool pgweir_track_utility;
extern bool pgweir_track_planning;
extern int	pgweir_max_statements;
extern int	pgweir_query_size;
extern int	pgweir_flush_interval_ms;
extern int	pgweir_max_reporters;
extern int	pgweir_max_pools;
extern int	pgweir_history_pools;
extern int	pgweir_report_expiry_s;
extern int	pgweir_sample_interval_ms;

extern int	pgweir_max_callers;
extern int	pgweir_history_memory_kb;
extern bool pgweir_save_statistics;
extern int	pgweir_sample_memory_kb;
extern int	pgweir_max_plans;
extern int	pgweir_plan_size;
extern int	pgweir_slow_threshold_ms;
extern double pgweir_slow_factor;
extern double pgweir_sample_rate;
extern bool pgweir_sample_parameters;

/* The keys of pgweir.tags. */
#define PGWEIR_MAX_TAGS 16
#define PGWEIR_TAG_LEN 32
typedef struct PgweirTags
{
	int			n;
	char		name[PGWEIR_MAX_TAGS][PGWEIR_TAG_LEN];
} PgweirTags;

extern const PgweirTags *pgweir_tags;

/* pgweir.deadline of this session in microseconds; 0 = none. */
extern int64 pgweir_deadline_us;

/*
 * A duration as in the sidecar's settings ("250ms", "1.5 s", "2min"; a plain number is seconds; "" is none) in
 * microseconds.  False, with *us untouched, when text[0..len) is no duration.
 */
extern bool pgweir_parse_duration(const char *text, int len, int64 *us);

/*
 * The deadline that a comment of a statement asks for: pgweir_deadline='250ms' inside a comment, alone or among other
 * tags.  False, with *us untouched, if there is none.  Allocates nothing.
 */
extern bool pgweir_comment_deadline(const char *text, int len, int64 *us);

/* Defines the settings; those that size shared memory only when called from shared_preload_libraries. */
extern void pgweir_guc_init(void);

#endif
