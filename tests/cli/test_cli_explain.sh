#!/bin/sh
# explain, watch, and what the shell says of the feed; what needs L2 runs when the tests have a nats-server.
. "$(dirname "$0")/support.sh"
export TEARS_L3_URL="sqlite:$folder/explain.db"
"$run_sql" "$TEARS_L3_URL" 'CREATE TABLE items (id BIGINT NOT NULL PRIMARY KEY, name TEXT, row_version BIGINT NOT NULL)'
watching=

without_l2()
{
    run insert items id=1 name=one
    expect 0
    run explain items 1
    expect 0 'the tiers agree (key items.1)'
    expect 0 '^l2  *unused'
    expect 0 '^l3  *row  *1 '
    run explain items 2 --json
    expect 0 '"l3":{"state":"absent"'
    run explain items
    expect 2 'usage: tears explain TABLE KEY'
    run explain itmes 1
    expect 2 "did you mean 'items'"
    run watch items
    expect 2 'nothing to watch without L2'
    run watch
    expect 2 'either a table or --all'
    run watch items --all
    expect 2 'either a table or --all'
    run watch items --count 0
    expect 2 'whole number from 1'
}

disagreement_is_found()
{
    run get items 1
    expect 0
    run set items 1 name=two
    expect 0
    looks=0 # what a reader brings to L2 takes a moment
    until run explain items 1 && grep -q '^l2  *row  *2 ' "$out"; do
        looks=$((looks + 1))
        [ $looks -lt 50 ] || fail 'the row does not reach L2'
        run get items 1
    done
    expect 0 'the tiers agree'
    "$run_sql" "$TEARS_L3_URL" "UPDATE items SET name = 'raw', row_version = 3 WHERE id = 1"
    run explain items 1
    expect 1 'THE TIERS DISAGREE.*outside the library'
    run explain items 1 --json
    expect 1 '"agree":false'
    same "$(fields l2_key)" items.1
    printf 'invalidate items 1\nexplain items 1\nstatus items\n' > "$folder/lines"
    ran='tears shell'
    code=0
    "$tears" shell < "$folder/lines" > "$out" 2> "$err" || code=$?
    expect 0 '"agree":true'
    expect 0 '"bound_ms":3000'
    printf 'explain items 1\nstatus items\nstats\n' | TEARS_TERMINAL=1 "$tears" shell > "$out" 2> "$err"
    expect 0 '^l2  *marker'
    expect 0 '^bound_ms  *3000'
    expect 0 '^feed_losses  *0$'
    run doctor
    expect 0 'bound of reads	3000 ms'
    expect 0 'proof of the feed	[0-9]* ms ago; 0 gaps, 0 losses'
}

# watch_for OPTION...: starts to watch; its output goes to $folder/events.
watch_for()
{
    rm -f "$folder/watch.err" # an earlier one's must not be taken for this one's
    "$tears" watch "$@" > "$folder/events" 2> "$folder/watch.err" &
    watching=$!
    waits=0
    until grep -qs '^tears: watching' "$folder/watch.err"; do
        waits=$((waits + 1))
        [ $waits -lt 200 ] || fail 'tears watch does not begin'
        sleep 0.02
    done
}

# watch_ends CODE
watch_ends()
{
    ran='tears watch'
    code=0
    wait "$watching" || code=$?
    cp "$folder/events" "$out"
    cp "$folder/watch.err" "$err"
    expect "$1"
}

news_are_printed()
{
    watch_for items --count 2 --for 20000 --json
    run insert items id=7 name=seven
    expect 0
    watch_ends 0
    expect 0 '"table":"items","key":"7"'
    same "$(fields table | sort -u)" items
    watch_for --all --for 300
    watch_ends 0
    watch_for items --count 1000 --for 300
    watch_ends 3
    watch_for nothing --count 1000
    kill -INT "$watching"
    watch_ends 130
    grep -q "no table 'nothing'" "$err" || fail 'an unknown table is not remarked on'
}

without_l2
if [ -n "${TEARS_TEST_NATS_URL:-}" ]; then
    export TEARS_L2_URL="$TEARS_TEST_NATS_URL" TEARS_NAMESPACE="cli-explain-$$"
    disagreement_is_found
    news_are_printed
fi
exit 0
