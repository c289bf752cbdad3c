/*
 * migrate.h -- what the files of `tears migrate` share.
 */
#ifndef CLI_MIGRATE_H
#define CLI_MIGRATE_H

#include "command.h"
#include "output.h"

#include <tears/migrate.h>

#define CLI_MIGRATE_DIR_DEFAULT "migrations"

/* All zero is closed. */
struct cli_migrate {
    const struct cli_args *args;
    tears_client *client;
    tears_migrator *migrator;
};

/* The directory of the packages: --dir, else "migrations". */
const char *cli_migrate_dir(const struct cli_args *args);

/* --scope as TEARS_SCOPE_*; platform when it was not given. */
int cli_migrate_scope(const struct cli_args *args, uint64_t *scope_out);

/* Opens client and migrator by the options; with the packages of the directory when `with_packages`.  `migrate` stays where it
 * is: progress is told through it.  cli_migrate_close ends it, also after a failure. */
int cli_migrate_open(struct cli_migrate *migrate, bool with_packages);
void cli_migrate_close(struct cli_migrate *migrate);

/* Reports the migrator's last error, with the statement that failed. */
int cli_migrate_fail(const struct cli_migrate *migrate, tears_status status);

/* --to, --package and --steps as a request; `targets` has room for one for each option given. */
struct cli_migrate_request {
    struct tears_migrate_request request;
    struct tears_package_version *targets;
};
int cli_migrate_request(const struct cli_args *args, struct cli_migrate_request *request_out);
void cli_migrate_request_done(struct cli_migrate_request *request);

/* CLI_EXIT_OK when --yes was given or a person at the terminal says yes to `what`. */
int cli_migrate_confirm(const struct cli_args *args, const char *what);

/* "2026-06-03T12:00:00Z"; nothing for 0. */
void cli_migrate_put_time(int64_t us, struct cli_text *out);

/* The actions (migrate_show.c, migrate_change.c, migrate_new.c). */
int cli_migrate_status(struct cli_migrate *migrate);
int cli_migrate_history(struct cli_migrate *migrate);
int cli_migrate_preview(struct cli_migrate *migrate);
int cli_migrate_up(struct cli_migrate *migrate);
int cli_migrate_down(struct cli_migrate *migrate);
int cli_migrate_stamp(struct cli_migrate *migrate);
int cli_migrate_unstamp(struct cli_migrate *migrate);
int cli_migrate_accept(struct cli_migrate *migrate);
int cli_migrate_new(const struct cli_args *args);

/* What tells how far the work is. */
void cli_migrate_on_progress(void *owner, const struct tears_migrate_event *event);

#endif
