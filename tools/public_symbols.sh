#!/bin/sh
# Prints the name of every function that the public headers export, one a line, sorted.
# With --since: prints instead the exported declarations whose comment has no @since, and fails if there are any.
# Declarations that follow each other without a blank line share one comment.
# usage: public_symbols.sh [--since] [ROOT]
set -eu
mode=names
if [ "${1:-}" = --since ]; then
    mode=since
    shift
fi
cd "${1:-.}/include/tears"

LC_ALL=C awk -v mode="$mode" '
FNR == 1 { comment = ""; in_comment = 0; declaration = "" }
in_comment || /^[ \t]*\/\*\*/ {
    if (!in_comment)
        comment = ""
    line = $0
    sub(/^[ \t]*\*[ \t]*/, "", line)
    comment = comment " " line
    in_comment = $0 !~ /\*\//
    next
}
/^[ \t]*$/ { comment = ""; next }
/^#/ { next }
/^TEARS_API/ { declaration = ""; collecting = 1 }
collecting {
    declaration = declaration " " $0
    if ($0 !~ /;/)
        next
    collecting = 0
    name = declaration
    sub(/[ \t]*\(.*/, "", name)
    sub(/.*[ *]/, "", name)
    if (mode == "names")
        print name
    else if (comment !~ /@since [0-9]+\.[0-9]+/) {
        sub(/^\.\//, "", FILENAME)
        print "include/tears/" FILENAME ":" FNR ": " name " has no @since"
        failed = 1
    }
}
END { exit failed }
' ./*.h | if [ "$mode" = names ]; then LC_ALL=C sort -u; else
    # The status of awk is lost in a pipe; any line printed is a failure.
    awk '{ print } END { exit NR > 0 }'
fi
