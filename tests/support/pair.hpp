// A server and a client in one process, joined by memory: no socket, no thread. A handshake in a few lines, and what
// the peer saw.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "client_tls/client_tls.hpp"
#include "client_tls/openssl_ptr.hpp"
#include "support/client.hpp"
#include "support/mechanism.hpp"
#include "support/wire.hpp"

namespace test {

// A host that owns its callbacks: an SSL_CTX whose sessions are resumed by one mechanism, and the two callbacks as
// plain functions, which a test replaces as it likes. Trusts CA 1 and CA 2.
class Server {
 public:
  explicit Server(Mechanism mechanism);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  virtual ~Server();  // of a PolicyServer, too

  [[nodiscard]] SSL_CTX* ssl_ctx() const { return ssl_ctx_.get(); }

  // By default the connection is bound to its server name and asks for nothing.
  std::function<int(SSL*)> on_client_hello;
  std::function<int(SSL*)> on_certificate;

  int client_hello_calls = 0;
  int certificate_calls = 0;
  int new_session_calls = 0;  // of the external cache's
  std::map<std::string, std::vector<unsigned char>> external_cache;

 private:
  client_tls::SslCtxPtr ssl_ctx_;
};

// One connection. Both sides can be looked at; the handshake has run as far as it goes.
class Pair {
 public:
  Pair(SSL_CTX* server, const ClientOptions& options, bool run = true);
  Pair(Server& server, const ClientOptions& options, bool run = true) : Pair(server.ssl_ctx(), options, run) {}
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;
  ~Pair();  // closes both sides in order: OpenSSL drops the session of one that was cut off

  [[nodiscard]] SSL* server() const { return server_.get(); }
  [[nodiscard]] SSL* client() const { return client_.get(); }

  // Runs both sides until neither makes progress; true if both are done. The client then reads, for its tickets.
  bool run();

  // What the client's side has seen.
  struct Seen : SeenByClient {
    std::vector<std::string> ca_names;
  };
  [[nodiscard]] const Seen& seen() const { return seen_; }
  Seen& seen() { return seen_; }

  [[nodiscard]] bool done() const;
  [[nodiscard]] bool resumed() const { return SSL_session_reused(server_.get()) == 1; }
  [[nodiscard]] int server_error() const { return server_step_.error; }  // SSL_get_error of the last step

  // The client's session as it would offer it next; the last ticket it has got. Null if there is none to offer.
  [[nodiscard]] client_tls::SslSessionPtr session() const;

  // The facade's answers in the request phases, as strings for a test to compare: "error: ..." or the value.
  [[nodiscard]] std::string chain() const;  // "none" where there is none
  static constexpr const char* not_authenticated =
      "error: the policy requires an authenticated client, and this one is not";
  [[nodiscard]] std::string verify() const;  // log_entry().client_verify

  // Sends a message through the connection, from the client to the server and back; true if both arrive.
  bool echo();

  // Has the client write its ClientHello, and replaces bytes in it, before the server reads it: the first that are
  // `from`, which should be so many that no random has them; with the record's and the message's header, the message's
  // body begins at client_hello_at. The handshake cannot complete after that: the two sides no longer hash the same
  // bytes.
  static constexpr std::size_t client_hello_at = 5 + 4;
  void rewrite_client_hello(std::string_view from, std::string_view to, std::size_t not_before = 0);

  // Uses both SSLs again: SSL_clear on the server, a new client.
  void clear(const ClientOptions& options);

  void keep(client_tls::SslSessionPtr session) { session_ = std::move(session); }

 private:
  void make_client(const ClientOptions& options);
  bool step();

  client_tls::SslCtxPtr client_ctx_;
  client_tls::SslPtr server_;
  client_tls::SslPtr client_;
  client_tls::SslSessionPtr session_;
  Seen seen_;
  Step server_step_;
};

// Empties the internal cache.
void forget_sessions(SSL_CTX* ssl_ctx);

// The host's part in a few words.
int bind_to(SSL* ssl, std::string_view scope, const client_tls::BindOptions& options = {});  // a client_hello callback
int bind_to_server_name(SSL* ssl);                                                           // likewise
int bind_with_limits(SSL* ssl, const client_tls::Limits& limits);                            // likewise
int ask(SSL* ssl, std::span<X509* const> hints = {});                                        // a certificate callback
int disable_reuse(SSL* ssl);                                                                 // likewise

// Asks for a certificate under every name, except those that begin with "open".
void ask_unless_open(Server& server);

// What a host may do that the library does not expect of it.
int own_session_id(SSL* ssl, unsigned char* id, unsigned* size);  // a callback of SSL_set_generate_session_id
int say_yes(X509_STORE_CTX* store, void* argument);               // of SSL_CTX_set_cert_verify_callback

}  // namespace test
