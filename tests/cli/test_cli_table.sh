#!/bin/sh
# Tables from JSON definitions, on the command line: on SQLite always, on PostgreSQL when the tests have a server.
. "$(dirname "$0")/support.sh"

owner=0190b5c8-7a5e-7b2d-8c3d-0123456789ab

definition()
{
    cat << EOF
{"name": "cli_defined", "version_column": "rev", "columns": [
 {"name": "id", "column_type": "bigint"},
 {"name": "title", "column_type": "text", "nullable": false, "default": "'new'"},
 {"name": "stars", "column_type": "$1"},
 {"name": "rev", "column_type": "bigint", "nullable": false}],
 "indexes": [{"name": "cli_defined_ix", "columns": ["stars"], "unique": true, "where": "stars > 3"}]}
EOF
}

what_is_wrong_is_said()
{
    run table
    expect 2
    run table make notes
    expect 2 "'make' is none of create, drop, describe, list"
    run table create
    expect 2 'a file with a definition'
    run table create "$folder/nowhere.json"
    expect 6 'cannot be opened'
    echo '{"name": "x"' > "$folder/broken.json"
    run table create "$folder/broken.json"
    expect 4 'line'
    run table list --owner nobody
    expect 2 'needs a UUID'
    run table describe nowhere
    expect 2 'nowhere'
}

a_table_is_made_described_and_dropped()
{
    run table create "$folder/first.json" "$@"
    expect 0 "table 'cli_defined' was made"
    run table create "$folder/first.json" "$@"
    expect 0 "is there, as declared"
    run table create "$folder/first.json" --must-create "$@"
    expect 1 'is there already'
    run table create "$folder/first.json" --check --json "$@"
    expect_out '{"table":"cli_defined","created":false,"differences":[]}'
    run table create "$folder/second.json" "$@"
    expect 1 '^column	stars	type'
    run table create "$folder/second.json" --json "$@"
    expect 1 '"part":"column","name":"stars","aspect":"type"'
    run table list "$@"
    expect 0 '^cli_defined$'
    run table describe cli_defined "$@"
    expect 0 '"name": "cli_defined_ix"'
    cp "$out" "$folder/described.json"
    run table create "$folder/described.json" --check "$@"
    expect 0 'as declared'
    run table drop cli_defined "$@"
    expect 2 'say --yes'
    run table drop cli_defined --yes --json "$@"
    expect_out '{"table":"cli_defined","dropped":true}'
    run table drop cli_defined --yes "$@"
    expect 2 'cli_defined'
    run table drop cli_defined --yes --if-exists "$@"
    expect 0 'there is no table'
    run table create "$folder/described.json" "$@"
    expect 0 'was made'
    run table describe cli_defined "$@"
    cmp -s "$out" "$folder/described.json" || fail "the table made of its description is described otherwise"
    run table describe cli_defined --json "$@"
    same "$(fields name)" cli_defined
}

an_owner_has_its_own()
{
    run table list --owner "$owner"
    expect 2 'agent_0190b5c87a5e7b2d8c3d0123456789ab'
    a_table_is_made_described_and_dropped --owner "$owner"
    run table drop cli_defined --yes
    expect 0
    run table list
    ! grep -q cli_defined "$out" || fail "the owner's table is among the client's own"
    run table list --owner "$owner"
    expect 0 '^cli_defined$'
    run table drop cli_defined --yes --owner "$owner"
    expect 0
}

partitions_are_exported_by_name()
{
    echo '{"name": "cli_parts", "primary_key": ["agent", "id"], "columns": [
     {"name": "agent", "column_type": "text", "partition": true},
     {"name": "id", "column_type": "bigint"}]}' | "$tears" table create - > /dev/null
    printf '{"agent":"a","id":1}\n{"agent":"b","id":1}\n{"agent":"c","id":1}\n' > "$folder/parts.jsonl"
    run import cli_parts "$folder/parts.jsonl"
    expect 0
    run export cli_parts
    expect 4 "a filter on 'agent', or partitions, is missing"
    run export cli_parts --partition a --partition c
    expect 0
    same "$(fields agent | tr '\n' ' ')" 'a c '
    run scan cli_parts
    expect 4 'is missing'
    run scan cli_parts --where agent=b --json
    same "$(fields agent)" b
}

definition integer > "$folder/first.json"
definition bigint > "$folder/second.json"
TEARS_L3_URL=sqlite:$folder/app.db
export TEARS_L3_URL
what_is_wrong_is_said
a_table_is_made_described_and_dropped
an_owner_has_its_own
partitions_are_exported_by_name

[ -n "${TEARS_TEST_PG_URL:-}" ] || exit 0
schema=cli_table_$$
"$run_sql" "$TEARS_TEST_PG_URL" "CREATE SCHEMA $schema"
TEARS_L3_URL="$TEARS_TEST_PG_URL?options=-csearch_path%3D$schema"
a_table_is_made_described_and_dropped
an_owner_has_its_own
"$run_sql" "$TEARS_TEST_PG_URL" "DROP SCHEMA $schema CASCADE"
"$run_sql" "$TEARS_TEST_PG_URL" "DROP SCHEMA agent_0190b5c87a5e7b2d8c3d0123456789ab CASCADE"
