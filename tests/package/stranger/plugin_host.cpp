// A server that loads two plug-ins and unloads them, again and again, while connections of theirs live on:
//
//   plugin_host ONE ANOTHER INDICES    the ex_data indices of SSLs that the two may take together
#include <dlfcn.h>
#include <openssl/ssl.h>

#include <cstdio>
#include <cstdlib>

namespace {

SSL* load_call_and_unload(const char* plugin) {
  void* handle = dlopen(plugin, RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    std::fprintf(stderr, "%s\n", dlerror());
    return nullptr;
  }
  auto* make_connection = reinterpret_cast<SSL* (*)()>(dlsym(handle, "make_connection"));
  SSL* ssl = make_connection();
  dlclose(handle);
  return ssl;
}

int next_index() {
  return SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const int before = next_index();
  for (int i = 0; i < 1000; ++i) {
    SSL* one = load_call_and_unload(argv[1]);
    SSL* another = load_call_and_unload(argv[2]);
    if (one == nullptr || another == nullptr) return 1;
    SSL_free(one);  // calls back into code that is "unloaded"
    SSL_free(another);
  }
  const int taken = next_index() - before - 1;
  std::printf("%d indices taken\n", taken);
  return taken == std::atoi(argv[3]) ? 0 : 1;
}
