#!/bin/sh
# Migrations from the command line, on a SQLite file.
. "$(dirname "$0")/support.sh"

export TEARS_L3_URL="sqlite:$folder/tears.db"
cd "$folder"

put()
{
    cat > "$1"
}

what_is_wrong_is_said()
{
    run migrate
    expect 2
    run migrate upp
    expect 2 "'upp' is none of new, status, up"
    run migrate status
    expect 2 'tears migrate new begins one'
    run migrate new
    expect 2 'what is it about'
    run migrate new --scope world users
    expect 2 'platform or agent'
}

new_files_are_numbered()
{
    run migrate new Create users --package users
    expect 0
    expect_out 'migrations/users/0001_create_users.up.sql
migrations/users/0001_create_users.down.sql'
    run migrate new "add e-mail" --package users --json
    expect_out '{"up":"migrations/users/0002_add_e_mail.up.sql","down":"migrations/users/0002_add_e_mail.down.sql"}'
    same "$(cat migrations/users/package.json)" '{"name": "users", "scope": "platform", "depends_on": []}'
    echo 'CREATE TABLE users (id INTEGER PRIMARY KEY);' | put migrations/users/0001_create_users.up.sql
    echo 'DROP TABLE users;' | put migrations/users/0001_create_users.down.sql
    echo 'ALTER TABLE users ADD COLUMN email TEXT;' | put migrations/users/0002_add_e_mail.up.sql
    echo 'ALTER TABLE users DROP COLUMN email;' | put migrations/users/0002_add_e_mail.down.sql
}

versions_are_shown_and_applied()
{
    run migrate status --check
    expect 1 '^users	1	create users	pending'
    run migrate preview
    expect 0
    expect_out '-- users 1
CREATE TABLE users (id INTEGER PRIMARY KEY);
-- users 2
ALTER TABLE users ADD COLUMN email TEXT;'
    run migrate up --to 1
    expect 0 '^applied users 1 (create users), '
    run migrate up --json
    expect 0 '{"applied":"users","version":2,'
    expect 0 '{"ok":true,"applied":1}'
    run migrate up
    expect_out 'nothing to do'
    run migrate status --check --json
    expect 0
    same "$(fields state)" 'applied
applied'
    run migrate history --json
    expect 0 '"tool":"libtears '
    same "$(fields sequence)" '1
2'
}

what_takes_data_away_asks()
{
    run migrate down
    expect 2 'how far'
    run migrate down --steps 1
    expect 2 'say --yes'
    run migrate down --steps 1 --yes
    expect 0 '^undone users 2'
    echo 'CREATE TABLE users_2 (a INTEGER); DROP TABLE users;' | put migrations/users/0003_swap.up.sql
    run migrate up
    expect 2 'users 3 takes data away: DROP TABLE users; say --yes'
    run migrate up --to 2
    expect 0
    run migrate up --yes
    expect 0
    run migrate down --steps 1 --yes
    expect 1 'no way down'
}

failures_are_exact()
{
    printf 'CREATE TABLE more (a INTEGER);\n\nINSERT INTO more\nVALUES (1, 2);\n' | put migrations/users/0004_more.up.sql
    run migrate up
    expect 4 '0004_more.up.sql, line 3, statement 2: '
    expect 4 'the statement: INSERT INTO more'
    expect 4 'nothing of this version is left'
    run migrate up --json
    expect 4 '"version":4,"statement":2,.*"line":3'
    run migrate status
    expect 0 '^users	4	more	failed	'
    printf 'CREATE TABLE more (a INTEGER);\n' | put migrations/users/0004_more.up.sql
    run migrate up
    expect 0
}

changed_files_stop_everything()
{
    printf 'CREATE TABLE more (b INTEGER);\n' | put migrations/users/0004_more.up.sql
    run migrate up
    expect 1 'its text is not the one that was applied'
    run migrate status --check
    expect 1 '	changed	'
    run migrate accept --yes
    expect 0 '1 accepted'
    run migrate status --check
    expect 0
}

stamps_are_entered()
{
    run migrate stamp users 5
    expect 1 'no version 5'
    run migrate stamp legacy 7
    expect 0
    run migrate stamp legacy 7
    expect 1 'already'
    run migrate status
    expect 0 '^legacy	7	stamped	unknown'
    run migrate unstamp legacy 7 --yes --json
    expect_out '{"ok":true}'
    run migrate unstamp legacy seven --yes
    expect 2
}

what_is_wrong_is_said
new_files_are_numbered
versions_are_shown_and_applied
what_takes_data_away_asks
failures_are_exact
changed_files_stop_everything
stamps_are_entered
