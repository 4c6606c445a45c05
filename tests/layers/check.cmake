# cmake -D ROOT=... -P check.cmake: whether includes in include/client_tls/ and src/ only go down. A file may include what
# stands before its own name here, and a .cpp its own header: so there is no circle either. A file whose name is not
# here is an error, and so is a name without a file.
cmake_minimum_required(VERSION 3.25)

set(layers
  include/client_tls/version
  include/client_tls/export
  include/client_tls/result
  src/openssl_version
  src/errors
  src/ex_data_index
  include/client_tls/limits
  src/limits_check
  include/client_tls/openssl_ptr
  include/client_tls/server_name
  src/server_name
  include/client_tls/phase
  src/phase
  include/client_tls/pem
  src/pem_blocks
  src/pem
  src/ca_names
  src/certificate_time
  src/certificate_list
  src/pem_writer
  include/client_tls/verdict
  src/envelope
  src/revocation_list_check
  src/revocation_list
  src/list_check
  include/client_tls/policy
  src/policy_check
  src/policy_warnings
  src/policy
  src/policy_rules
  include/client_tls/policy_table
  src/policy_table
  src/policy_verification
  src/host_settings
  src/connection
  src/session_binding
  src/certificate_request
  src/handshake_progress
  src/policy_handshake
  src/verdict
  src/reason_text
  include/client_tls/log
  src/log
  include/client_tls/json
  include/client_tls/client_tls
  src/client_tls
  include/client_tls/install
  src/installation
  src/handshake_report
  src/install)
if(DEFINED LAYERS)  # the test of this test
  set(layers ${LAYERS})
endif()

function(wrong message)
  message(NOTICE "${message}")
  set_property(GLOBAL PROPERTY failed TRUE)
endfunction()

set(unused ${layers})
file(GLOB_RECURSE files RELATIVE ${ROOT} ${ROOT}/include/*.[ch]pp ${ROOT}/src/*.[ch]pp)
foreach(file IN LISTS files)
  string(REGEX REPLACE "\\.[ch]pp$" "" name ${file})
  list(REMOVE_ITEM unused ${name})
  list(FIND layers ${name} own)
  if(own EQUAL -1)
    wrong("${file}:1: it is not in the list of tests/layers/check.cmake")
    continue()
  endif()
  file(READ ${ROOT}/${file} text)
  # What has a meaning in a list of CMake's.
  string(REGEX REPLACE "[][;\\]" " " text "${text}")
  string(REPLACE "\n" ";" lines "${text}")
  set(number 0)
  foreach(line IN LISTS lines)
    math(EXPR number "${number} + 1")
    if(NOT line MATCHES "^ *# *include *(\"|<client_tls/)" OR NOT line MATCHES "[\"<]([^\">]+)\\.hpp[\">]")
      continue()
    endif()
    set(included src/${CMAKE_MATCH_1})
    if(included MATCHES "^src/client_tls/")
      string(REGEX REPLACE "^src" "include" included ${included})
    endif()
    list(FIND layers ${included} other)
    if(other EQUAL -1)
      wrong("${file}:${number}: ${included}.hpp is not in the list of tests/layers/check.cmake")
    elseif(other GREATER own)
      wrong("${file}:${number}: the include of ${included}.hpp goes up")
    elseif(other EQUAL own AND file MATCHES "\\.hpp$")
      wrong("${file}:${number}: it includes itself")
    endif()
  endforeach()
endforeach()
foreach(name IN LISTS unused)
  wrong("tests/layers/check.cmake: there is no file ${name}.hpp or .cpp")
endforeach()
get_property(failed GLOBAL PROPERTY failed)
if(failed)
  message(FATAL_ERROR "Not all of the includes go down the list.")
endif()
