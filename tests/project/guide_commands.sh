#!/bin/sh
# Runs the commands of a chapter of the guide, as a reader would, and compares what they print with what it says.
# usage: guide_commands.sh SOURCE-DIR BUILD-DIR CHAPTER
#
# In the chapter, a block that begins with ```sh run is run; each in a shell of its own, all in one new folder, with `tears` on
# the path.  A ```text block that follows is what the block prints, standard output and errors together; `...` in one of its lines
# stands for any text.  A block that must end with another status than 0 says so: ```sh run status=5.  A chapter with a block
# ```sh run nats needs the server in TEARS_TEST_NATS_URL, which its commands get as TEARS_L2_URL; ```sh run pg needs
# TEARS_TEST_PG_URL as TEARS_L3_URL.  Without the server the test is skipped (77).  A chapter with a block ```sh run own-pg has a
# PostgreSQL of its own, which runs, whose data is in `db` and which pg_ctl stops and starts; it is TEARS_L3_URL, too.
set -eu
source_dir=$1
build_dir=$2
chapter=$source_dir/docs/guide/$3.md

grep -q '^```sh run' "$chapter" || { echo "$3.md has no block to run"; exit 1; }
unset TEARS_L3_URL TEARS_L2_URL TEARS_NAMESPACE TEARS_TERMINAL
if grep -q '^```sh run.* nats' "$chapter"; then
    [ -n "${TEARS_TEST_NATS_URL:-}" ] || { echo "no NATS server (./dev test starts one)"; exit 77; }
    TEARS_L2_URL=$TEARS_TEST_NATS_URL
    TEARS_NAMESPACE=guide_$$
    export TEARS_L2_URL TEARS_NAMESPACE
fi
if grep -q '^```sh run.* pg' "$chapter"; then
    [ -n "${TEARS_TEST_PG_URL:-}" ] || { echo "no PostgreSQL server (./dev test starts one)"; exit 77; }
    TEARS_L3_URL=$TEARS_TEST_PG_URL
    export TEARS_L3_URL
fi

folder=$(mktemp -d)
clean_up()
{
    [ ! -f "$folder/work/db/postmaster.pid" ] || "$folder/bin/pg_ctl" -D "$folder/work/db" stop -m immediate || :
    rm -rf "$folder"
}
trap clean_up EXIT
trap 'exit 1' INT TERM HUP
mkdir "$folder/bin" "$folder/work" "$folder/blocks"
ln -s "$build_dir/tears" "$folder/bin/tears"
PATH=$folder/bin:$PATH
export PATH

# PostgreSQL refuses to be root.
as_postgres=
[ "$(id -u)" -ne 0 ] || as_postgres='setpriv --reuid=postgres --regid=postgres --clear-groups --'

make_postgres()
{
    postgres_bin=${TEARS_POSTGRES_BIN:-}
    for candidate in /usr/lib/postgresql/*/bin; do
        [ -n "$postgres_bin" ] || [ ! -x "$candidate/initdb" ] || postgres_bin=$candidate
    done
    [ -n "$postgres_bin" ] || { echo "no PostgreSQL is installed (./dev setup installs it)"; exit 77; }
    chmod 0711 "$folder" "$folder/work"
    mkdir -m 0700 "$folder/work/db"
    mkdir "$folder/socket"
    [ -z "$as_postgres" ] || chown postgres:postgres "$folder/work/db" "$folder/socket"
    printf '#!/bin/sh\nexec %s %s/pg_ctl -s -w -l %s/work/db/log "$@" < /dev/null\n' "$as_postgres" "$postgres_bin" \
        "$folder" > "$folder/bin/pg_ctl"
    chmod 0755 "$folder/bin/pg_ctl"
    # shellcheck disable=SC2086  # words
    $as_postgres "$postgres_bin/initdb" -D "$folder/work/db" -U guide -A trust -E UTF8 --locale=C.UTF-8 --no-sync > /dev/null
    # shellcheck disable=SC2086  # words
    $as_postgres tee -a "$folder/work/db/postgresql.conf" > /dev/null << END
listen_addresses = ''
unix_socket_directories = '$folder/socket'
dynamic_shared_memory_type = mmap
END
    pg_ctl -D "$folder/work/db" start
    TEARS_L3_URL="postgresql://guide@/postgres?host=$folder/socket"
    export TEARS_L3_URL
    # Should this script be killed outright, its server ends all the same.
    setsid sh -c "while kill -0 $$; do sleep 1; done; $folder/bin/pg_ctl -D $folder/work/db stop -m immediate; rm -rf $folder" \
        > /dev/null 2>&1 < /dev/null &
}
if grep -q '^```sh run.* own-pg' "$chapter"; then
    make_postgres
fi

# blocks/N.sh, blocks/N.status, and blocks/N.text when a text block follows before the next sh block.
awk -v blocks="$folder/blocks" '
    /^```/ && inside != "" { inside = ""; next }
    /^```sh run/ {
        number++
        expected = match($0, /status=[0-9]+/) ? substr($0, RSTART + 7, RLENGTH - 7) : 0
        print expected > (blocks "/" number ".status")
        print NR > (blocks "/" number ".line")
        inside = blocks "/" number ".sh"
        answered = 0
        next
    }
    /^```text$/ && number > 0 && !answered { inside = blocks "/" number ".text"; answered = 1; printf "" > inside; next }
    /^```/ { inside = "nowhere"; answered = 1; next }
    inside != "" && inside != "nowhere" { print > inside }
' "$chapter"

# One line of `expected` after the other matches one of `printed`; ... stands for any text.
matches()
{
    awk '
        function pattern(text)
        {
            gsub(/[][\\.^$*+?(){}|]/, "\\\\&", text)
            gsub(/\\\.\\\.\\\./, ".*", text)
            return "^" text "$"
        }
        NR == FNR { wanted[++count] = $0; next }
        { if (FNR > count || $0 !~ pattern(wanted[FNR])) exit bad = 1 }
        END { exit bad || FNR != count }
    ' "$1" "$2"
}

fail()
{
    echo "FAILED: $3.md, the block at line $(cat "$folder/blocks/$1.line"): $2"
    cat "$folder/blocks/$1.sh"
    echo "it printed:"
    cat "$folder/printed"
    exit 1
}

cd "$folder/work"
number=1
while [ -f "$folder/blocks/$number.sh" ]; do
    status=0
    sh -e "$folder/blocks/$number.sh" > "$folder/printed" 2>&1 < /dev/null || status=$?
    [ "$status" -eq "$(cat "$folder/blocks/$number.status")" ] || fail $number "status $status" "$3"
    if [ -f "$folder/blocks/$number.text" ]; then
        matches "$folder/blocks/$number.text" "$folder/printed" || {
            echo "expected:"
            cat "$folder/blocks/$number.text"
            fail $number "it prints something else" "$3"
        }
    fi
    number=$((number + 1))
done
echo "$((number - 1)) blocks ran as $3.md says"
