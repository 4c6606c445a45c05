# The dynamic symbols of LIBRARY, against the list below.
set(expected
  "client_tls::ClientTls::bind_session"
  "client_tls::ClientTls::disable_session_reuse"
  "client_tls::ClientTls::get_full_client_certificate_chain"
  "client_tls::ClientTls::log_entry"
  "client_tls::ClientTls::request_client_certificate"
  "client_tls::ClientTls::set_client_verify"
  "client_tls::ClientVerify::parse"
  "client_tls::ServerName::from_client_hello"
  "client_tls::install"
  "client_tls::wrong_phase")
execute_process(COMMAND ${NM} --dynamic --defined-only --demangle ${LIBRARY} OUTPUT_VARIABLE symbols
  COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[0-9a-f]+ [A-Z] [^(\n]+" lines "${symbols}")
list(TRANSFORM lines REPLACE "^[0-9a-f]+ [A-Z] " "")
list(REMOVE_DUPLICATES lines)
list(SORT lines)
if(NOT lines STREQUAL expected)
  message(FATAL_ERROR "the library shows\n  ${lines}\nand should show\n  ${expected}")
endif()
