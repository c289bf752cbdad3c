# What check_banned.sh looks for; read after lib.awk.
BEGIN {
    # No bound, hidden state, or no way to tell a failure from a result: nowhere.
    everywhere = "strcpy strcat strncpy strncat sprintf vsprintf stpcpy strtok gets atoi atol atoll atof " \
        "strtol strtoul strtoll strtoull gmtime localtime asctime ctime rand srand random alloca setlocale tmpnam mktemp"
    # In the library only: raw memory goes through base/alloc.c; a library neither prints nor ends its host.
    library = "malloc calloc realloc free strdup strndup asprintf vasprintf getline getdelim realpath open_memstream " \
        "printf vprintf puts putchar perror exit _exit system popen signal setenv putenv unsetenv chdir"
    count = split(everywhere, names, " ")
    for (i = 1; i <= count; i++)
        banned[names[i]] = 1
    count = split(library, names, " ")
    for (i = 1; i <= count; i++)
        banned_in_library[names[i]] = 1
}
FNR == 1 {
    in_comment = 0
    in_library = FILENAME ~ /^src\//
    is_allocator = FILENAME == "src/base/alloc.c"
}
{
    code = code_of($0)
    if (code ~ /^[ \t]*#/)
        next
    while (match(code, /[A-Za-z_][A-Za-z0-9_]*[ \t]*\(/)) {
        before = RSTART > 1 ? substr(code, RSTART - 1, 1) : " "
        name = substr(code, RSTART, RLENGTH - 1)
        sub(/[ \t]*$/, "", name)
        code = substr(code, RSTART + RLENGTH)
        if (before ~ /[.>A-Za-z0-9_]/)
            continue
        if (name in banned || (in_library && !is_allocator && name in banned_in_library)) {
            print FILENAME ":" FNR ": " name "() is banned"
            failed = 1
        }
    }
}
END { exit failed }
