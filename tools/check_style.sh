#!/bin/sh
# Fails on: a function longer than 70 lines, a source that does not open by saying what it is, `goto` in a
# function that uses T3_AUTO.  Warns about: more than 5 parameters, files longer than 900 lines.
# usage: check_style.sh [ROOT]
set -eu
tools=$(cd "$(dirname "$0")" && pwd)
cd "${1:-.}"

find src cli examples bench -name '*.[ch]' 2>/dev/null | LC_ALL=C sort | xargs awk -f "$tools/lib.awk" -f "$tools/style.awk"
