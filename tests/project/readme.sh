#!/bin/sh
# Compiles and runs the C program of README.md and compares what it prints with the text that follows it there.
# usage: readme.sh SOURCE-DIR BUILD-DIR COMPILER [FLAG...]
set -eu
source_dir=$1
build_dir=$2
shift 2

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

# The first ```c block is the program, the first ```text block after it is its output.
awk '/^```/ { if (inside) exit; inside = $0 == "```c"; next } inside' "$source_dir/README.md" > first.c
awk '/^```c$/ { seen = 1 } /^```/ { if (inside) exit; inside = seen && $0 == "```text"; next } inside' \
    "$source_dir/README.md" > expected.txt
[ -s first.c ] || { echo "README.md has no C program"; exit 1; }
[ -s expected.txt ] || { echo "README.md does not say what the program prints"; exit 1; }

lines=$(wc -l < first.c)
[ "$lines" -le 25 ] || { echo "the program has $lines lines; it should be read at a glance"; exit 1; }

"$@" -std=c11 -Wall -Wextra -Wpedantic -Werror -o first first.c \
    -I"$source_dir/include" -L"$build_dir" -Wl,-rpath,"$build_dir" -ltears
env -u TEARS_L3_URL -u TEARS_L2_URL -u TEARS_NAMESPACE ./first > printed.txt || {
    echo "the program failed:"
    cat printed.txt
    exit 1
}
diff -u expected.txt printed.txt
