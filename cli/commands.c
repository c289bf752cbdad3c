/*
 * commands.c -- the list of commands; each is defined in the file of its name.
 */
#include "commands.h"

const struct cli_command *const cli_commands[] = {
    &cli_get,    &cli_set,          &cli_insert,   &cli_delete,        &cli_scan,   &cli_import,
    &cli_export, &cli_tables,       &cli_describe, &cli_table_command, &cli_doctor, &cli_explain,
    &cli_watch,  &cli_outbox,       &cli_pending,  &cli_dead,          &cli_lease,  &cli_migrate,
    &cli_token,  &cli_jwks,         &cli_seal,     &cli_open_sealed,   &cli_secret, &cli_bench,
    &cli_shell,  &cli_help_command, &cli_demo,     &cli_demo_worker,   NULL,
};

const struct cli_command *cli_command_find(const char *name)
{
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        if (strcmp(cli_commands[i]->name, name) == 0)
            return cli_commands[i];
    }
    return NULL;
}
