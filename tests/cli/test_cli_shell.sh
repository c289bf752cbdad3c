#!/bin/sh
# The shell from a pipe: one command per line, exactly one JSON line each.
. "$(dirname "$0")/support.sh"

# shell [ARG...]: feeds standard input to the shell and checks that every line is answered by one object.
# shellcheck disable=SC2120  # some callers give options
shell()
{
    ran='tears shell' code=0
    cat > "$folder/in"
    "$tears" shell "$@" < "$folder/in" > "$out" 2> "$err" || code=$?
    expect 0
    same "$(wc -l < "$out" | tr -d ' ')" "$(grep -c '^[^#]' "$folder/in")"
    fields ok > /dev/null
}

# nth LINE MEMBER...: members of one answer.
nth()
{
    line=$1
    shift
    sed -n "${line}p" "$out" | "$json_lines" "$@" || fail "line $line is not one JSON object"
}

make_tables()
{
    "$run_sql" "$TEARS_L3_URL" 'DROP TABLE IF EXISTS notes' 'DROP TABLE IF EXISTS pairs' 'DROP TABLE IF EXISTS doubles' \
        'CREATE TABLE doubles (id BIGINT NOT NULL PRIMARY KEY, x DOUBLE PRECISION)' \
        "CREATE TABLE notes (id BIGINT NOT NULL PRIMARY KEY, body TEXT NOT NULL, extra $json, row_version BIGINT NOT NULL DEFAULT 1)" \
        'CREATE TABLE pairs (a TEXT NOT NULL, b TEXT NOT NULL, n BIGINT, PRIMARY KEY (a, b))'
}

every_verb_answers()
{
    shell << 'END'
insert notes id=1 body="first note" extra:='{"a": [1, 2]}'
get notes 1
get notes 1
evict notes 1
get notes 1

# a comment gets no answer, a blank line neither
field notes 1 extra
set notes 1 body='it\'s changed'
getmany notes 1 2
ensure notes 1 2
invalidate notes 1
get notes 1
stats
sleep 1
delete notes 1
get notes 1
quit
END
    same "$(nth 1 ok row.body version degraded)" 'true first note 1 []'
    same "$(nth 2 tier row.extra.a.1 version)" 'l1 2 1'
    same "$(nth 3 tier)" l1
    same "$(nth 4 ok tier)" 'true none'
    same "$(nth 5 row.id)" 1
    [ "$(nth 5 tier)" != l1 ] || fail 'an evicted row came from L1'
    same "$(nth 6 value)" '{"a":[1,2]}'
    same "$(nth 7 row.body version)" "it's changed 2"
    same "$(nth 8 rows.0.body rows.1)" "it's changed null"
    same "$(nth 9 found)" 1
    same "$(nth 11 tier row.body)" "l3 it's changed"
    same "$(nth 12 stats.l3_writes)" 2
    same "$(nth 14 ok)" true
    same "$(nth 15 ok status)" 'false NOT_FOUND'
    for member in us degraded tier; do
        [ "$(nth 2 $member)" != - ] || fail "no member $member"
    done
}

conflicts_show()
{
    shell << 'END'
insert notes id=5 body=one
get notes 5
END
    # Another process changes the row between the read and the write of this one.
    mkfifo "$folder/commands" "$folder/answers"
    "$tears" shell < "$folder/commands" > "$folder/answers" 2> "$err" &
    id=$!
    exec 3> "$folder/commands" 4< "$folder/answers"
    echo 'get notes 5' >&3
    read -r answer <&4
    run set notes 5 body=two
    expect 0
    echo 'set notes 5 body=three' >&3
    read -r answer <&4
    echo "$answer" > "$out"
    same "$(fields ok status row.body)" 'false CONFLICT two'
    echo 'set notes 5 body=three' >&3 # now based on the row that won
    read -r answer <&4
    echo "$answer" > "$out"
    same "$(fields ok row.body version)" 'true three 3'
    exec 3>&-
    wait $id || fail 'the shell did not end well'
    exec 4<&-
    rm "$folder/commands" "$folder/answers"
}

