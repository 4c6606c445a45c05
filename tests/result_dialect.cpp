#include "result_dialect.hpp"

#if defined(__cpp_exceptions)
#error "this file is compiled without exceptions"
#endif

namespace dialect {

using client_tls::Errc;
using client_tls::Error;
using client_tls::Result;

long standard() {
  return __cplusplus;
}

Result<std::string> make(std::string_view text) {
  if (text.empty()) return Error{.code = Errc::malformed, .message = "it is malformed", .openssl_reason = 7};
  return std::string(text);
}

std::size_t size(const Result<std::string>& result) {
  return result ? result->size() : 0;
}

bool succeeds(const Result<void>& result) {
  return result.has_value();
}

}  // namespace dialect
