#!/bin/sh
# Removes one protection after the other and expects the named test case to fail.
#
# Usage:    tests/mutants/run.sh [-jN] [NAME...]     (inside tests/support/servers.sh)
#           -jN   N at a time, each with a copy and a build of its own; 1 unless said otherwise
# Owns:     build/mutants: per worker a copy of the sources and its build; what the last run found.
# Fails:    when a mutant survives, does not apply, does not build, or its case fails without it.
# Begin at: the end; work() is what one worker does.
#
# Mutants are done program by program: the program is built from the sources as they are, all cases that its mutants
# name have to pass, and then each mutant is one build and one run.  What takes long comes last.
set -eu
cd "$(dirname "$0")/../.."
root=$(pwd -P)
work=$root/build/mutants
results=$work/results
times=$work/times
seconds_max=120
slow_seconds=25
workers=1

say()
{
    printf '%s\n' "$*"
}

fail()
{
    say "mutants: $*" >&2
    : > "$work/failed"
    exit 1
}

# What the patch says of itself.
line_of()
{
    sed -n "s/^$1: *//p" "$2" | head -n 1
}

# The trap that the case is about: its name begins with the number, or the patch says so.
trap_of()
{
    number=$(line_of Trap "$1")
    [ -n "$number" ] || number=$(line_of Case "$1" | sed -n 's/^trap_\([0-9][0-9]\)_.*/\1/p')
    say "${number:--}"
}

# ---- which, and in which order ----

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