transactions_hold()
{
    shell << 'END'
insert notes id=7 body=kept
begin
set notes 7 body=lost
insert notes id=8 body=lost
rollback
get notes 7
get notes 8
set notes 7 body=again
begin
set notes 7 body=committed
commit
get notes 7
commit
rollback
begin
begin
END
    same "$(nth 6 row.body)" kept
    same "$(nth 7 status)" NOT_FOUND
    same "$(nth 8 ok row.body)" 'true again'
    same "$(nth 12 row.body version)" 'committed 3'
    same "$(nth 13 status)" MISUSE
    same "$(nth 14 status)" MISUSE
    same "$(nth 16 status)" MISUSE
    run get notes 7 --json
    same "$(fields body)" committed
}

wrong_lines_are_answered()
{
    shell << 'END'
frobnicate
gte notes 1
get
get nothing 1
get notes
get notes 1 2
get notes x
field notes 7 bdoy
set notes 7 bdoy=x
set notes 7 extra={
set notes 7
set notes 77777 body=x
insert notes id=100
insert notes id=7 body=x
get notes "open
sleep soon
getmany pairs a b c
get notes 7
END
    i=1
    for status in MISUSE MISUSE MISUSE NOT_FOUND MISUSE INVALID INVALID INVALID INVALID INVALID \
        INVALID NOT_FOUND INVALID CONFLICT MISUSE INVALID INVALID; do
        same "$i $(nth $i ok status)" "$i false $status"
        [ "$(nth $i error)" != '' ] || fail "answer $i has no text"
        i=$((i + 1))
    done
    same "$(nth 18 ok)" true
}

composite_keys_and_odd_values()
{
    shell << 'END'
insert pairs a="x y" b='' n=1
insert pairs a="\u00e4\ud83d\ude00" b="q\"'\\" n=2
getmany pairs "x y" '' "\u00e4\ud83d\ude00" "q\"'\\" 1 2
set pairs "x y" "" n=3
field pairs "x y" "" n
END
    same "$(nth 1 row.a row.n)" 'x y 1'
    same "$(nth 3 rows.0.n rows.1.n rows.2)" '1 2 null'
    same "$(nth 3 rows.1.a)" 'ä😀'
    same "$(nth 3 rows.1.b)" "q\"'\\"
    same "$(nth 5 value)" 3
    shell << 'END'
insert doubles id=1 x=NaN
get doubles 1
field doubles 1 x
set doubles 1 x=-inf
set doubles 1 x:=1.5
END
    same "$(nth 1 row.x)" NaN
    same "$(nth 3 value)" NaN
    same "$(nth 4 row.x)" -Infinity
    same "$(nth 5 row.x)" 1.5
    printf 'insert pairs a=x b="\377" n=1\nget pairs x \377\n' | shell
    same "$(nth 1 status)" INVALID
    same "$(nth 2 ok)" false
}

json=TEXT_JSON
export TEARS_L3_URL="sqlite:$folder/shell.db"
make_tables
every_verb_answers
conflicts_show
transactions_hold
wrong_lines_are_answered
composite_keys_and_odd_values

if [ -z "${TEARS_TEST_PG_URL:-}" ] || [ -z "${TEARS_TEST_NATS_URL:-}" ]; then
    echo 'without servers: not on PostgreSQL and NATS (./dev test starts them)'
    exit 0
fi
json=JSONB
TEARS_L3_URL=$TEARS_TEST_PG_URL TEARS_L2_URL=$TEARS_TEST_NATS_URL TEARS_NAMESPACE=cli-shell-$$
export TEARS_L2_URL TEARS_NAMESPACE
make_tables
every_verb_answers
conflicts_show
transactions_hold
wrong_lines_are_answered
composite_keys_and_odd_values
