# The dynamic symbols of LIBRARY, against the list below. What the standard library's templates leave is not listed: its
# own headers make it visible, whatever the compiler is told.
set(expected
  "client_tls::ClientAuthPolicy::make"
  "client_tls::ClientAuthPolicy::make_all"  # private, but of an exported class, as others below
  "client_tls::ClientTls::bind_session"
  "client_tls::ClientTls::disable_session_reuse"
  "client_tls::ClientTls::get_full_client_certificate_chain"
  "client_tls::ClientTls::give"
  "client_tls::ClientTls::log_entry"
  "client_tls::ClientTls::request_client_certificate"
  "client_tls::ClientTls::set_client_verify"
  "client_tls::ClientTls::verdict"
  "client_tls::ClientVerify::parse"
  "client_tls::CurrentPolicies::collect"
  "client_tls::CurrentPolicies::find"
  "client_tls::CurrentPolicies::replace"
  "client_tls::Handshake::use"
  "client_tls::PolicyTable::add"
  "client_tls::PolicyTable::find"
  "client_tls::PolicyTable::move_into"
  "client_tls::ServerName::from_client_hello"
  "client_tls::ServerName::parse"
  "client_tls::Verdict::status_at"
  "client_tls::get0_policy"
  "client_tls::install"
  "client_tls::parse_certificates"
  "client_tls::parse_crls"
  "client_tls::read_certificates"
  "client_tls::read_crls"
  "client_tls::wrong_phase")
execute_process(COMMAND ${NM} --dynamic --defined-only --demangle ${LIBRARY} OUTPUT_VARIABLE symbols
  COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[0-9a-f]+ [A-Z] [^(\n]+" lines "${symbols}")
list(TRANSFORM lines REPLACE "^[0-9a-f]+ [A-Z] " "")
list(FILTER lines EXCLUDE REGEX "std::")
list(REMOVE_DUPLICATES lines)
list(SORT lines)
if(NOT lines STREQUAL expected)
  message(FATAL_ERROR "the library shows\n  ${lines}\nand should show\n  ${expected}")
endif()
