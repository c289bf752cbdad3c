#!/bin/sh
# Runs a command beside a private PostgreSQL and a private nats-server, and stops both when it ends.
#
# Owns:     one folder under ${TMPDIR:-/tmp}, the two servers in it, their ports (loopback, free ones).
# Fails:    with the command's status; with 1 and the server's log when a server does not start.
# Ends:     on exit, INT, TERM and HUP the servers are stopped by process id and the folder is removed; should
#           this script be killed outright, the kernel signals the servers (pdeathsig).
# Begin at: main.
#
# usage: servers.sh [--durable] [--root DIR] [--] [COMMAND [ARG...]]   without a command: waits until interrupted
#   --durable   PostgreSQL with fsync, as a bench needs it; otherwise without, as tests need it
#   --root DIR  takes PostgreSQL from the system installed under DIR (needs root)
#
# The command finds:
#   TEARS_TEST_PG_URL           a superuser without a password, by TCP
#   TEARS_TEST_PG_SOCKET_URL    the same by the unix socket
#   TEARS_TEST_PG_PASSWORD_URL  a user that has to give its password
#   TEARS_TEST_PG_PID           process id of the postmaster
#   TEARS_TEST_NATS_URL         JetStream is on
#   TEARS_TEST_NATS_PID         process id of nats-server
set -eu

start_attempts_max=8
ready_waits_max=150 # of 0.1 s

root=    # where PostgreSQL lives, when not in this system
folder=  # of both servers, as this system sees it
inside=  # the same as PostgreSQL sees it
postgres_pid=
nats_pid=
command_pid=

fail()
{
    echo "servers: $*" >&2
    exit 1
}

# stop PID SIGNAL: asks a child to end, waits up to 5 s, then insists.
stop()
{
    [ -n "$1" ] || return 0
    kill -s "$2" "$1" 2> /dev/null || return 0
    waits=0
    while kill -0 "$1" 2> /dev/null && [ $waits -lt 50 ]; do
        sleep 0.1
        waits=$((waits + 1))
    done
    kill -s KILL "$1" 2> /dev/null || true
    wait "$1" 2> /dev/null || true
}

clean_up()
{
    status=$?
    trap - EXIT
    trap '' INT TERM HUP
    stop "$command_pid" TERM
    stop "$nats_pid" TERM
    # INT is PostgreSQL's fast shutdown; QUIT leaves at once, and nothing here has to be kept.
    stop "$postgres_pid" QUIT
    [ -z "$folder" ] || rm -rf "$folder"
    exit "$status"
}

# Runs a program where PostgreSQL lives.
in_root()
{
    if [ -n "$root" ]; then
        chroot "$root" "$@"
    else
        "$@"
    fi
}

# Becomes a program of PostgreSQL, as a user that it accepts: it refuses to be root.
exec_as_postgres()
{
    if [ -n "$root" ]; then
        exec chroot --userspec=postgres:postgres "$root" "$@"
    elif [ "$(id -u)" -eq 0 ]; then
        exec setpriv --reuid=postgres --regid=postgres --clear-groups -- "$@"
    else
        exec "$@"
    fi
}

as_postgres()
{
    (exec_as_postgres "$@")
}

