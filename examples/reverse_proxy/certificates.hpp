// Certificates and keys from files.
#pragma once

#include <client_tls/openssl_ptr.hpp>
#include <filesystem>
#include <string>
#include <vector>

namespace reverse_proxy {

using X509StorePtr = client_tls::OpensslPtr<X509_STORE, X509_STORE_free>;

// Those whom a server name trusts to vouch for its clients.
struct Anchors {
  std::vector<client_tls::X509Ptr> certificates;
  X509StorePtr store;
  std::string digest;  // of the set: the same certificates in another order have the same
};

// Every certificate of a PEM file. Throws std::runtime_error: unreadable, none, one that does not decode.
Anchors read_anchors(const std::filesystem::path& file);

// A server's SSL_CTX with its certificate chain and key, for TLS 1.2 and 1.3. Throws std::runtime_error.
client_tls::SslCtxPtr make_server_context(const std::filesystem::path& certificate, const std::filesystem::path& key);

}  // namespace reverse_proxy
