#!/bin/sh
# Fails when a source calls a function that the house does without (CONTRIBUTING.md says why).
# usage: check_banned.sh [ROOT]
set -eu
tools=$(cd "$(dirname "$0")" && pwd)
cd "${1:-.}"

find src cli examples -name '*.[ch]' 2>/dev/null | LC_ALL=C sort | xargs awk -f "$tools/lib.awk" -f "$tools/banned.awk"
