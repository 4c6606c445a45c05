// standard: c++17
// expect: client-tls needs C++20: g++ 11, clang 14 or newer, with -std=c++20 or a later standard
#include <client_tls/install.hpp>

bool asks(const client_tls::PolicyOptions& options) {
  return options.request != client_tls::ClientAuth::none;
}
