#!/bin/sh
# Fails when a file under src/ includes a folder that src/LAYERS does not allow it to know, a private header
# of another folder, or a library that only the drivers may use.
# usage: check_layers.sh [ROOT]
set -eu
cd "${1:-.}/src"

find . -name '*.[ch]' | LC_ALL=C sort | xargs awk '
BEGIN {
    # Headers of libraries that do I/O belong to the drivers; small pure ones to who needs them.
    drivers_only["libpq-fe.h"] = drivers_only["sqlite3.h"] = drivers_only["nats/nats.h"] = drivers_only["nats.h"] = 1
    # The SQLite kind of L1 is a store of its own, not a user of the L3 driver.
    exempt["tier/l1_sqlite.c sqlite3.h"] = 1
    while ((getline line < "LAYERS") > 0) {
        sub(/#.*/, "", line)
        if (line !~ /:/)
            continue
        name = line
        sub(/:.*/, "", name)
        sub(/^[^:]*:/, "", line)
        count = split(line, names, " ")
        for (i = 1; i <= count; i++) {
            if (!(names[i] in known)) {
                print "src/LAYERS: " name " points up or sideways, at " names[i]
                failed = 1
            }
            allowed[name, names[i]] = 1
        }
        known[name] = 1
    }
}
FNR == 1 {
    path = FILENAME
    sub(/^\.\//, "", path)
    here = path
    sub(/\/.*/, "", here)
    if (!(here in known)) {
        print "src/" path ": " here "/ is no layer of src/LAYERS"
        failed = 1
    }
}
/^[ \t]*#[ \t]*include[ \t]*[<"]/ {
    target = $0
    sub(/^[^<"]*[<"]/, "", target)
    sub(/[>"].*/, "", target)
    if (target in drivers_only && here != "driver" && !((path " " target) in exempt)) {
        print "src/" path ":" FNR ": only driver/ may include " target
        failed = 1
    }
    there = target
    if ($0 !~ /"/ || !sub(/\/.*/, "", there) || there == here)
        next
    if (!((here, there) in allowed)) {
        print "src/" path ":" FNR ": " here "/ must not know " there "/"
        failed = 1
    } else if (target ~ /_impl\.h$/) {
        print "src/" path ":" FNR ": " target " is private to " there "/"
        failed = 1
    }
}
END { exit failed }
'
