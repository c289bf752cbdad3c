#!/bin/sh
# The demo, shortened: its figures add up, in one process and in two.
. "$(dirname "$0")/support.sh"
export TEARS_L3_URL="sqlite:$folder/demo.db"

# A package list of our own, so that the test runs on every machine.
i=0
while [ $i -lt 400 ]; do
    i=$((i + 1))
    printf 'Package: package-%s\nStatus: install ok installed\nSection: libs\nPriority: optional\n' $i
    printf 'Installed-Size: %s\nMaintainer: Ada <ada@example.org>\nArchitecture: amd64\nVersion: 1.%s\n' $i $i
    printf 'Depends: libc6 (>= 2.36), a | b\nDescription: summary %s\n A longer text,\n .\n of several lines,\n' $i
    printf ' %0500d\n\n' 0
done > "$folder/status"
printf 'Package: dpkg\nVersion: 1.21\nArchitecture: amd64\nDescription: the packager\n\n' >> "$folder/status"
printf 'Package: dpkg\nVersion: 1.21\nArchitecture: i386\nDescription: the packager\n' >> "$folder/status"

for processes in 1 2; do
    run demo --packages "$folder/status" --seconds 1 --threads 2 --processes $processes --json
    expect 0
    same "$(fields processes failures)" "$processes 0"
    [ "$(fields l1_reads)" -gt 0 ] || fail 'no reads from L1'
    [ "$(fields l3_reads)" -gt 0 ] || fail 'no reads from L3'
    [ "$(fields writes)" -gt 0 ] || fail 'no writes'
    [ "$(fields evictions)" -gt 0 ] || fail 'no evictions: L1 holds all rows'
    [ "$(fields l1_bytes)" -le "$(fields l1_bytes_max)" ] || fail 'L1 is larger than its bound'
done
run get packages dpkg:i386 --json
expect 0
same "$(fields summary version)" 'the packager 1.21'
run get packages package-7 --json
same "$(fields installed_size depends.1 section)" '7 a | b libs'
run demo --packages "$folder/status" --seconds 1
expect 0 '^hit ratio of L1 '
expect 0 '^dpkg '
run demo --packages "$folder/none"
expect 6 'package list'
