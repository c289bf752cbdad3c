#!/bin/sh
# Runs the project's checks on a small tree in which each rule is broken once; each break must be reported.
# usage: checks_find_faults.sh TOOLS-DIR
set -eu
tools=$1
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
failures=0

# expect PATTERN COMMAND...: the command must fail and say PATTERN.
expect()
{
    pattern=$1
    shift
    if said=$("$@" 2>&1); then
        echo "passed, but should have said '$pattern': $*"
        failures=$((failures + 1))
    elif ! printf '%s\n' "$said" | grep -q -e "$pattern"; then
        echo "should have said '$pattern', but said: $said"
        failures=$((failures + 1))
    fi
}

# source PATH TEXT: writes a source file that opens properly.
source_file()
{
    mkdir -p "$root/$(dirname "$1")"
    printf '/*\n * %s -- a file of the toy tree.\n */\n%s\n' "$(basename "$1")" "$2" > "$root/$1"
}

mkdir -p "$root/src" "$root/include/tears" "$root/docs"
printf '# comment\nbase:\ntier: base\ncore: base tier\n' > "$root/src/LAYERS"
source_file src/base/a.c '#include "base/a.h"'
source_file src/tier/b.c '#include "base/a.h"
#include <tears/base.h>'
printf '/** Does.  @since\n * 0.1 */\nTEARS_API int\ntears_one(void);\nTEARS_API int tears_two(int a,\n    int b);\n' \
    > "$root/include/tears/t.h"
# shellcheck disable=SC2016  # backquotes are meant
printf '[here](t.md) [web](https://example.org/x)\n```\n[not](a link)\n```\n' > "$root/docs/t.md"

printf '| `base/a.h` | one | all |\n' > "$root/src/LOCKS.md"
source_file src/base/a.h 'struct a {
    struct t3_mutex mutex;
};'

# The tree as it is passes everything.
for check in check_layers check_style check_banned check_locks check_links "public_symbols --since"; do
    # shellcheck disable=SC2086  # the second word is an argument
    set -- $check
    script=$1
    shift
    "$tools/$script.sh" "$@" "$root" || { echo "$check complains about a clean tree"; failures=$((failures + 1)); }
done
[ "$("$tools/public_symbols.sh" "$root" | tr '\n' ' ')" = "tears_one tears_two " ] ||
    { echo "public_symbols does not list both functions"; failures=$((failures + 1)); }

source_file src/tier/b.c '#include "core/c.h"'
expect 'tier/ must not know core/' "$tools/check_layers.sh" "$root"
source_file src/tier/b.c '#include "base/a_impl.h"'
expect 'private to base/' "$tools/check_layers.sh" "$root"
source_file src/tier/b.c '#include <libpq-fe.h>'
expect 'only driver/ may include' "$tools/check_layers.sh" "$root"
source_file src/other/d.c ''
expect 'no layer' "$tools/check_layers.sh" "$root"
rm -r "$root/src/other"
source_file src/tier/b.c ''
printf 'base: tier\ntier: base\n' > "$root/src/LAYERS"
expect 'points up' "$tools/check_layers.sh" "$root"

source_file src/tier/b.c "$(printf 'int f(void)\n{\n'; i=0; while [ $i -lt 71 ]; do echo '    g();'; i=$((i + 1)); done; echo '}')"
expect 'function of 71 lines' "$tools/check_style.sh" "$root"
source_file src/tier/b.c "$(printf 'int f(void)\n{\n    T3_AUTO(done) int a;\n    goto end;\n}')"
expect 'goto and T3_AUTO' "$tools/check_style.sh" "$root"
printf 'int x;\n' > "$root/src/tier/b.c"
expect 'does not open' "$tools/check_style.sh" "$root"

source_file src/tier/b.c 'void f(void) { strcpy (a, b); }'
expect 'strcpy() is banned' "$tools/check_banned.sh" "$root"
source_file src/tier/b.c 'void f(void) { a = malloc(3); }'
expect 'malloc() is banned' "$tools/check_banned.sh" "$root"
source_file src/tier/b.c '/* malloc(1) */ void f(void) { x->free(a); y("free(b)"); }'
"$tools/check_banned.sh" "$root" || { echo "check_banned reads comments, members or text"; failures=$((failures + 1)); }

source_file src/tier/b.c 'struct b {
    struct t3_mutex mutex;
};'
expect 'does not list tier/b.c' "$tools/check_locks.sh" "$root"

printf '/** Does. */\nTEARS_API int tears_one(void);\n' > "$root/include/tears/t.h"
expect 'tears_one has no @since' "$tools/public_symbols.sh" --since "$root"
printf '[gone](nowhere.md)\n' > "$root/docs/t.md"
expect 'nowhere.md does not exist' "$tools/check_links.sh" "$root"

exit $((failures > 0))
