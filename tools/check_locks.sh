#!/bin/sh
# Fails when a file under src/ declares a mutex and src/LOCKS.md does not list the file, or lists one that has none.
# usage: check_locks.sh [ROOT]
set -eu
cd "${1:-.}/src"

with_mutex=$(grep -l -r -E '^ +(struct t3_mutex|pthread_mutex_t|pthread_rwlock_t) [a-z_]+;' --include='*.[ch]' . |
    sed 's/^\.\///' | grep -v '^base/lock\.h$' | LC_ALL=C sort)
# shellcheck disable=SC2016  # backquotes are meant
listed=$(sed -n 's/^| `\([a-z0-9_/]*\.[ch]\)` .*/\1/p' LOCKS.md | LC_ALL=C sort)
failed=0
for file in $with_mutex; do
    printf '%s\n' "$listed" | grep -q -x -F "$file" || { echo "src/LOCKS.md does not list $file"; failed=1; }
done
for file in $listed; do
    printf '%s\n' "$with_mutex" | grep -q -x -F "$file" || { echo "src/LOCKS.md lists $file, which has no mutex"; failed=1; }
done
exit $failed
