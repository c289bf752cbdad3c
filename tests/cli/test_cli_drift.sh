#!/bin/sh
# Drift and repair from the command line, on a SQLite file.
. "$(dirname "$0")/support.sh"

export TEARS_L3_URL="sqlite:$folder/tears.db"
cd "$folder"

prepare()
{
    mkdir -p migrations/shop
    echo '{"name": "shop", "scope": "platform", "depends_on": []}' > migrations/shop/package.json
    echo 'CREATE TABLE items (id INTEGER PRIMARY KEY, title TEXT NOT NULL);' > migrations/shop/0001_items.up.sql
    echo 'CREATE INDEX items_title ON items (title);' > migrations/shop/0002_index.up.sql
    run migrate up --to 1
    expect 0
}

no_drift_is_0()
{
    run migrate drift
    expect 0
    expect_out 'schema matches expectations; no drift.'
    run migrate drift --json
    expect 0 '"clean": true'
    run migrate drift words
    expect 2 'usage: tears migrate drift'
    run migrate repair
    expect 0 'repaired by 0 statements; no drift.'
}

pending_versions_count_when_asked()
{
    run migrate drift --pending
    expect 1 'items: index items_title'
    run migrate drift --pending --sql
    expect 1 '^CREATE INDEX items_title ON items (title);'
}

drift_is_1_and_repair_asks()
{
    "$run_sql" "$TEARS_L3_URL" "ALTER TABLE items ADD COLUMN spare TEXT" "CREATE TABLE more (id INTEGER)"
    run migrate drift
    expect 1 '  - items.spare (TEXT)'
    run migrate drift --json
    expect 1 '"extra_tables": \["more"\]'
    expect 1 '"extra_columns": \[{"table": "items", "column": "spare", "data_type": "TEXT"}\]'
    run migrate repair --destructive
    expect 2 'statements would be run; say --yes'
    run migrate repair
    expect 1 'differences that stay: 2'
    run migrate repair --destructive --yes --json
    expect 0 '"repaired":true'
    run migrate drift
    expect 0
}

a_version_that_cannot_be_made_is_named()
{
    echo 'CREATE TABLE other (id INTEGER); SELECT nonsense;' > migrations/shop/0003_other.up.sql
    run migrate drift --pending
    expect 4 "package 'shop', version 3, made in an empty schema: statement 2"
}

prepare
no_drift_is_0
pending_versions_count_when_asked
drift_is_1_and_repair_asks
a_version_that_cannot_be_made_is_named
