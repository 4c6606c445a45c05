// Throwaway certificates for the examples, and the SSL_CTXs of those who have them.
#pragma once

#include <openssl/ssl.h>

#include "client_tls/openssl_ptr.hpp"

namespace example {

// Throws std::runtime_error(what) unless the condition holds.
void require(bool condition, const char* what);

// A self-signed CA certificate of an hour; each has a key of its own.
struct Ca {
  explicit Ca(const char* name);

  client_tls::EvpPkeyPtr key;
  client_tls::X509Ptr certificate;
};

// A server with a self-signed certificate: who is asked for one is not said yet.
client_tls::SslCtxPtr make_server();

// A client with a certificate from an intermediate of this CA, which it sends along.
client_tls::SslCtxPtr make_client(const Ca& issuer);

// A client without one.
client_tls::SslCtxPtr make_client();

}  // namespace example
