// A server and a client of OpenSSL's in one process, joined by memory, without the library: for the tests of what the
// library relies on. Each callback of the server notes its name, and then does what the test says.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "client_tls/openssl_ptr.hpp"
#include "support/client.hpp"
#include "support/mechanism.hpp"
#include "support/wire.hpp"

namespace bare {

using namespace test;  // what it shares with the other kind of pair (pair.hpp), which is the library's

// An SSL_CTX whose sessions are resumed by one mechanism. It trusts CA 1 and CA 2, asks for nothing, and has a session
// id context.
class Server {
 public:
  explicit Server(Mechanism mechanism);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();

  [[nodiscard]] SSL_CTX* ctx() const { return ctx_.get(); }

  // What the callbacks do. `on_finished` is the info callback's first call after the client's Finished; `on_session_id`
  // is SSL_set_generate_session_id's, `on_ticket` SSL_CTX_set_session_ticket_cb's for a ticket that is made.
  std::function<int(SSL*)> on_client_hello = [](SSL*) { return SSL_CLIENT_HELLO_SUCCESS; };
  std::function<void(SSL*)> on_server_name = [](SSL*) {};
  std::function<int(SSL*)> on_certificate = [](SSL*) { return 1; };
  std::function<int(int, X509_STORE_CTX*)> on_verify = [](int preverified, X509_STORE_CTX*) { return preverified; };
  std::function<void(SSL*, int)> on_info = [](SSL*, int) {};
  std::function<void(SSL*)> on_finished = [](SSL*) {};
  std::function<void(SSL*)> on_session_id = [](SSL*) {};
  std::function<void(SSL*)> on_ticket = [](SSL*) {};
  // A handshake message that has arrived, before it is processed; a change of it is one that the client did not hash.
  std::function<void(SSL*, unsigned char*, std::size_t)> on_message = [](SSL*, unsigned char*, std::size_t) {};

  // The names of those that were called: "client_hello", "lookup" (in an external cache), "server_name", "certificate",
  // "not_resumable", "verify", "session_id", "ticket", "new_session".
  std::vector<std::string> calls;
  [[nodiscard]] int count(const std::string& name) const;

  std::map<std::string, std::vector<unsigned char>> external_cache;

 private:
  void resume_by(Mechanism mechanism);
  void set_callbacks();

  client_tls::SslCtxPtr ctx_;
};

// The verify callback that calls Server::on_verify: for SSL_set_verify.
int verify(int preverified, X509_STORE_CTX* store);

// One connection, whose handshake has run as far as it goes.
class Pair {
 public:
  explicit Pair(Server& server, const ClientOptions& options = {}, bool start = true);
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;
  ~Pair();  // closes both sides in order: OpenSSL drops the session of one that was cut off

  [[nodiscard]] SSL* server() const { return server_.get(); }
  [[nodiscard]] SSL* client() const { return client_.get(); }

  bool run();  // until neither side makes progress; whether both are done
  [[nodiscard]] bool done() const;
  [[nodiscard]] bool resumed() const { return SSL_session_reused(server_.get()) == 1; }
  [[nodiscard]] int server_error() const { return server_step_.error; }    // SSL_get_error of the last step
  [[nodiscard]] int server_reason() const { return server_step_.reason; }  // of the last entry on the error queue then

  SeenByClient seen;

  // The client's session as it would offer it next, the last ticket that it got; null if there is none.
  [[nodiscard]] client_tls::SslSessionPtr session() const;

 private:
  friend class Callbacks;
  void make_client(const ClientOptions& options);
  bool step();

  Server* callbacks_;
  bool finished_ = false;
  client_tls::SslCtxPtr client_ctx_;
  client_tls::SslPtr server_;
  client_tls::SslPtr client_;
  client_tls::SslSessionPtr session_;
  Step server_step_;
};

// Another connection, which offers the session of this one.
std::unique_ptr<Pair> offer(Server& server, const Pair& pair, ClientOptions client = {});

}  // namespace bare
