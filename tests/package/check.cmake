# Makes the library available in one way and builds a stranger's project against it, in FOLDER:
#
#   cmake -D WAY=... -D SOURCE_DIR=... -D BUILD_DIR=... -D FOLDER=... -D GENERATOR=... -D COMPILER=... -P check.cmake
#
# WAY: find_package, find_package_cxx23, find_package_shared, pkg_config, pkg_config_shared, add_subdirectory,
# no_exceptions, debian_package
set(prefix ${FOLDER}/installed)
set(way find_package)
set(standard 20)
set(indices 2)  # of SSLs: one for each plug-in that the library was linked into
set(options -G ${GENERATOR} -D CMAKE_CXX_COMPILER=${COMPILER} -D CMAKE_BUILD_TYPE=Release)
file(REMOVE_RECURSE ${FOLDER})

function(run)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  list(JOIN ARGV " " command)
  message("${command}\n${output}")
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "failed: ${result}")
  endif()
endfunction()

if(WAY MATCHES "_cxx23$")
  set(standard 23)
endif()
if(WAY MATCHES "^pkg_config")
  set(way pkg_config)
endif()
if(WAY MATCHES "_shared$")
  set(indices 1)
  run(${CMAKE_COMMAND} -S ${SOURCE_DIR} -B ${FOLDER}/shared ${options} -D BUILD_SHARED_LIBS=ON -D CLIENT_TLS_TESTS=OFF
      -D CLIENT_TLS_EXAMPLES=OFF -D CMAKE_INSTALL_LIBDIR=lib)
  run(${CMAKE_COMMAND} --build ${FOLDER}/shared)
  run(${CMAKE_COMMAND} --install ${FOLDER}/shared --prefix ${FOLDER}/first)
elseif(WAY STREQUAL "debian_package")
  run(${CMAKE_COMMAND} -E make_directory ${FOLDER}/package)
  run(cpack --config ${BUILD_DIR}/CPackConfig.cmake -B ${FOLDER}/package)
  file(GLOB package ${FOLDER}/package/*.deb)
  run(dpkg-deb --info ${package})
  run(dpkg-deb --extract ${package} ${FOLDER}/extracted)
  file(RENAME ${FOLDER}/extracted/usr ${FOLDER}/first)
elseif(WAY STREQUAL "add_subdirectory" OR WAY STREQUAL "no_exceptions")
  set(way add_subdirectory)
  list(APPEND options -D CLIENT_TLS_SOURCE_DIR=${SOURCE_DIR})
  if(WAY STREQUAL "no_exceptions")
    list(APPEND options "-DCMAKE_CXX_FLAGS=-fno-exceptions -fno-rtti")
  endif()
else()
  run(${CMAKE_COMMAND} --install ${BUILD_DIR} --prefix ${FOLDER}/first)
endif()

# What is installed can be moved.
if(EXISTS ${FOLDER}/first)
  file(RENAME ${FOLDER}/first ${prefix})
endif()
set(ENV{PKG_CONFIG_PATH} ${prefix}/lib/pkgconfig)
run(${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR}/stranger -B ${FOLDER}/stranger ${options} -D WAY=${way}
    -D STANDARD=${standard} -D CMAKE_PREFIX_PATH=${prefix})
run(${CMAKE_COMMAND} --build ${FOLDER}/stranger)
set(ENV{LD_LIBRARY_PATH} ${prefix}/lib)
run(${FOLDER}/stranger/stranger)
if(NOT way STREQUAL "pkg_config")
  run(${FOLDER}/stranger/plugin_host ${FOLDER}/stranger/libone.so ${FOLDER}/stranger/libanother.so ${indices})
endif()
