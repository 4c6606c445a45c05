# cmake -D FOLDER=... -P check_test.cmake: that check.cmake finds what it is for, in a tree that is made anew in a folder.
cmake_minimum_required(VERSION 3.25)

set(low include/client_tls/low)
set(high include/client_tls/high)

# expect(MESSAGE LAYERS FILE TEXT...): what check.cmake says of a tree of these files; nothing, where it is empty.
function(expect message layers)
  file(REMOVE_RECURSE ${FOLDER})
  while(ARGN)
    list(POP_FRONT ARGN file text)
    file(WRITE ${FOLDER}/${file} "${text}")
  endwhile()
  execute_process(COMMAND ${CMAKE_COMMAND} -D ROOT=${FOLDER} "-DLAYERS=${layers}" -P ${CMAKE_CURRENT_LIST_DIR}/check.cmake
    RESULT_VARIABLE status ERROR_VARIABLE said)
  string(FIND "${said}" "${message}" at)
  if((message STREQUAL "" AND NOT status EQUAL 0) OR (NOT message STREQUAL "" AND (status EQUAL 0 OR at EQUAL -1)))
    message(SEND_ERROR "instead of '${message}': ${status}, ${said}")
  endif()
endfunction()

set(nothing "#include <vector>\n#include <nlohmann/json.hpp>\n#include \"client_tls/stops_here\"\n")
set(include_low "#pragma once\n\n#include \"client_tls/low.hpp\"\n")
set(include_high "// [a; comment]\n#include \"client_tls/high.hpp\"\n")
expect("" "${low};${high};src/high"
  ${low}.hpp "${nothing}" ${high}.hpp "${include_low}" src/high.cpp "${include_high}" src/high.hpp "${include_low}")
expect("${low}.hpp:2: the include of ${high}.hpp goes up" "${low};${high}" ${low}.hpp "${include_high}" ${high}.hpp "${nothing}")
expect("${low}.hpp:2: the include of ${high}.hpp goes up" "${low};${high}"  # a circle
  ${low}.hpp "${include_high}" ${high}.hpp "${include_low}")
expect("${high}.hpp:3: the include of ${low}.hpp goes up" "${high};${low}"  # the same circle, in the other order
  ${low}.hpp "${include_high}" ${high}.hpp "${include_low}")
expect("${low}.hpp:3: it includes itself" "${low}" ${low}.hpp "${include_low}")
expect("${high}.hpp:1: it is not in the list" "${low}" ${low}.hpp "${nothing}" ${high}.hpp "${nothing}")
expect("${high}.hpp:3: ${low}.hpp is not in the list" "${high}" ${high}.hpp "${include_low}")
expect("${low}.hpp:1: src/inner.hpp is not in the list" "${low}" ${low}.hpp "#include \"inner.hpp\"\n")
expect("there is no file ${high}.hpp or .cpp" "${low};${high}" ${low}.hpp "${nothing}")
file(REMOVE_RECURSE ${FOLDER})
