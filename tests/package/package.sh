#!/bin/sh
# Installs a build into a fresh prefix and uses it from there, in one of these ways:
#   headers       every public header compiles alone, as C11 and as C++17, without a warning
#   symbols       the shared library exports what the headers declare, and nothing else
#   pkg_config    C and C++ programs, with the shared library and with the archive, through tears.pc
#   find_package  the same through the CMake package
#   load          the shared library can be loaded, asked its version, and unloaded
# usage: package.sh PART SOURCE-DIR BUILD-DIR CC CXX CMAKE
set -eu
part=$1
source_dir=$2
build_dir=$3
cc=$4
cxx=$5
cmake=$6
here=$source_dir/tests/package
# Not -Wshadow in C++: a function may be called as a struct, like stat() and struct stat.
warnings="-Wall -Wextra -Wpedantic -Werror"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
prefix=$folder/prefix
"$cmake" --install "$build_dir" --prefix "$prefix" > "$folder/install.log" 2>&1 || {
    cat "$folder/install.log"
    exit 1
}
libdir=$(dirname "$(find "$prefix" -name libtears.a)")
cd "$folder"

# run PROGRAM: in an empty folder, with no tier of the environment.
run()
{
    rm -rf "$folder/run"
    mkdir "$folder/run"
    (cd "$folder/run" && env -u TEARS_L3_URL -u TEARS_L2_URL -u TEARS_NAMESPACE LD_LIBRARY_PATH="$libdir" "$1")
}

# shellcheck disable=SC2086  # $warnings is a list of flags
test_headers()
{
    for header in "$prefix"/include/tears/*.h; do
        printf '#include <tears/%s>\n' "$(basename "$header")" > alone.c
        "$cc" -std=c11 $warnings -I"$prefix/include" -fsyntax-only alone.c
        "$cxx" -std=c++17 -x c++ $warnings -Wold-style-cast -I"$prefix/include" -fsyntax-only alone.c
    done
}

test_symbols()
{
    nm -D --defined-only "$libdir/libtears.so" | awk '$2 ~ /[A-Z]/ && $2 != "A" { sub(/@.*/, "", $3); print $3 }' |
        LC_ALL=C sort -u > exported
    "$source_dir/tools/public_symbols.sh" "$source_dir" > declared
    diff -u declared exported
    # The archive hides nothing from the linker, so everything in it must carry one of the two prefixes.
    nm -g --defined-only "$libdir/libtears.a" 2> /dev/null | awk 'NF == 3 { print $3 }' |
        grep -v -E '^(tears_|t3_|__odr_asan|__asan|__ubsan)' > strangers || true
    [ ! -s strangers ] || { echo "the archive has names without our prefix:"; cat strangers; exit 1; }
}

# shellcheck disable=SC2046,SC2086  # lists of flags
test_pkg_config()
{
    PKG_CONFIG_PATH=$libdir/pkgconfig
    export PKG_CONFIG_PATH
    flags=$(pkg-config --cflags tears)
    "$cc" -std=c11 $warnings $flags "$here/consumer.c" -o shared_c $(pkg-config --libs tears)
    run "$folder/shared_c"
    "$cxx" -std=c++17 $warnings $flags "$here/consumer.cc" -o shared_cc $(pkg-config --libs tears)
    run "$folder/shared_cc"

    # Without the shared library, -ltears is the archive.
    rm "$libdir"/libtears.so*
    "$cc" -std=c11 $warnings $flags "$here/consumer.c" -o static_c $(pkg-config --static --libs tears)
    run "$folder/static_c"
    "$cxx" -std=c++17 $warnings $flags "$here/consumer.cc" -o static_cc $(pkg-config --static --libs tears)
    run "$folder/static_cc"
}

test_find_package()
{
    {
        "$cmake" -S "$here/consumer" -B consumer -G Ninja -DCMAKE_PREFIX_PATH="$prefix" \
            -DCMAKE_C_COMPILER="$cc" -DCMAKE_CXX_COMPILER="$cxx"
        "$cmake" --build consumer
    } > cmake.log 2>&1 || true
    [ -x consumer/static_cc ] || { cat cmake.log; exit 1; }
    for program in shared_c shared_cc static_c static_cc; do
        run "$folder/consumer/$program"
    done
}

# shellcheck disable=SC2086
test_load()
{
    "$cc" -std=c11 $warnings -D_GNU_SOURCE "$here/load.c" -o load -ldl
    ./load "$libdir/libtears.so.0"
    [ ! -e "$prefix/bin/tears" ] || "$prefix/bin/tears" --version
}

"test_$part"
