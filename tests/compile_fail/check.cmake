# cmake -D COMPILER=... -D SOURCE=... -D INCLUDE_DIRS=... -P check.cmake
#
# With -std=c++20, or as a "// standard:" line in the source says.
set(flags)
foreach(dir IN LISTS INCLUDE_DIRS)
  list(APPEND flags -I ${dir})
endforeach()
file(STRINGS ${SOURCE} standard REGEX "^// standard: ")
if(standard)
  string(REGEX REPLACE "^// standard: " "" standard "${standard}")
else()
  set(standard c++20)
endif()
execute_process(
  COMMAND ${COMPILER} -std=${standard} -Wall -Wextra -Werror -fsyntax-only ${flags} ${SOURCE}
  RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)

file(STRINGS ${SOURCE} expectations REGEX "^// expect: ")
if(NOT expectations)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "This must compile, and does not:\n${output}")
  endif()
  return()
endif()
if(result EQUAL 0)
  message(FATAL_ERROR "This must not compile, and does.")
endif()

foreach(expectation IN LISTS expectations)
  string(REGEX REPLACE "^// expect: " "" text "${expectation}")
  string(FIND "${output}" "${text}" position)
  if(position EQUAL -1)
    message(FATAL_ERROR "The diagnostics do not contain '${text}':\n${output}")
  endif()
endforeach()
