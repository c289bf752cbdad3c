# Warnings are errors in every preset; see docs/adr for the language chosen.
add_library(tears_warnings INTERFACE)
target_compile_options(tears_warnings INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wvla -Wwrite-strings -Wcast-qual -Wundef
    -Wformat=2 -Wimplicit-fallthrough -Wswitch-enum -Werror
    $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes> $<$<COMPILE_LANGUAGE:C>:-Wmissing-prototypes>
    $<$<CONFIG:Release>:-Wnull-dereference>)
