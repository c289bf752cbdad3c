#!/bin/sh
# migrate lint: findings, exit codes for builds, what may stand, JSON.
. "$(dirname "$0")/support.sh"
cd "$folder"
unset MIGRATION_ENFORCEMENT_MODE || true

echo 'nothing to look at is no clean answer'
run migrate lint
expect 2 "cannot look at 'migrations'"
mkdir -p migrations/shop empty
run migrate lint empty
expect 2 'there are no \*.sql files'

echo 'findings'
echo 'CREATE TABLE IF NOT EXISTS t (id BIGINT PRIMARY KEY);' > migrations/shop/0001_t.up.sql
run migrate lint
expect 0 'findings: 0; allowed: 0; statements: 1; files: 1'
cat > migrations/shop/0002_index.up.sql << 'END'
-- two statements
SELECT 1;
CREATE INDEX i ON t (id);
END
run migrate lint
expect 1 '^migrations/shop/0002_index.up.sql:3: \[L-1\] .*: i on t -- '\''CREATE INDEX i ON t (id)'\''$'
expect 1 '\[M-3\]'
run migrate lint migrations/shop/0001_t.up.sql
expect 0
run migrate lint --json
expect 1
same "$(fields rule severity line 2> /dev/null | head -2)" 'L-1 high 3
M-3 medium 3'
run migrate lint --for postgresql
expect 1 'L-1'
run migrate lint --for sqlite
expect 1 'M-3'
grep -q L-1 "$out" && fail 'SQLite has no such locks'
run migrate lint --for oracle
expect 2 'none of yugabyte, postgresql, sqlite'

echo 'a report does not fail'
run migrate lint --report
expect 0 '\[L-1\]'
MIGRATION_ENFORCEMENT_MODE=Report
export MIGRATION_ENFORCEMENT_MODE
run migrate lint
expect 0 '\[L-1\]'
unset MIGRATION_ENFORCEMENT_MODE

echo 'what may stand'
cat > allowed << 'END'
# small tables
migrations/shop/0002_index.up.sql:L-1 # rationale: the table has ten rows
migrations/shop/0002_index.up.sql:M-3 # rationale:
END
run migrate lint --exempt allowed
expect 1 'allowed:3: \[X-2\]'
cat > allowed << 'END'
migrations/shop/0002_index.up.sql:L-1 # rationale: the table has ten rows
migrations/shop/0002_index.up.sql:M-3 # rationale: it was run long ago
END
run migrate lint --exempt allowed --verbose
expect 0 'allowed: the table has ten rows'
echo 'migrations/shop/0001_t.up.sql:M-5 # rationale: not needed' >> allowed
run migrate lint --exempt allowed
expect 1 'allowed:3: \[X-3\]'
run migrate lint --exempt missing
expect 6 'missing'

echo 'low ones fail only when they are asked to'
echo 'UPDATE t SET a = 1 WHERE a IS NULL;' > low.sql
run migrate lint low.sql
expect 0 'L-12'
run migrate lint low.sql --strict
expect 1 'L-12'

echo 'the rules'
run migrate lint --rules
expect 0 '^M-1.*critical'
run migrate lint --rules --json
expect 0 '"rule":"Y-1"'
