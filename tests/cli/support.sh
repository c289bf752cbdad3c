# shellcheck shell=sh disable=SC2034  # what is set here is for the scripts that source it
# support.sh -- what the scripts share; sourced with the script's own arguments: TEARS RUN_SQL JSON_LINES.
#
# A script makes its checks with `expect`; the first that fails ends it and says what was run and printed.
set -eu

tears=$1
run_sql=$2
json_lines=$3
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM HUP
unset TEARS_L3_URL TEARS_L2_URL TEARS_NAMESPACE TEARS_TERMINAL
out=$folder/out
err=$folder/err

# run ARG...: runs the command; its exit code is in $code, its output in the files $out and $err.
run()
{
    ran="tears $*"
    code=0
    "$tears" "$@" > "$out" 2> "$err" < /dev/null || code=$?
}

fail()
{
    {
        echo "FAILED: $*"
        echo "run: $ran"
        echo "exit code $code, standard output:"
        head -c 4000 "$out"
        echo "standard error:"
        head -c 4000 "$err"
    } >&2
    exit 1
}

# expect CODE [PATTERN]: the exit code, and a basic regular expression found in one of the outputs.
expect()
{
    [ "$code" -eq "$1" ] || fail "expected exit code $1"
    [ $# -lt 2 ] || grep -q -e "$2" "$out" "$err" || fail "expected to find: $2"
}

# expect_out TEXT: standard output is exactly this.
expect_out()
{
    [ "$(cat "$out")" = "$1" ] || fail "expected standard output: $1"
}

# fields MEMBER...: these members of each JSON line of standard output; fails when a line is none.
fields()
{
    "$json_lines" "$@" < "$out" || fail "a line is not one JSON object"
}

same()
{
    [ "$1" = "$2" ] || fail "expected '$2', got '$1'"
}
