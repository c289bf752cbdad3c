#!/bin/sh
# Removes one protection after the other and expects the named test case to fail.
#
# Usage:    tests/mutants/run.sh [NAME...]     (inside tests/support/servers.sh)
# Owns:     build/mutants: a copy of the sources and its build.
# Fails:    when a mutant survives, does not apply, does not build, or its case fails without it.
set -eu
cd "$(dirname "$0")/../.."
root=$(pwd -P)
work=$root/build/mutants
copy=$work/source
built=$work/build
seconds_max=120
survived=

say()
{
    printf '%s\n' "$*"
}

fail()
{
    say "mutants: $*" >&2
    exit 1
}

# What the patch says of itself.
line_of()
{
    sed -n "s/^$1: *//p" "$2" | head -n 1
}

prepare()
{
    mkdir -p "$work"
    rm -rf "$copy"
    mkdir -p "$copy"
    # What is tracked or new, as it is now; times are kept so that little is built again.
    git ls-files --cached --others --exclude-standard | while IFS= read -r file; do
        [ ! -f "$file" ] || printf '%s\n' "$file"
    done | tar -cf - -T - | tar -xf - -C "$copy"
    # What was built from a mutant, also by a run that was interrupted, is newer than the sources.
    [ ! -f "$work/mutated" ] || (cd "$copy" && xargs touch < "$work/mutated")
    [ -f "$built/build.ninja" ] || cmake -S "$copy" -B "$built" -G Ninja -DCMAKE_BUILD_TYPE=Debug > "$work/configure.log" 2>&1 ||
        fail "cannot configure; see $work/configure.log"
}

build()
{
    cmake --build "$built" --target "$1" > "$work/build.log" 2>&1
}

# run_case PROGRAM CASE: 0 passed, 1 failed (or crashed, or did not end).
run_case()
{
    executable=$(find "$built/tests" -type f -name "$1" -perm -u+x | head -n 1)
    [ -n "$executable" ] || fail "there is no test program $1"
    (cd "$copy" && TEARS_TEST_ONLY=$2 timeout "$seconds_max" "$executable") > "$work/run.log" 2>&1 || return 1
    grep -q '^\[ *RUN *\]' "$work/run.log" || fail "$1 has no test case $2"
}

mutate()
{
    patch=$1
    name=$(basename "$patch" .patch)
    program=$(line_of Test "$patch")
    case=$(line_of Case "$patch")
    [ -n "$program" ] && [ -n "$case" ] || fail "$name does not say Test: and Case:"
    build "$program" || fail "$program does not build; see $work/build.log"
    run_case "$program" "$case" || { cat "$work/run.log" >&2; fail "$case fails without the mutant $name"; }
    sed -n 's|^+++ b/||p' "$patch" > "$work/mutated"
    (cd "$copy" && patch -p1 -s -F0 < "$patch") || fail "$name does not apply any more"
    build "$program" || { tail -n 30 "$work/build.log" >&2; fail "$name does not build"; }
    if run_case "$program" "$case"; then
        say "SURVIVED  $name: $case passes without it ($(line_of Protects "$patch"))"
        survived="$survived $name"
    else
        say "caught    $name: by $case"
    fi
    (cd "$copy" && patch -p1 -s -R < "$patch" && xargs touch < "$work/mutated")
}

wanted()
{
    name=$(basename "$1" .patch)
    [ $# -gt 1 ] || return 0
    shift
    for one in "$@"; do
        [ "$one" != "$name" ] || return 0
    done
    return 1
}

prepare
count=0
for patch in "$root"/tests/mutants/*.patch; do
    wanted "$patch" "$@" || continue
    mutate "$patch"
    count=$((count + 1))
done
[ "$count" -gt 0 ] || fail "no such mutant"
[ -z "$survived" ] || fail "survived:$survived"
say "$count mutants, all caught"
