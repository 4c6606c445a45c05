// What the log says of a TLS connection.
#pragma once

#include <string>

#include "client_tls/export.hpp"

namespace client_tls {

// Kong's request.tls. It owns its strings and outlives the connection.
struct LogEntry {
  std::string version;        // as OpenSSL names it, SSL_get_version: "TLSv1.3"
  std::string cipher;         // SSL_get_cipher_name: "TLS_AES_256_GCM_SHA384"
  std::string client_verify;  // "NONE", "SUCCESS" or "FAILED:<reason>"; see ClientTls::log_entry
};

}  // namespace client_tls
