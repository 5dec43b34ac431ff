/*
 * settings.h: the tables of keys.  One row a key: everything else (parsing, defaults, SHOW CONFIG, SET,
 * --check, the list in the man page) is driven by these.
 */
#ifndef PGWEIR_CONFIG_SETTINGS_H
#define PGWEIR_CONFIG_SETTINGS_H

#include "config/value.h"

/* Each table ends with a row whose name is NULL. */

/* Keys of [pgbouncer] and [pgweir], in the order of SHOW CONFIG: PgBouncer's first, ours behind them. */
extern const ConfigRow *config_table(void);
/* Keys of an entry of [databases]; offsets are into DatabaseSpec. */
extern const ConfigRow *config_database_table(void);
/* Keys of an entry of [users]; offsets are into UserSpec. */
extern const ConfigRow *config_user_table(void);
/* Keys of an entry of [peers]; offsets are into PeerSpec. */
extern const ConfigRow *config_peer_table(void);
/* Keys of an entry of [limits]; offsets are into LimitSpec. */
extern const ConfigRow *config_limit_table(void);

#endif