find_programs()
{
    postgres_bin=${TEARS_POSTGRES_BIN:-}
    if [ -z "$postgres_bin" ]; then
        for candidate in "$root"/usr/lib/postgresql/*/bin; do
            [ ! -x "$candidate/initdb" ] || postgres_bin=${candidate#"$root"}
        done
    fi
    [ -x "$root$postgres_bin/initdb" ] || fail "no PostgreSQL server is installed; ./dev setup installs it"
    nats_server=$(PATH=$PATH:/usr/sbin command -v nats-server) ||
        fail "no nats-server is installed; ./dev setup installs it"
}

# A port that was free a moment ago, outside the range the kernel gives to outgoing connections.
pick_port()
{
    random=$(od -An -N2 -tu2 /dev/urandom)
    echo $((15000 + random % 15000))
}

make_folder()
{
    umask 022
    if [ -n "$root" ]; then
        folder=$(mktemp -d "$root/tmp/tears-servers.XXXXXX")
    else
        folder=$(mktemp -d "${TMPDIR:-/tmp}/tears-servers.XXXXXX")
    fi
    inside=${folder#"$root"}
    # A unix socket's path has to fit 107 bytes.
    [ ${#inside} -le 70 ] || fail "TMPDIR is too long for a unix socket: $folder"
    chmod 0711 "$folder"
    mkdir "$folder/postgres" "$folder/nats"
    if [ "$(id -u)" -eq 0 ]; then
        in_root chown postgres:postgres "$inside/postgres"
    fi
}

# The settings that differ from PostgreSQL's own.
write_postgres_settings()
{
    data=$inside/postgres/data
    {
        echo "listen_addresses = '127.0.0.1'"
        echo "unix_socket_directories = '$inside/postgres'"
        echo "max_connections = 200"
        echo "shared_buffers = 256MB"
        echo "fsync = $fsync"
        echo "log_min_messages = warning"
        # Inside a container or a chroot there may be no /dev/shm.
        echo "dynamic_shared_memory_type = mmap"
    } > "$folder/settings"
    {
        echo "local all tears_password              scram-sha-256"
        echo "host  all tears_password 127.0.0.1/32 scram-sha-256"
        echo "local all all                         trust"
        echo "host  all all            127.0.0.1/32 trust"
    } > "$folder/hba"
    as_postgres sh -c "cat > '$data/postgresql.auto.conf'" < "$folder/settings"
    as_postgres sh -c "cat > '$data/pg_hba.conf'" < "$folder/hba"
}

init_postgres()
{
    as_postgres "$postgres_bin/initdb" -D "$inside/postgres/data" -U tears -A trust -E UTF8 \
        --locale=C.UTF-8 --no-sync > "$folder/initdb.log" 2>&1 || {
        cat "$folder/initdb.log" >&2
        fail "initdb failed"
    }
    write_postgres_settings
}

# Starts the postmaster on one port; fails when it ends or does not answer.
try_postgres()
{
    port=$1
    exec_as_postgres setpriv --pdeathsig QUIT -- "$postgres_bin/postgres" -D "$inside/postgres/data" -p "$port" \
        > "$folder/postgres.log" 2>&1 < /dev/null &
    postgres_pid=$!
    waits=0
    until in_root "$postgres_bin/pg_isready" -q -h "$inside/postgres" -p "$port"; do
        if ! kill -0 "$postgres_pid" 2> /dev/null || [ $waits -ge $ready_waits_max ]; then
            stop "$postgres_pid" QUIT
            postgres_pid=
            return 1
        fi
        sleep 0.1
        waits=$((waits + 1))
    done
}

start_postgres()
{
    init_postgres
    attempts=0
    until try_postgres "$(pick_port)"; do
        attempts=$((attempts + 1))
        if [ $attempts -ge $start_attempts_max ]; then
            cat "$folder/postgres.log" >&2
            fail "PostgreSQL does not start"
        fi
    done
    in_root "$postgres_bin/psql" -q -X -v ON_ERROR_STOP=1 -h "$inside/postgres" -p "$port" -U tears -d postgres \
        -c "CREATE ROLE tears_password LOGIN PASSWORD 'open-sesame'" \
        -c "CREATE DATABASE tears" -c "GRANT ALL ON DATABASE tears TO tears_password"
    TEARS_TEST_PG_URL=postgresql://tears@127.0.0.1:$port/tears
    TEARS_TEST_PG_SOCKET_URL="postgresql://tears@/tears?host=$folder/postgres&port=$port"
    TEARS_TEST_PG_PASSWORD_URL=postgresql://tears_password:open-sesame@127.0.0.1:$port/tears
    TEARS_TEST_PG_PID=$postgres_pid
    export TEARS_TEST_PG_URL TEARS_TEST_PG_SOCKET_URL TEARS_TEST_PG_PASSWORD_URL TEARS_TEST_PG_PID
}

start_nats()
{
    setpriv --pdeathsig KILL -- "$nats_server" -a 127.0.0.1 -p -1 -js -sd "$folder/nats" \
        --ports_file_dir "$folder/nats" > "$folder/nats.log" 2>&1 < /dev/null &
    nats_pid=$!
    waits=0
    until [ -s "$folder/nats/nats-server_$nats_pid.ports" ]; do
        if ! kill -0 "$nats_pid" 2> /dev/null || [ $waits -ge $ready_waits_max ]; then
            cat "$folder/nats.log" >&2
            fail "nats-server does not start"
        fi
        sleep 0.1
        waits=$((waits + 1))
    done
    TEARS_TEST_NATS_URL=$(grep -o 'nats://127[^"]*' "$folder/nats/nats-server_$nats_pid.ports" | head -n 1)
    TEARS_TEST_NATS_PID=$nats_pid
    export TEARS_TEST_NATS_URL TEARS_TEST_NATS_PID
}

# Runs the command as a job, because a shell that waits for a job obeys its traps at once.
run_command()
{
    "$@" <&3 3<&- &
    command_pid=$!
    wait "$command_pid" && status=0 || status=$?
    command_pid=
    return "$status"
}

main()
{
    fsync=off
    while :; do
        case ${1:-} in
        --durable) fsync=on; shift ;;
        --root) root=$(cd "$2" && pwd); shift 2 ;;
        --) shift; break ;;
        *) break ;;
        esac
    done
    exec 3<&0

    find_programs
    trap clean_up EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    make_folder
    start_postgres
    start_nats
    if [ $# -eq 0 ]; then
        echo "export TEARS_TEST_PG_URL=$TEARS_TEST_PG_URL"
        echo "export TEARS_TEST_NATS_URL=$TEARS_TEST_NATS_URL"
        echo "servers: running until interrupted" >&2
        set -- sleep infinity
    fi
    run_command "$@"
}

main "$@"
