# What `cmake --install` installs, and the Debian package that `cpack` makes of it.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(config_folder ${CMAKE_INSTALL_LIBDIR}/cmake/client_tls)
install(TARGETS client_tls EXPORT client_tls-targets)
install(DIRECTORY include/client_tls TYPE INCLUDE)
install(FILES LICENSE TYPE DOC)
install(EXPORT client_tls-targets NAMESPACE client_tls:: DESTINATION ${config_folder})
configure_file(cmake/client_tls-config.cmake.in client_tls-config.cmake @ONLY)
# Before 1.0, another minor version is another interface.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/client_tls-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/client_tls-config.cmake ${PROJECT_BINARY_DIR}/client_tls-config-version.cmake
  DESTINATION ${config_folder})

# Relative to the file itself, so that the installed tree can be moved.
file(RELATIVE_PATH CLIENT_TLS_PC_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(cmake/client_tls.pc.in client_tls.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/client_tls.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME libclient-tls-dev)
set(CPACK_PACKAGE_CONTACT "The client-tls project")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY ${PROJECT_DESCRIPTION})
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES OFF)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "libssl-dev (>= 3.0)")
# A static library depends on nothing that dpkg-shlibdeps could find; to look it up, CPack would want `file` installed.
get_target_property(library_type client_tls TYPE)
if(library_type STREQUAL "SHARED_LIBRARY")
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
endif()
include(CPack)
