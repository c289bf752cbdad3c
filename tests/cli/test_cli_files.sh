#!/bin/sh
# import and export: formats, bad lines, resuming, what comes out goes in again.
. "$(dirname "$0")/support.sh"
export TEARS_L3_URL="sqlite:$folder/files.db"
cd "$folder"

fresh()
{
    "$run_sql" "$TEARS_L3_URL" 'DROP TABLE IF EXISTS items' \
        "CREATE TABLE items (id BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, note TEXT,
            size DOUBLE PRECISION, data BLOB, doc TEXT_JSON, total BIGINT NOT NULL DEFAULT 5,
            row_version BIGINT NOT NULL DEFAULT 1)"
    rm -f ./*.tears-resume
}

count()
{
    "$tears" export items < /dev/null | wc -l | tr -d ' '
}

echo 'JSON lines'
fresh
cat > good.jsonl << 'END'
{"id": 1, "name": "a", "doc": {"n": 0.10}}

{"id": 2, "name": "b\u00e4", "note": null, "size": 1.5}
{"name": "c", "id": 3, "total": 7, "size": "NaN"}
END
run import items good.jsonl --json
expect 0
same "$(fields imported skipped)" '3 0'
[ ! -e good.jsonl.tears-resume ] || fail 'a finished import leaves its state'
run get items 1 --json
same "$(fields total note)" '5 null'
expect 0 '"n": *0\.10}' # as it was written
run import items good.jsonl # again: overwrites
expect 0 '^imported 3 rows'
same "$(count)" 3

echo 'bad lines'
fresh
{
    echo '{"id": 1, "name": "a"}'
    echo '{"id": 2, "name": "b"'
    echo '{"id": 3, "name": "c", "name": "d"}'
    echo '{"id": 4, "nmae": "e"}'
    echo '{"id": 5}'
    echo '{"id": 6, "name": "f", "doc": [NaN]}'
    printf '{"id": 7, "name": "\377"}\n'
    echo '{"id": "x", "name": "g"}'
    echo '[1]'
    echo '{"id": 10, "name": "h"}'
} > bad.jsonl
run import items bad.jsonl
expect 4 '^tears: bad.jsonl:2: '
expect 4 'before line 2'
same "$(count)" 1
run import items bad.jsonl --skip-bad --restart --json
expect 0
same "$(fields imported)" 2
for line in 2 3 4 5 6 7 8 9; do
    grep -q "bad.jsonl:$line: " "$err" || fail "line $line is not reported"
done
same "$(count)" 2

echo 'a bad row among good ones in one batch'
fresh
"$run_sql" "$TEARS_L3_URL" 'CREATE UNIQUE INDEX items_note ON items (note)'
i=0
while [ $i -lt 500 ]; do
    i=$((i + 1))
    note=n$i
    [ $i -ne 321 ] || note=n320
    echo "{\"id\": $i, \"name\": \"x\", \"note\": \"$note\"}"
done > rows.jsonl
run import items rows.jsonl --insert
expect 4 'rows.jsonl:321: '
same "$(count)" 320
run import items rows.jsonl --insert --skip-bad
expect 0 'going on from line 321'
same "$(count)" 499
run import items rows.jsonl --insert --skip-bad --json
expect 0
same "$(fields imported skipped)" '0 500'

echo 'CSV'
fresh
printf '\357\273\277id,name,note,size,data,total\r\n1,plain,,,,\r\n2,"a,b ""c""","",1e3,\\x00ff,9\r\n3,"two\nlines",x,,,1\r\n' > good.csv
run import items good.csv
expect 0 '^imported 3 rows'
run get items 1 --json
same "$(fields note size total)" 'null null 5'
run get items 2 --json
same "$(fields name note total)" 'a,b "c"  9'
run get items 3 --json
same "$(fields name)" 'two
lines'
printf 'id,name\n1,a\n2,b,c\n3,"open\n4,d\n5,e"e\n6,f\n' > bad.csv
run import items bad.csv --skip-bad --json
expect 0
same "$(fields imported skipped)" '3 3'
for line in 3 4 6; do
    grep -q "bad.csv:$line: " "$err" || fail "line $line is not reported"
done
printf 'id,nmae\n1,a\n' > header.csv
run import items header.csv
expect 4 "header.csv:1: .*did you mean 'name'"
printf 'id,name,id\n' > header.csv
run import items header.csv
expect 4 'named twice'
: > empty.csv
run import items empty.csv
expect 4 'column names'

echo 'there and back'
for format in jsonl csv; do
    run export items all.$format --force
    expect 0 '^exported [0-9]* rows'
    "$run_sql" "$TEARS_L3_URL" 'DELETE FROM items'
    sed 's/"row_version": [0-9]*/"row_version": 1/' all.$format > back.$format
    run import items back.$format
    expect 0
    run export items again.$format --force
    expect 0
    sed 's/"row_version": [0-9]*/"row_version": 1/' again.$format | cmp -s - back.$format || fail "$format does not come back as it was"
done
run export items all.csv
expect 2 'exists; --force'
run export items --format csv
expect 0 '^id,name,'

echo 'resuming an import'
fresh
i=0
while [ $i -lt 40000 ]; do
    i=$((i + 1))
    echo "{\"id\": $i, \"name\": \"row $i\"}"
done > many.jsonl
"$tears" import items many.jsonl --batch 10 > "$out" 2> "$err" < /dev/null &
id=$!
while [ ! -e many.jsonl.tears-resume ] && kill -0 $id 2> /dev/null; do
    sleep 0.02
done
kill -INT $id 2> /dev/null || true
ran='tears import (interrupted)' code=0
wait $id || code=$?
expect 130 'interrupted'
before=$(count)
[ "$before" -gt 0 ] && [ "$before" -lt 40000 ] || fail "interrupted after $before rows"
line=$(sed -n 's/.*all before line \([0-9]*\).*/\1/p' "$err")
same "$line" $((before + 1))
run import items many.jsonl --json
expect 0 "going on from line $line"
same "$(fields imported)" $((40000 - before))
same "$(count)" 40000
[ ! -e many.jsonl.tears-resume ] || fail 'the state is not removed'
head -n 5 many.jsonl > few.jsonl
fresh
run import items few.jsonl --from-line 4 --json
same "$(fields imported)" 2
"$tears" import items - --format jsonl < few.jsonl > "$out"
same "$(count)" 5

echo 'resuming an export'
fresh
run import items many.jsonl
expect 0
"$tears" export items out.jsonl > "$out" 2> "$err" < /dev/null &
id=$!
while [ ! -e out.jsonl.tears-resume ] && kill -0 $id 2> /dev/null; do
    sleep 0.01
done
kill -INT $id 2> /dev/null || true
ran='tears export (interrupted)' code=0
wait $id || code=$?
if [ $code -eq 130 ]; then # else it was faster than the signal
    run export items out.jsonl
    expect 0 'going on after row'
fi
same "$(wc -l < out.jsonl | tr -d ' ')" 40000
same "$("$json_lines" id < out.jsonl | uniq | wc -l | tr -d ' ')" 40000

echo 'files that are none'
run import items missing.jsonl
expect 6 "cannot open 'missing.jsonl'"
run import items "$folder" --format csv
expect 6
run import items good.txt
expect 2 'say --format'
run import items good.jsonl --format xml
expect 2 'jsonl or csv'
run import nothing good.jsonl
expect 2 'no table'
run export items /nonexistent/x.csv
expect 6 'cannot create'
