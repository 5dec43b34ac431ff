/*
 * seconds.c: what the sampler does once a second.
 */
#include "postgres.h"

#include "compat.h"
#include "sampler/sampler.h"
#include "stores/history.h"

/* In this order. */
static void (*const each_second[]) (TimestampTz now) =
{
	pgweir_history_each_second,
	pgweir_sample_pressure,
};

void
pgweir_each_second(TimestampTz now)
{
	for (int i = 0; i < (int) lengthof(each_second); i++)
		each_second[i] (now);
}
