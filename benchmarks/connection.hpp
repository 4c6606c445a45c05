// One connection in one process, joined by memory, of which the server's part is measured.
#pragma once

#include <string_view>

#include "client_tls/openssl_ptr.hpp"
#include "hosts.hpp"

namespace bench {

// Told where the server's part begins and ends. The client's is never measured.
class Meter {
 public:
  Meter() = default;
  Meter(const Meter&) = delete;
  Meter& operator=(const Meter&) = delete;
  virtual ~Meter() = default;

  virtual void begin() {}
  virtual void end() {}
};

class Measured {
 public:
  explicit Measured(Meter& meter) : meter_(meter) { meter_.begin(); }
  ~Measured() { meter_.end(); }
  Measured(const Measured&) = delete;
  Measured& operator=(const Measured&) = delete;

 private:
  Meter& meter_;
};

enum class Offer : bool { nothing, last_session };

// The handshake has taken place, and the client has read its tickets. SSL_new and SSL_free are part of what is
// measured. Throws std::runtime_error if the handshake fails, or if a session was offered and not resumed.
class Connection {
 public:
  Connection(SSL_CTX* server, Client& client, Meter& meter, Offer offer = Offer::nothing);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  [[nodiscard]] SSL* server() const { return server_; }

  // get_full_client_certificate_chain in the access phase; empty where there is none. Throws if it is an error.
  [[nodiscard]] std::string_view chain() const;

 private:
  void connect();
  void handshake();

  Meter& meter_;
  SSL* server_ = nullptr;
  client_tls::SslPtr client_;
};

}  // namespace bench
