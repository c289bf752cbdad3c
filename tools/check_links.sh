#!/bin/sh
# Fails when a document points at a file that is not there.
# usage: check_links.sh [ROOT]
set -eu
cd "${1:-.}"

failed=0
for document in *.md src/*.md src/*/*.md docs/*.md docs/*/*.md; do
    [ -f "$document" ] || continue
    folder=$(dirname "$document")
    # Links outside code blocks, without anchors and without addresses on the web.
    for target in $(awk '/^```/ { code = !code; next } !code' "$document" |
        grep -o ']([^)]*)' | sed -e 's/^](//' -e 's/)$//' -e 's/#.*//' | grep -v -e '^[a-z]*:' -e '^$' || true); do
        if [ ! -e "$folder/$target" ]; then
            echo "$document: $target does not exist"
            failed=1
        fi
    done
done
exit $failed
