#!/bin/sh
# The outbox from the command line: on PostgreSQL, when the tests have a server; elsewhere it is refused.
. "$(dirname "$0")/support.sh"

what_is_wrong_is_said()
{
    run outbox
    expect 2
    run outbox instal notes
    expect 2 "'instal' is none of install, remove, status"
    run outbox install
    expect 2 'on which tables'
    run outbox status notes
    expect 2 'takes no table'
}

an_embedded_database_has_none()
{
    run outbox status
    expect 4 'PostgreSQL can'
    run outbox install notes --json
    expect 4 '"UNSUPPORTED"'
}

it_is_installed_and_removed()
{
    run outbox status
    expect 0
    expect_out 'not installed'
    run outbox install cli_notes cli_plain --json
    expect 0 "'cli_plain' has no version column"
    expect_out '{"installed":["cli_notes","cli_plain"]}'
    run outbox install cli_notes
    expect 0
    expect_out 'installed: cli_notes'
    run outbox status --json
    expect_out '{"installed":true,"has_tailer":false,"waiting":0,"oldest_ms":0,"tables":["cli_notes","cli_plain"]}'
    "$run_sql" "$TEARS_L3_URL" "INSERT INTO cli_notes VALUES (1, 'a'), (2, 'b')"
    run outbox status
    expect 0 '^notes waiting	2, the oldest for '
    expect 0 '^worked on	no'
    expect 0 '^tables	cli_notes, cli_plain$'
    run outbox remove cli_plain --json
    expect_out '{"removed":["cli_plain"]}'
    run outbox status --json
    same "$(fields waiting)" 2
    run outbox remove
    expect 0 'the outbox, and its triggers on all tables'
    run outbox status --json
    expect_out '{"installed":false,"has_tailer":false,"waiting":0,"oldest_ms":0,"tables":[]}'
}

what_cannot_be_covered_is_refused()
{
    run outbox install cli_keyless
    expect 4 'no primary key'
    run outbox install cli_notes cli_nowhere
    expect 2 'cli_nowhere'
    run outbox remove cli_nowhere
    expect 2 'cli_nowhere'
    run outbox status
    expect_out 'not installed'
}

export TEARS_L3_URL="sqlite:$folder/outbox.db"
what_is_wrong_is_said
an_embedded_database_has_none
if [ -z "${TEARS_TEST_PG_URL:-}" ]; then
    echo 'without a server: not on PostgreSQL (./dev test starts one)'
    exit 0
fi
# A schema of its own: the outbox is one for all who find it along search_path.
schema=cli_outbox_$$
"$run_sql" "$TEARS_TEST_PG_URL" "CREATE SCHEMA $schema"
TEARS_L3_URL="$TEARS_TEST_PG_URL?options=-csearch_path%3D$schema"
"$run_sql" "$TEARS_L3_URL" 'CREATE TABLE cli_keyless (a TEXT)' \
    'CREATE TABLE cli_notes (id BIGINT PRIMARY KEY, body TEXT, row_version BIGINT NOT NULL DEFAULT 1)' \
    'CREATE TABLE cli_plain (id BIGINT PRIMARY KEY, body TEXT)'
it_is_installed_and_removed
what_cannot_be_covered_is_refused
"$run_sql" "$TEARS_TEST_PG_URL" "DROP SCHEMA $schema CASCADE"
