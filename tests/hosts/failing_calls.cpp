// Makes a call of OpenSSL's fail in a program under test, preloaded (LD_PRELOAD): the one that stands in the file that
// CLIENT_TLS_FAILING names.
#include <dlfcn.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>

namespace {

bool must_fail(std::string_view call) {
  const char* file = std::getenv("CLIENT_TLS_FAILING");
  std::string named;
  return file != nullptr && std::getline(std::ifstream(file), named) && named == call;
}

template <class Function>
Function* real(const char* call) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, call));
}

}  // namespace

// It must leave an error in OpenSSL's queue, where Boost.Asio looks for it: without a context it fails by itself.
extern "C" void* SSL_new(void* ssl_ctx) {
  return real<void*(void*)>("SSL_new")(must_fail("SSL_new") ? nullptr : ssl_ctx);
}

extern "C" int SSL_set_ex_data(void* ssl, int index, void* data) {
  if (must_fail("SSL_set_ex_data")) return 0;
  return real<int(void*, int, void*)>("SSL_set_ex_data")(ssl, index, data);
}
