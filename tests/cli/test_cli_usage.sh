#!/bin/sh
# The command line itself, what it teaches, and tiers that cannot be used.
. "$(dirname "$0")/support.sh"
export TEARS_L3_URL="sqlite:$folder/usage.db"

# Help.
run help
expect 0 '^usage: tears '
for command in get set insert delete scan import export tables describe doctor explain watch pending dead bench shell help; do
    grep -q "^  $command " "$out" || fail "help does not list $command"
done
for command in get set insert delete scan import export tables describe doctor explain watch pending dead bench shell; do
    run help $command
    expect 0 "^usage: tears $command"
    grep -q "^  .*tears.* $command" "$out" || fail "no example for $command"
    cp "$out" "$folder/help"
    run $command --help
    expect 0
    cmp -s "$out" "$folder/help" || fail "tears $command --help differs from tears help $command"
done
run
expect 0 '^commands:'
run help exit-codes
expect 0 '130'
run help nonsense
expect 2 'no help'
run --version
expect 0 '^tears [0-9]*\.[0-9]*\.[0-9]*$'

# Words that are wrong.
run gte people 1
expect 2 "did you mean 'get'"
run frobnicate
expect 2 'tears help'
run tables --jsno
expect 2 'did you mean --json'
run tables --page 3
expect 2 'unknown option --page'
run get people
expect 2 'usage: tears get TABLE KEY'
run tables extra
expect 2 'usage: tears tables'
run tables --timeout
expect 2 'needs a value'
run tables --timeout=soon
expect 2 'whole number'
run tables --json=yes
expect 2 'takes no value'
run --l3 "sqlite:$folder/usage.db" --json tables
expect 0
run tables --l1 bogus
expect 4 'bogus'
run tables --l1=none
expect 0

# Tiers that cannot be used.
run tables --l3 postgresql://127.0.0.1:1/none --timeout 2000
expect 3 'refused'
run doctor --l3 postgresql://127.0.0.1:1/none --timeout 2000 --json
expect 3
same "$(fields tier severity subject)" 'l3 2 open'
run tables --l3 "sqlite:$folder/no/such/folder/x.db"
expect 3
head -c 8192 /dev/urandom > "$folder/damaged.db"
run tables --l3 "sqlite:$folder/damaged.db"
expect 6 'damaged.db'
"$run_sql" "$TEARS_L3_URL" 'CREATE TABLE t (id BIGINT NOT NULL PRIMARY KEY, a TEXT)'
run insert t id=1 a=x
expect 0
run get t 1 --l2 nats://127.0.0.1:1 --json
expect 0
same "$(fields a)" x
if [ "$(id -u)" -ne 0 ]; then # root may write everything
    chmod -w "$folder" "$folder"/usage.db*
    run insert t id=2 a=y
    chmod +w "$folder" "$folder"/usage.db*
    expect 5
fi

# Standard output that takes nothing.
if [ -w /dev/full ]; then
    ran='tears help > /dev/full' code=0
    "$tears" help > /dev/full 2> "$err" || code=$?
    expect 6 'standard output'
fi

if [ -n "${TEARS_TEST_PG_PASSWORD_URL:-}" ]; then
    run tables --l3 "$(echo "$TEARS_TEST_PG_PASSWORD_URL" | sed 's#://\([^:]*\):[^@]*@#://\1:wrong-secret@#')"
    expect 5
    ! grep -q wrong-secret "$err" || fail 'the password is in the message'
fi
exit 0
