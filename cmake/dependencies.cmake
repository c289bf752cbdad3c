# The libraries the project stands on; docs/adr/0008-dependencies.md says why each.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(PQ REQUIRED IMPORTED_TARGET libpq>=14)
pkg_check_modules(NATS REQUIRED IMPORTED_TARGET libnats>=3.4)
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3>=3.35)
pkg_check_modules(CRYPTO REQUIRED IMPORTED_TARGET libcrypto>=3.0)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1>=0.2.5)
pkg_check_modules(URCU REQUIRED IMPORTED_TARGET liburcu-bp)
pkg_check_modules(XXHASH REQUIRED libxxhash>=0.8)

# What tears.pc and the CMake package repeat for programs that link the archive.
set(TEARS_PKGCONFIG_REQUIRES libpq libnats sqlite3 libcrypto jansson yaml-0.1 liburcu-bp)

add_library(tears_dependencies INTERFACE)
target_compile_definitions(tears_dependencies INTERFACE _GNU_SOURCE $<$<BOOL:${TEARS_DEBUG}>:T3_DEBUG>)
target_link_libraries(tears_dependencies INTERFACE PkgConfig::PQ PkgConfig::NATS PkgConfig::SQLITE
    PkgConfig::CRYPTO PkgConfig::JANSSON PkgConfig::YAML PkgConfig::URCU Threads::Threads m)
if(TEARS_SANITIZE)
    # No recovery: a test that only prints an undefined behaviour would pass.
    target_compile_options(tears_dependencies INTERFACE
        -fsanitize=${TEARS_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(tears_dependencies INTERFACE -fsanitize=${TEARS_SANITIZE})
endif()

pkg_check_modules(EDIT IMPORTED_TARGET libedit)
add_library(tears_cli_dependencies INTERFACE)
if(EDIT_FOUND)
    target_link_libraries(tears_cli_dependencies INTERFACE PkgConfig::EDIT)
    target_compile_definitions(tears_cli_dependencies INTERFACE TEARS_HAS_EDIT=1)
endif()
target_link_libraries(tears_cli_dependencies INTERFACE PkgConfig::JANSSON)

# The benchmarks compare L1 with liburcu's own hash table.
if(TEARS_BENCH)
    pkg_check_modules(URCU_CDS REQUIRED IMPORTED_TARGET liburcu-cds)
endif()
