#!/bin/sh
# Compiles the C programs of a guide chapter, and runs them when there is a NATS server (./dev test starts one).
# usage: guide.sh CHAPTER SOURCE-DIR BUILD-DIR COMPILER [FLAG...]
set -eu
chapter=$1
source_dir=$2
build_dir=$3
shift 3

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
awk -v folder="$folder" '/^```/ { inside = $0 == "```c"; count += inside; next }
    inside { print > (folder "/" count ".c") }' "$source_dir/docs/guide/$chapter"
[ -e "$folder/1.c" ] || { echo "$chapter has no C program"; exit 1; }
for program in "$folder"/*.c; do
    "$@" -std=c11 -Wall -Wextra -Wpedantic -Werror -o "${program%.c}" "$program" \
        -I"$source_dir/include" -L"$build_dir" -Wl,-rpath,"$build_dir" -ltears
    [ -z "${TEARS_TEST_NATS_URL:-}" ] || (cd "$folder" && env TEARS_L2_URL="$TEARS_TEST_NATS_URL" \
        TEARS_NAMESPACE="guide-$$" "${program%.c}")
done
