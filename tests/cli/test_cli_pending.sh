#!/bin/sh
# Deferred writes from the command line: pending, dead, deferred imports, and the shell's put and flush.
. "$(dirname "$0")/support.sh"

# start_shell: a process that owns the journal, and takes lines until it is killed.
start_shell()
{
    mkfifo "$folder/lines"
    : > "$folder/answers"
    "$tears" shell --deferred notes < "$folder/lines" > "$folder/answers" 2> "$folder/errors" &
    shell=$!
    exec 5> "$folder/lines"
}

# tell LINE...: gives it lines, and waits until it has answered them.
tell()
{
    wanted=$(($(wc -l < "$folder/answers") + $#))
    printf '%s\n' "$@" >&5
    waits=0
    until [ "$(wc -l < "$folder/answers")" -ge "$wanted" ]; do
        kill -0 "$shell" || fail "the shell ended: $(cat "$folder/errors")"
        waits=$((waits + 1))
        [ $waits -lt 600 ] || fail 'the shell does not answer'
        sleep 0.1
    done
}

kill_shell()
{
    kill -9 "$shell"
    wait "$shell" 2> /dev/null || :
    exec 5>&-
    rm "$folder/lines"
}

what_is_wrong_is_said()
{
    run pending
    expect 2
    run pending lst
    expect 2 "'lst' is none of list, show, flush, status"
    run dead bury 1
    expect 2 "'bury' is none of"
    run pending status
    expect 1 "$1"
    run pending status --journal "$folder/none" --json
    expect 1 '"NOT_FOUND"'
    run pending status extra
    expect 2 'usage: tears pending status'
    run import notes "$folder/rows.jsonl" --journal "$folder/j"
    expect 2 'goes with --deferred'
    run shell --journal "$folder/j"
    expect 2 'goes with --deferred'
}

# Row 3 breaks a check, and nobody waits for that.
an_import_leaves_a_dead_letter()
{
    for id in 1 2 3 4 5; do
        printf '{"id": %d, "body": "note %d", "n": %d}\n' $id $id $((id == 3 ? -3 : id))
    done > "$folder/rows.jsonl"
    run import notes "$folder/rows.jsonl" --deferred --json
    expect 4
    same "$(fields imported skipped written waiting parked dead)" '5 0 4 0 0 1'
    run get notes 5 --json
    expect 0 '"note 5"'
    run get notes 3
    expect 1
    run doctor --json
    expect 0 '"tier":"journal","severity":1,"subject":"dead letters","value":"1"'
    # The pipe and a second run: the same rows once more.
    run import notes "$folder/rows.jsonl" --deferred
    expect 4 'written 4 rows in .*, refused 1, still pending 0'
}

letters_are_dealt_with()
{
    run dead list --json
    expect 0
    same "$(wc -l < "$out" | tr -d ' ')" 2
    same "$(fields table key kind row.n marked dependants | sort -u)" 'notes 3 upsert -3 false 0'
    first=$(fields id | head -n 1)
    second=$(fields id | tail -n 1)
    run dead list --limit 1
    expect 0 "there are more: --after $first goes on"
    run dead list notes --after "$first" --json
    same "$(fields id)" "$second"
    run dead list nowhere
    expect_out ''
    run dead show "$first"
    expect 0 '^refused	.*notes.*3'
    expect 0 '^row	{"id": 3, "body": "note 3", "n": -3'
    run dead show 999999999
    expect 1 'no dead letter'
    run dead show three
    expect 2 "'three' is not the number of an entry"

    run dead edit "$first" '{"nn": 1}'
    expect 4 "no column 'nn'"
    run dead edit "$first" '{"n": "x"}'
    expect 4
    run dead edit 999999999 '{"n": 1}'
    expect 1
    run dead retry "$first"
    expect 4 'refused again, now letter'
    run dead list --json
    third=$(fields id | tail -n 1)
    run dead edit "$third" '{"n": 33}'
    expect 0
    run dead retry "$third" --json
    expect 0
    same "$(fields written waiting dead)" '1 0 0'
    run get notes 3 --json
    same "$(fields n)" 33

    run dead drop "$second"
    expect 2 'forgets it for good'
    run dead export --rows
    expect 2 'for one table'
    run dead export notes --rows
    expect 0
    same "$(fields id n)" '3 -3'
    run dead export
    same "$(fields id table key)" "$second notes 3"
    run dead drop "$second" --yes
    expect 0
    run dead retry "$second"
    expect 1 'no dead letter'
    run dead retry
    expect 2 'which ones'
    run dead retry --all
    expect 1
}

a_killed_process_loses_nothing()
{
    start_shell
    tell 'insert notes id=10 body=ten n=1' 'insert notes id=11 body=eleven n=1' 'get notes 10' \
        'put notes 10 body "ten and more"' 'put notes 10 n: 7' 'put notes 99 body nothing' 'get notes 10' \
        'put notes 3 body changed' 'delete notes 4' stats
    answers=$folder/answers
    same "$(sed -n 3p "$answers" | "$json_lines" ok tier row.body)" 'true pending ten'
    same "$(sed -n 6p "$answers" | "$json_lines" ok status)" 'false NOT_FOUND'
    same "$(sed -n 7p "$answers" | "$json_lines" tier row.body row.n)" 'pending ten and more 7'
    same "$(sed -n 10p "$answers" | "$json_lines" stats.pending_rows stats.flushed_rows)" '4 0'

    # It lives: others may look, and are told who flushes.
    run pending status --json
    expect 0
    same "$(fields pending dead owner_pid)" "4 0 $shell"
    run pending flush
    expect 1 "process $shell owns the journal"
    run pending list --json
    same "$(fields kind table key | sort)" "$(printf 'delete notes 4\ninsert notes 10\ninsert notes 11\nupdate notes 3')"
    id=$(grep '"key":"10"' "$out" | "$json_lines" id)
    run pending show "$id"
    expect 0 '^row	{"id": 10, "body": "ten and more", "n": 7'
    run get notes 10
    expect 1
    # A variable for the program that owns the journal is not one for every command.
    TEARS_JOURNAL=$("$tears" pending status --json | "$json_lines" journal)
    TEARS_FLUSH_TABLES=notes
    export TEARS_JOURNAL TEARS_FLUSH_TABLES
    run set notes 5 n=55
    expect 0
    unset TEARS_JOURNAL TEARS_FLUSH_TABLES

    kill_shell
    run pending status
    expect 0 '^owner	nobody$'
    expect 0 '^pending	4, '
    run doctor --json
    expect 0 '"subject":"pending","value":"4","advice":"nobody writes'
    run pending list notes --limit 2
    expect 0 'there are more'
    run pending flush notes --json
    expect 0
    same "$(fields written waiting parked dead)" '4 0 0 0'
    run pending show "$id"
    expect 1 'has landed, or never was'
    run get notes 10 --json
    same "$(fields body n)" 'ten and more 7'
    run get notes 3 --json
    same "$(fields body n)" 'changed 33'
    run get notes 4
    expect 1
    run pending flush
    expect 0 'written 0 rows, still pending 0'
    run pending flush nowhere
    expect 2 "no table 'nowhere'"
}

the_owner_tries_again()
{
    start_shell
    tell 'insert notes id=30 body=thirty n=-1' flush
    same "$(sed -n 2p "$folder/answers" | "$json_lines" flush.written flush.waiting flush.dead)" '0 0 1'
    run dead list --json
    id=$(fields id)
    run dead edit "$id" '{"n": 30}'
    expect 0
    run dead retry "$id"
    expect 0 "marked 1; process $shell, which owns the journal"
    waits=0
    until "$tears" get notes 30 > "$out" 2>&1; do
        waits=$((waits + 1))
        [ $waits -lt 200 ] || fail 'the owner does not try again'
        sleep 0.1
    done
    tell quit
    exec 5>&-
    wait "$shell" || fail "the shell ended with $?"
    rm "$folder/lines"
}

a_shell_flushes()
{
    printf '%s\n' 'insert notes id=20 body=b n=1' 'flush notes' 'get notes 20' 'flush nowhere' 'insert notes id=21 body=b n=1' \
        > "$folder/in"
    "$tears" shell --deferred notes < "$folder/in" > "$out" 2> "$err"
    same "$(sed -n 2p "$out" | "$json_lines" flush.written flush.waiting flush.dead)" '1 0 0'
    same "$(sed -n 4p "$out" | "$json_lines" ok status)" 'false NOT_FOUND'
    run get notes 21 --json # written when the shell ended
    expect 0
}

make_tables()
{
    "$run_sql" "$TEARS_L3_URL" \
        'CREATE TABLE notes (id BIGINT PRIMARY KEY, body TEXT NOT NULL, n BIGINT CHECK (n > 0), row_version BIGINT NOT NULL DEFAULT 1)'
}

all()
{
    make_tables
    what_is_wrong_is_said "$1"
    an_import_leaves_a_dead_letter
    letters_are_dealt_with
    a_killed_process_loses_nothing
    the_owner_tries_again
    a_shell_flushes
}

cd "$folder"
TEARS_L3_URL="sqlite:$folder/notes.db"
export TEARS_L3_URL
all "$folder/notes.db-pending"
if [ -z "${TEARS_TEST_PG_URL:-}" ]; then
    echo 'without a server: not on PostgreSQL (./dev test starts one)'
    exit 0
fi
# A schema of its own: the table `tears_journals` is there, too.
schema=cli_pending_$$
"$run_sql" "$TEARS_TEST_PG_URL" "CREATE SCHEMA $schema"
TEARS_L3_URL="$TEARS_TEST_PG_URL?options=-csearch_path%3D$schema"
all tears-pending.db
"$run_sql" "$TEARS_TEST_PG_URL" "DROP SCHEMA $schema CASCADE"
