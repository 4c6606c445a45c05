// Functions of a file that is compiled as C++23 and without exceptions, for tests that are C++20 with exceptions.
#pragma once

#include <string>

#include "client_tls/result.hpp"

namespace dialect {

long standard();  // its __cplusplus

client_tls::Result<std::string> make(std::string_view text);  // an error for an empty text
std::size_t size(const client_tls::Result<std::string>& result);
bool succeeds(const client_tls::Result<void>& result);

}  // namespace dialect
