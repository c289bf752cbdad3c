/*
 * migrate_lint.h -- `tears migrate lint`, for the command that it is a part of.
 */
#ifndef CLI_MIGRATE_LINT_H
#define CLI_MIGRATE_LINT_H

#include "command.h"

/* The words behind `lint` are files and folders; none: "migrations". */
int cli_migrate_lint(const struct cli_args *args);

/* Its options, for the table of the command. */
#define CLI_MIGRATE_LINT_OPTIONS                                                             \
    {"for", "DATABASE",                                                                      \
     "lint: rules for yugabyte (all of them, the default), postgresql, sqlite"},             \
        {"exempt", "FILE", "lint: lines `path:RULE # rationale: reason` of what may stand"}, \
        {"strict", NULL, "lint: findings of low severity fail as well"},                     \
        {"report", NULL, "lint: findings do not fail (MIGRATION_ENFORCEMENT_MODE=report)"},  \
    {                                                                                        \
        "rules", NULL, "lint: print the rules"                                               \
    }

#endif
