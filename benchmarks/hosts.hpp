// The servers that are compared, and the client that connects to them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "client_tls/install.hpp"
#include "client_tls/openssl_ptr.hpp"
#include "support/pki.hpp"

namespace bench {

void require(bool good, const char* what);  // throws std::runtime_error

// How a session is resumed.
struct Mechanism {
  std::string_view name;
  int version;
  bool stateful;  // in the server's cache, not in a ticket
};
inline constexpr Mechanism id12{"1.2-id", TLS1_2_VERSION, true};
inline constexpr Mechanism ticket12{"1.2-ticket", TLS1_2_VERSION, false};
inline constexpr Mechanism stateless13{"1.3-stateless", TLS1_3_VERSION, false};
inline constexpr Mechanism stateful13{"1.3-stateful", TLS1_3_VERSION, true};

// A certificate and its intermediates, leaf first; their CA is not among them.
using Chain = std::vector<test::Certificate>;
Chain issue_chain(const test::Certificate& ca, test::Usage usage, test::Key key, std::size_t size);

// Certificates of one handshake: a CA, which the server trusts, and a chain for each side.
struct Identities {
  test::Certificate ca;
  Chain server;
  Chain client;
};
Identities make_identities(test::Key server_key, test::Key client_key, std::size_t client_chain_size = 2);

// All ways ask for a client certificate, verify it against the CA, and let the handshake go on whatever comes of it.
enum class Way : std::uint8_t {
  // install() with one policy, for every server name, which sends no hints.
  library,
  // The facade called from callbacks of the host's own, bound to the server name, the CA's name sent as a hint.
  facade,
  // install() with a table of 100,000, in which one is this server name's; the CA's name is sent as a hint.
  policies,
  // The same outcome by hand, as an author would have it who knows what OpenSSL does: the session id context is the
  // SHA-256 of the ClientHello's server name, set in the client_hello callback; the certificate is asked for in the
  // certificate callback; the verify callback puts the chain into the session's ticket appdata, and has the session
  // end when the certificate does. Not there: the library's checks, its limits, and its handling of all that is rare.
  by_hand,
  // The same without the chain, which a resumed connection does not have then.
  by_hand_without_chain,
  // OpenSSL with a session id context for all, and nothing that depends on the connection.
  bare,
  // As in Kong: asked for in the certificate callback, where reuse is disabled, too, with SSL_OP_NO_TICKET.
  kong,
  // The same with nothing made for a later connection, which costs less: SSL_OP_NO_TICKET makes two tickets in TLS 1.3.
  no_reuse,
};
std::string_view to_string(Way way);

// The server name of every connection.
inline constexpr std::string_view service_name = "service.example";

// 100,000 random names, a tenth of them wildcards, always the same.
inline constexpr std::size_t table_size = 100'000;
std::vector<std::string> random_names();
client_tls::PolicyTable make_table(const client_tls::PolicyPtr& policy);

// Asks, trusts the CA, and sends its name as a hint.
client_tls::PolicyPtr make_policy(const test::Certificate& ca);

enum class Asks : bool { no, yes };
client_tls::SslCtxPtr make_server(Way way, const Mechanism& mechanism, const Identities& identities,
                                  Asks asks = Asks::yes);

// As Way::library does it, with a revocation list of each of the client's issuers: its own has so many entries, none of
// them about it.
client_tls::SslCtxPtr make_server_with_lists(const Mechanism& mechanism, const Identities& identities,
                                             std::size_t entries);

// A client with a certificate, which keeps the last session that it got.
class Client {
 public:
  explicit Client(const Identities& identities);
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  [[nodiscard]] SSL_CTX* ssl_ctx() const { return ssl_ctx_.get(); }
  [[nodiscard]] SSL_SESSION* session() const { return session_.get(); }

 private:
  static int keep_session(SSL* ssl, SSL_SESSION* session);

  client_tls::SslCtxPtr ssl_ctx_;
  client_tls::SslSessionPtr session_;
};

// The chain as Kong reads it, with PEM_write_bio_X509 into a memory BIO, copied to `out`. Returns its size.
std::size_t read_chain_as_kong(SSL* ssl, std::span<char> out);

}  // namespace bench
