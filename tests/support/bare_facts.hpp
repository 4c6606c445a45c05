// What the tests of OpenSSL's facts do with a bare pair (bare_pair.hpp), in a few words. When one of these tests fails,
// its name is what has changed in OpenSSL; where versions are known to differ, the test says how.
#pragma once

#include <string_view>

#include "support/bare_pair.hpp"
#include "support/catch.hpp"

namespace bare {

using Calls = std::vector<std::string>;

inline constexpr int strict = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;

// What callbacks do in many tests.
inline int ask(SSL* ssl) {
  SSL_set_verify(ssl, SSL_VERIFY_PEER, verify);
  return 1;
}
inline int let_through(int, X509_STORE_CTX*) {
  return 1;
}
inline int present(SSL* ssl, std::string_view context) {
  return SSL_set_session_id_context(ssl, reinterpret_cast<const unsigned char*>(context.data()),
                                    static_cast<unsigned>(context.size()));
}
inline void put_context(SSL_SESSION* session, std::string_view context) {
  SSL_SESSION_set1_id_context(session, reinterpret_cast<const unsigned char*>(context.data()),
                              static_cast<unsigned>(context.size()));
}

inline std::size_t finished_size(const SSL* ssl) {
  unsigned char unused = 0;
  return SSL_get_peer_finished(ssl, &unused, 0);
}

// The mechanisms by which a session that was made under these callbacks is resumed by a connection without them.
inline Calls resumed_after(const std::function<void(Server&)>& make, const ClientOptions& client = {}) {
  Calls result;
  for (const Mechanism mechanism : all_mechanisms) {
    Server server{mechanism};
    make(server);
    const Pair first{server, client};
    CAPTURE(to_string(mechanism));
    REQUIRE(first.done());
    server.on_certificate = [](SSL*) { return 1; };
    server.on_finished = [](SSL*) {};
    const auto next = offer(server, first);
    REQUIRE(next->done());
    if (next->resumed()) result.emplace_back(to_string(mechanism));
  }
  return result;
}

inline bool authenticate_again(Pair& pair) {
  SSL_set_verify(pair.server(), SSL_VERIFY_PEER, verify);
  REQUIRE(SSL_verify_client_post_handshake(pair.server()) == 1);
  SSL_do_handshake(pair.server());
  return pair.run();
}

inline client_tls::X509StorePtr store_of(const Certificate& anchor) {
  client_tls::X509StorePtr store{X509_STORE_new()};
  X509_STORE_add_cert(store.get(), anchor.get());
  return store;
}

}  // namespace bare