# One line for each mutant: whether it was slow the last time, program, name.
list()
{
    for patch in "$root"/tests/mutants/*.patch; do
        wanted "$patch" "$@" || continue
        name=$(basename "$patch" .patch)
        program=$(line_of Test "$patch")
        [ -n "$program" ] && [ -n "$(line_of Case "$patch")" ] || fail "$name does not say Test: and Case:"
        took=$(sed -n "s/^$name //p" "$times" 2> /dev/null | tail -n 1)
        [ "${took:-0}" -ge "$slow_seconds" ] && slow=1 || slow=0
        say "$slow $program $name"
    done | LC_ALL=C sort
}

# ---- one worker: its copy in $copy, its build in $built, its logs and notes in $mine ----

prepare()
{
    mine=$work/$1
    copy=$mine/source
    built=$mine/build
    rm -rf "$copy"
    mkdir -p "$copy"
    # What is tracked or new, as it is now; times are kept so that little is built again.
    git ls-files --cached --others --exclude-standard | while IFS= read -r file; do
        [ ! -f "$file" ] || printf '%s\n' "$file"
    done | tar -cf - -T - | tar -xf - -C "$copy"
    # What was built from a mutant, also by a run that was interrupted, may be newer than the sources.
    [ ! -f "$mine/mutated" ] || (cd "$copy" && sort -u "$mine/mutated" | while IFS= read -r file; do
        [ ! -f "$file" ] || touch "$file"
    done)
    [ -f "$built/build.ninja" ] || cmake -S "$copy" -B "$built" -G Ninja -DCMAKE_BUILD_TYPE=Debug \
        -DCMAKE_C_FLAGS_DEBUG=-w > "$mine/configure.log" 2>&1 ||
        fail "cannot configure; see $mine/configure.log"
}

build()
{
    cmake --build "$built" --target "$1" > "$mine/build.log" 2>&1 9>&-
}

# run_case PROGRAM CASE: 0 passed, 1 failed (or crashed, or did not end).
run_case()
{
    executable=$(find "$built/tests" -type f -name "$1" -perm -u+x | head -n 1)
    [ -n "$executable" ] || fail "there is no test program $1"
    (cd "$copy" && TEARS_TEST_ONLY=$2 exec timeout "$seconds_max" "$executable") > "$mine/run.log" 2>&1 9>&- &
    child=$! # waited for, and not run, so that a signal is obeyed at once
    wait "$child" 2> /dev/null || return 1
    grep -q '^\[ *RUN *\]' "$mine/run.log" || fail "$1 has no test case $2"
}

# Builds the program without mutants; its cases pass, the third time at the latest: the machine may be busy.
check_without()
{
    program=$1
    build "$program" || { tail -n 30 "$mine/build.log" >&2; fail "$program does not build"; }
    rm -f "$mine/mutated" # everything is built from the sources now
    while read -r _ _ name; do
        line_of Case "$root/tests/mutants/$name.patch"
    done < "$mine/group" | sort -u > "$mine/cases"
    : > "$mine/broken"
    while IFS= read -r case; do
        run_case "$program" "$case" || run_case "$program" "$case" || run_case "$program" "$case" || {
            cat "$mine/run.log" >&2
            say "$case" >> "$mine/broken"
        }
    done < "$mine/cases"
}

# report OUTCOME NAME PROGRAM CASE SECONDS
report()
{
    patch=$root/tests/mutants/$2.patch
    say "$1 $2 $3 $4 $(trap_of "$patch") $5" >> "$results"
    say "$2 $5" >> "$times"
    number=$(wc -l < "$results")
    printf '%3d of %d  %-8s %-40s %3d s  by %s\n' "$number" "$total" "$1" "$2" "$5" "$4"
}

mutate()
{
    name=$1
    program=$2
    patch=$root/tests/mutants/$name.patch
    case=$(line_of Case "$patch")
    began=$(date +%s)
    if grep -q -x -F "$case" "$mine/broken"; then
        report BROKEN "$name" "$program" "$case" 0
        return 0
    fi
    if ! (cd "$copy" && patch -p1 -s -F0 --dry-run < "$patch"); then
        report STALE "$name" "$program" "$case" 0
        return 0
    fi
    sed -n 's|^+++ b/||p' "$patch" > "$mine/files"
    cat "$mine/files" >> "$mine/mutated" # before anything is changed
    (cd "$copy" && patch -p1 -s -F0 --no-backup-if-mismatch < "$patch") || fail "$name applies only in part"
    outcome=caught
    if ! build "$program"; then
        tail -n 30 "$mine/build.log" >&2
        outcome=STALE
    elif run_case "$program" "$case"; then
        outcome=SURVIVED
    fi
    report "$outcome" "$name" "$program" "$case" $(($(date +%s) - began))
    (cd "$copy" && patch -p1 -s -R --no-backup-if-mismatch < "$patch" && xargs touch < "$mine/files")
}

# Takes one group (a program, its fast or its slow mutants) after the other that no other worker has.
work()
{
    child=
    trap 'kill $child 2> /dev/null; exit 143' INT TERM HUP
    prepare "$1"
    while read -r slow program; do
        [ ! -f "$work/failed" ] || exit 1
        mkdir "$work/taken/$slow-$program" 2> /dev/null || continue
        grep "^$slow $program " "$work/list" > "$mine/group"
        check_without "$program"
        while read -r _ _ name <&4; do
            [ ! -f "$work/failed" ] || exit 1
            mutate "$name" "$program"
        done 4< "$mine/group"
    done < "$work/groups"
}

# ---- what was found ----

summarize()
{
    LC_ALL=C sort -k5,5 -k3,3 -k4,4 "$results" | awk '
        $1 == "caught" {
            count[$5]++
            if (!(($5, $4) in seen)) {
                seen[$5, $4] = 1
                cases[$5] = cases[$5] sprintf("\n             %s: %s", $3, $4)
            }
            if (!($5 in known)) {
                known[$5] = 1
                order[++n] = $5
            }
        }
        END {
            for (i = 1; i <= n; i++) {
                of = order[i] == "-" ? "no trap" : "trap " order[i]
                printf "%-8s %2d %s caught by%s\n", of ":", count[order[i]],
                    count[order[i]] == 1 ? "mutant" : "mutants", cases[order[i]]
            }
        }'
}

forget_old_times()
{
    [ ! -f "$times" ] || { tail -n 2000 "$times" > "$times.new" && mv "$times.new" "$times"; }
}

case ${1:-} in
-j*)
    workers=${1#-j}
    shift
    ;;
esac
began_all=$(date +%s)
mkdir -p "$work"
exec 9> "$work/lock"
flock -n 9 || fail "another run is under way in $work"
rm -rf "$results" "$work/failed" "$work/taken"
mkdir -p "$work/taken"
: > "$results"
forget_old_times
list "$@" > "$work/list"
total=$(wc -l < "$work/list")
[ "$total" -gt 0 ] || fail "no such mutant"
cut -d' ' -f1,2 "$work/list" | uniq > "$work/groups"

pids=
trap 'kill $pids 2> /dev/null; exit 143' INT TERM HUP
for worker in $(seq "$workers"); do
    work "$worker" &
    pids="$pids $!"
done
status=0
for pid in $pids; do
    wait "$pid" || status=1
done
[ "$status" -eq 0 ] || exit 1
summarize
# The case passes with the mutant; or fails without it; or the mutant does not apply or build.
for outcome in SURVIVED BROKEN STALE; do
    names=$(sed -n "s/^$outcome \([^ ]*\).*/\1/p" "$results" | tr '\n' ' ')
    [ -z "$names" ] || say "mutants: $outcome: $names" >&2
done
! grep -q -v '^caught ' "$results" || fail "not all were caught"
say "$total mutants, all caught, in $(($(date +%s) - began_all)) s"
