/*
 * seconds.c: what the sampler does once a second.
 */
#include "postgres.h"

#include "compat.h"
#include "sampler/sampler.h"
#include "stores/shared.h"

/* In this order. */
static void (*const each_second[]) (TimestampTz now) =
{
	pgweir_sample_history,
};

void
pgweir_each_second(TimestampTz now)
{
	for (int i = 0; i < (int) lengthof(each_second); i++)
	{
		if (each_second[i] != NULL)
			each_second[i] (now);
	}
}
