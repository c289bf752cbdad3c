/*
 * migrate_drift.h -- `tears migrate drift` and `tears migrate repair`, for the command that they are a part of.
 */
#ifndef CLI_MIGRATE_DRIFT_H
#define CLI_MIGRATE_DRIFT_H

#include "migrate.h"

#include <tears/drift.h>

/* Actions, as those of migrate.h: the packages have been added. */
int cli_migrate_drift(struct cli_migrate *migrate);
int cli_migrate_repair(struct cli_migrate *migrate);

/* Their options, for the table of the command; --yes is the command's own. */
#define CLI_MIGRATE_DRIFT_OPTIONS                                                             \
    {"pending", NULL, "drift, repair: pending versions count as declared, too"},              \
        {"sql", NULL, "drift, repair: print the repair as a script, and run nothing"},        \
    {                                                                                         \
        "destructive", NULL, "drift, repair: the repair may drop what only this database has" \
    }

#endif
