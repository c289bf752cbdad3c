/*
 * commands.h -- every command, by the file that defines it.
 */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "command.h"

extern const struct cli_command cli_get;           /* get.c */
extern const struct cli_command cli_set;           /* set.c */
extern const struct cli_command cli_insert;        /* insert.c */
extern const struct cli_command cli_delete;        /* delete.c */
extern const struct cli_command cli_scan;          /* scan.c */
extern const struct cli_command cli_import;        /* import.c */
extern const struct cli_command cli_export;        /* export.c */
extern const struct cli_command cli_tables;        /* tables.c */
extern const struct cli_command cli_describe;      /* tables.c */
extern const struct cli_command cli_table_command; /* table.c */
extern const struct cli_command cli_doctor;        /* doctor.c */
extern const struct cli_command cli_explain;       /* explain.c */
extern const struct cli_command cli_watch;         /* watch.c */
extern const struct cli_command cli_outbox;        /* outbox.c */
extern const struct cli_command cli_migrate;       /* migrate.c */
extern const struct cli_command cli_pending;       /* pending.c */
extern const struct cli_command cli_dead;          /* dead.c */
extern const struct cli_command cli_token;         /* token.c */
extern const struct cli_command cli_jwks;          /* jwks.c */
extern const struct cli_command cli_seal;          /* seal.c */
extern const struct cli_command cli_open_sealed;   /* seal.c */
extern const struct cli_command cli_secret;        /* secret.c */
extern const struct cli_command cli_lease;         /* lease.c */
extern const struct cli_command cli_bench;         /* bench.c */
extern const struct cli_command cli_shell;         /* shell.c */
extern const struct cli_command cli_help_command;  /* help.c */
extern const struct cli_command cli_demo;          /* demo.c */
extern const struct cli_command cli_demo_worker;   /* demo_worker.c */

#endif
