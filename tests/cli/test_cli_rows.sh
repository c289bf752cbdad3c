#!/bin/sh
# Commands on rows, on the embedded store, and on PostgreSQL with NATS when the tests have servers.
. "$(dirname "$0")/support.sh"

make_tables()
{
    "$run_sql" "$TEARS_L3_URL" 'DROP TABLE IF EXISTS people' 'DROP TABLE IF EXISTS visits' 'DROP TABLE IF EXISTS keyless' \
        "CREATE TABLE people (id BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, age INT, score DOUBLE PRECISION,
            tags $json, seen_at $time, row_version BIGINT NOT NULL DEFAULT 1)" \
        'CREATE TABLE visits (site TEXT NOT NULL, day BIGINT NOT NULL, total BIGINT NOT NULL DEFAULT 0, PRIMARY KEY (site, day))' \
        'CREATE TABLE keyless (a TEXT)'
}

rows_are_written_and_read()
{
    run insert people id=1 'name=Ada Lovelace' age=36 'tags:=["a", {"b": 0.10}]' seen_at=2026-01-31T12:00:00Z --json
    expect 0
    same "$(fields id name age row_version)" '1 Ada Lovelace 36 1'
    run get people 1 --json
    expect 0
    same "$(fields name seen_at)" 'Ada Lovelace 2026-01-31T12:00:00+00:00'
    expect 0 '"b": *0\.10}' # as it was written
    run get people 1
    expect 0 '^name	Ada Lovelace$'
    expect 0 '^score	-$'
    run set people 1 age=37 score=1.5 --json
    expect 0
    same "$(fields age score name row_version)" '37 1.5 Ada Lovelace 2'
    run set people 1 age:=null --json
    same "$(fields age row_version)" 'null 3'
    run set people 1 name= --json
    same "$(fields name)" ''
    run delete people 1 --json
    expect 0
    expect_out '{"deleted":1}'
    run get people 1
    expect 1 "no row of 'people' has id = 1"
    run delete people 1
    expect 1 'no row'
}

composite_keys_are_given_in_order()
{
    run insert visits site=example.org day=3
    expect 0
    run set visits example.org 3 total=9 --json
    same "$(fields site day total)" 'example.org 3 9'
    run set visits example.org 4 total=1
    expect 1 "(site, day) = (example.org, 4)"
    run set visits example.org 4 total=1 --upsert --json
    expect 0
    same "$(fields total)" 1
    run set visits example.org 4 total=2 --upsert --json
    same "$(fields total)" 2
    run get visits example.org
    expect 2 'has 2 values (site, day); 1 given'
    run get visits example.org 3 4
    expect 2 '3 given'
    run get visits example.org -3
    expect 1 'no row'
    run delete visits example.org 3
    expect 0 '(site, day) = (example.org, 3)'
}

pages_follow_each_other()
{
    for i in 1 2 3 4 5; do
        run insert people id=$i name=n$((i % 2)) age=$((50 - i))
        expect 0
    done
    run scan people --page 2 --json
    expect 0
    cursor=$(tail -n 1 "$out" | "$json_lines" next_cursor)
    same "$(head -n 2 "$out" | "$json_lines" id | tr '\n' ' ')" '1 2 '
    run scan people --page 3 --cursor "$cursor" --json
    same "$(fields id next_cursor | tr '\n' ' ')" '3 - 4 - 5 - '
    run scan people --where name=n1 --desc --json
    same "$(fields id | tr '\n' ' ')" '5 3 1 '
    run scan people --order age --page 1 --json
    same "$(head -n 1 "$out" | "$json_lines" id)" 5
    run scan people --page 2
    expect 0 'more rows: --cursor'
    expect 0 '^id	name	'
    run scan people --cursor nonsense
    expect 4 cursor
    run scan people --cursor "$cursor" --order age
    expect 4 cursor
    run scan people --where nmae=x
    expect 2 "did you mean 'name'"
    run scan people --order nmae
    expect 2 "did you mean 'name'"
    run scan people --page 0
    expect 2 'option --page needs a whole number'
}

wrong_data_is_refused_and_named()
{
    run get peple 1
    expect 2 "no table 'peple'; did you mean 'people'?"
    run get nothing_like_it 1
    expect 2 'tears tables'
    run get keyless x
    expect 4 'primary key'
    run set people 2 nam=x
    expect 2 "no column 'nam'; did you mean 'name'?"
    run set people 2 age=old
    expect 4 "column 'age'"
    run set people 2 age=99999999999999999999
    expect 4 "column 'age'"
    run set people 2 'tags={"a":}'
    expect 4 "column 'tags'"
    run set people 2 'tags:=[NaN]'
    expect 4
    run set people 2 'age:=1,"name":"x"'
    expect 4
    run set people 2 name:=null
    expect 4 "name"
    run set people 2 id=7
    expect 4 "id"
    run set people 2 age=1 age=2
    expect 2 'given twice'
    run set people 2 age
    expect 2 'is not column=value'
    run set people 2
    expect 2 'nothing to set'
    run insert people id=99
    expect 4 'name'
    run insert people id=2 name=again
    expect 1
    run insert people id=98 "name=$(printf 'a\377b')"
    expect 4
    run insert people id=x name=y
    expect 4 "column 'id'"
    run get people x
    expect 4 "column 'id'"
    run get people 2 --json
    same "$(fields name age)" 'n0 48'
}

errors_are_json_when_asked()
{
    run get people 777 --json
    expect 1
    same "$("$json_lines" ok status < "$err")" 'false NOT_FOUND'
    run insert people id=2 name=x --json
    expect 1
    same "$("$json_lines" ok status < "$err")" 'false CONFLICT'
    run --json get people 2 --bogus
    expect 2
    same "$("$json_lines" status < "$err")" USAGE
}

tables_are_described()
{
    run tables
    expect 0 '^people$'
    run tables --json
    expect 0
    fields table | grep -qx visits || fail 'no table visits'
    run describe visits --json
    expect 0
    same "$(fields column key nullable | tr '\n' ' ')" 'site 1 false day 2 false total 0 false '
    run describe people
    expect 0 '^row_version	bigint		no	.*version'
    run describe nothing_like_it
    expect 2
    run doctor
    expect 0 '^l3	ok	'
    run doctor --json
    expect 0
    fields tier severity | grep -q '^l1 0' || fail 'nothing about l1'
    run bench people --rows 5 --json
    expect 0
    fields path | grep -qx l3 || fail 'L3 was not measured'
}

echo 'on the embedded store'
json=TEXT_JSON time=TEXT_DATETIME
export TEARS_L3_URL="sqlite:$folder/rows.db"
make_tables
rows_are_written_and_read
composite_keys_are_given_in_order
pages_follow_each_other
wrong_data_is_refused_and_named
errors_are_json_when_asked
tables_are_described

if [ -z "${TEARS_TEST_PG_URL:-}" ] || [ -z "${TEARS_TEST_NATS_URL:-}" ]; then
    echo 'without servers: not on PostgreSQL and NATS (./dev test starts them)'
    exit 0
fi
echo 'on PostgreSQL and NATS'
json=JSONB time=TIMESTAMPTZ
TEARS_L3_URL=$TEARS_TEST_PG_URL TEARS_L2_URL=$TEARS_TEST_NATS_URL TEARS_NAMESPACE=cli-rows-$$
export TEARS_L2_URL TEARS_NAMESPACE
make_tables
rows_are_written_and_read
composite_keys_are_given_in_order
pages_follow_each_other
wrong_data_is_refused_and_named
errors_are_json_when_asked
tables_are_described
