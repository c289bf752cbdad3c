#!/bin/sh
# Leases from the command line, when the tests have a NATS server; the guide's own commands are run by tests/project/guide_commands.sh.
. "$(dirname "$0")/support.sh"

what_is_wrong_is_said()
{
    run lease
    expect 2
    run lease runn x -- true
    expect 2 "'runn' is none of run, list, show, break"
    run lease run x
    expect 2 'usage: tears lease run NAME -- COMMAND'
    run lease list x
    expect 2 'usage: tears lease list'
    run lease list --l2 none
    expect 4 'leases need NATS'
    run help lease
    expect 0 'TEARS_LEASE_TOKEN'
}

the_exit_code_is_the_commands()
{
    run lease run job -- sh -c 'exit 7'
    expect 7
    run lease run job -- sh -c 'kill -KILL $$'
    expect 137
    run lease run job -- "$folder/nowhere"
    expect 127 'cannot be started'
    run lease run 'a b' -- true
    expect 4 'cannot be the name of a lease'
    run lease run job -- echo --json
    expect 0
    expect_out '--json'
}

tokens_grow()
{
    run lease run job -- sh -c 'echo "$TEARS_LEASE_TOKEN $TEARS_LEASE_NAME"'
    expect 0 '^[0-9]* job$'
    first=$(cut -d' ' -f1 "$out")
    run lease run job -- sh -c 'echo "$TEARS_LEASE_TOKEN"'
    [ "$(cat "$out")" -gt "$first" ] || fail "the token did not grow"
}

# hold NAME: holds it in the background; the holder is $holder, and ends when the file `go` is removed.
hold()
{
    touch "$folder/go"
    rm -f "$folder/held"
    "$tears" lease run "$1" --ttl 2 --grace 1 -- sh -c "touch '$folder/held'
        while [ -e '$folder/go' ]; do sleep 0.05; done" > "$folder/holder.out" 2>&1 &
    holder=$!
    while [ ! -e "$folder/held" ]; do sleep 0.02; done
}

one_at_a_time()
{
    hold one
    run lease run one -- true
    expect 1 "'one' is held by"
    run lease run one --wait 1 -- true
    expect 3 "'one' is held by"
    run lease list --json
    expect 0
    same "$(fields name)" one
    run lease show one
    expect 0 '^one	.*	for another '
    run lease show other
    expect 1 "nobody holds 'other'"
    rm "$folder/go"
    run lease run one --wait 5 -- echo free
    expect_out free
    wait "$holder" || fail "the holder ended with $?"
    run lease list
    expect_out ''
}

a_broken_lease_stops_its_command()
{
    hold broken
    run lease break broken --revision 1
    expect 1
    run lease break broken
    expect 0
    expect_out broken
    code=0
    wait "$holder" || code=$?
    [ "$code" -eq 3 ] || fail "the holder ended with $code: $(cat "$folder/holder.out")"
    grep -q 'was lost while the command ran' "$folder/holder.out" || fail "it did not say why"
    run lease break broken --json
    expect 1 '"NOT_FOUND"'
}

a_command_that_does_not_listen_is_killed()
{
    rm -f "$folder/held"
    "$tears" lease run deaf --ttl 1 --grace 1 -- sh -c "trap '' TERM; touch '$folder/held'
        while :; do sleep 0.1; done" > "$folder/holder.out" 2>&1 &
    holder=$!
    while [ ! -e "$folder/held" ]; do sleep 0.02; done
    run lease break deaf
    expect 0
    code=0
    wait "$holder" || code=$?
    [ "$code" -eq 3 ] || fail "the holder ended with $code"
}

a_signal_is_passed_on()
{
    hold signal
    kill -TERM "$holder"
    code=0
    wait "$holder" || code=$?
    [ "$code" -eq 143 ] || fail "the holder ended with $code"
    run lease list
    expect_out ''
}

what_is_wrong_is_said
if [ -z "${TEARS_TEST_NATS_URL:-}" ]; then
    echo 'without a server: nothing is held (./dev test starts one)'
    exit 0
fi
export TEARS_L2_URL="$TEARS_TEST_NATS_URL"
export TEARS_NAMESPACE="cli-lease-$$"
the_exit_code_is_the_commands
tokens_grow
one_at_a_time
a_broken_lease_stops_its_command
a_command_that_does_not_listen_is_killed
a_signal_is_passed_on
