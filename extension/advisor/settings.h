/*
 * settings.h: the advisor's settings.  Their meaning stands in the table in settings.c; here are only the variables.
 */
#ifndef PGWEIR_ADVISOR_SETTINGS_H
#define PGWEIR_ADVISOR_SETTINGS_H

extern int	pgweir_advisor_max_indexes;
extern int	pgweir_advisor_budget_mb;		/* -1: a share of the database */
extern int	pgweir_advisor_time_limit_ms;	/* 0: none */
extern int	pgweir_advisor_max_statements;
extern int	pgweir_advisor_min_table_pages;
extern double pgweir_advisor_min_gain;		/* per cent */
extern int	pgweir_advisor_lock_timeout_ms;
extern int	pgweir_advisor_extra_search_ms;
extern int	pgweir_advisor_interval_s;		/* 0: no runs in the background */
extern int	pgweir_advisor_max_memory_kb;
extern int	pgweir_advisor_min_brin_pages;
extern int	pgweir_advisor_max_age_s;
extern double pgweir_advisor_min_saving_ms;
extern int	pgweir_advisor_min_saved_per_hour_ms;
extern int	pgweir_advisor_unused_days;
extern bool pgweir_advisor_hypopg_compatible;

/* Defines the settings and hooks the planner; called once, from _PG_init. */
extern void pgweir_advisor_init(void);

#endif
