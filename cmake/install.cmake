# What `cmake --install` puts under the prefix: headers, both libraries, the command, tears.pc, the CMake package.
include(CMakePackageConfigHelpers)

install(DIRECTORY ${CMAKE_SOURCE_DIR}/include/tears DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
    FILES_MATCHING PATTERN "*.h")
install(TARGETS tears_public tears_static tears_shared EXPORT tearsTargets
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TARGET tears)
    install(TARGETS tears RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

list(JOIN TEARS_PKGCONFIG_REQUIRES " " TEARS_REQUIRES_PRIVATE)
set(libs_private ${PQ_LDFLAGS} ${NATS_LDFLAGS} ${SQLITE_LDFLAGS} ${CRYPTO_LDFLAGS} ${JANSSON_LDFLAGS}
    ${YAML_LDFLAGS} ${URCU_LDFLAGS} -pthread -lm)
list(REMOVE_DUPLICATES libs_private)
list(JOIN libs_private " " TEARS_LIBS_PRIVATE)
# From where tears.pc lies up to the prefix, so that an installation may be moved.
file(RELATIVE_PATH TEARS_PC_TO_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(cmake/tears.pc.in ${CMAKE_BINARY_DIR}/tears.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/tears.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/tears)
configure_package_config_file(cmake/tearsConfig.cmake.in ${CMAKE_BINARY_DIR}/tearsConfig.cmake
    INSTALL_DESTINATION ${package_dir} NO_SET_AND_CHECK_MACRO)
# While 0.x a minor release may break programs, so only the same minor version is compatible.
write_basic_package_version_file(${CMAKE_BINARY_DIR}/tearsConfigVersion.cmake
    COMPATIBILITY SameMinorVersion)
install(EXPORT tearsTargets NAMESPACE tears:: DESTINATION ${package_dir})
install(FILES ${CMAKE_BINARY_DIR}/tearsConfig.cmake ${CMAKE_BINARY_DIR}/tearsConfigVersion.cmake
    DESTINATION ${package_dir})
