// What is saved and put back: settings of the host's on its SSL that a handshake of ours replaces.
#pragma once

#include <openssl/ssl.h>

#include <cstdint>
#include <memory>
#include <optional>

#include "client_tls/openssl_ptr.hpp"
#include "client_tls/result.hpp"

namespace client_tls {

// What OpenSSL calls in the place of the host's. Each is defined beside what it protects.
void on_info(const SSL* ssl, int where, int value) noexcept;     // handshake_progress.cpp
int on_verify(int preverified, X509_STORE_CTX* store) noexcept;  // certificate_request.cpp
int on_security(const SSL* ssl, const SSL_CTX* ssl_ctx, int operation, int bits, int nid, void* other,
                void* host_data) noexcept;  // certificate_request.cpp

using InfoCallback = void (*)(const SSL*, int, int);
using SecurityCallback = int (*)(const SSL*, const SSL_CTX*, int, int, int, void*, void*);
using VerifyParamPtr = OpensslPtr<X509_VERIFY_PARAM, X509_VERIFY_PARAM_free>;

// How the host has certificates verified on this SSL, where a policy has replaced it.
struct HostVerification {
  VerifyParamPtr param;  // depth, purpose, flags, time, ...
  unsigned long inherit_flags = 0;
  X509StorePtr store;                   // null: the SSL_CTX's
  SecurityCallback security = nullptr;  // null: not replaced

  [[nodiscard]] std::unique_ptr<HostVerification> clone() const noexcept;  // null when memory has run out
};

// Empty: not replaced.
struct HostSettings {
  std::unique_ptr<HostVerification> verification;
  std::optional<int> verify_mode;
  std::optional<std::uint32_t> max_cert_list;
  std::optional<std::uint32_t> num_tickets;
  std::optional<std::uint32_t> max_early_data;
  std::optional<InfoCallback> info;
  SSL_verify_cb verify_callback = nullptr;  // called on from ours even later: SSL_set_verify cannot take ours away
  bool client_ca_list_replaced = false;
  bool compression_switched_off = false;
};

// For SSL_dup, which copies what the settings replaced; false when memory has run out.
[[nodiscard]] bool copy_settings(const HostSettings& from, HostSettings& to) noexcept;

// Has OpenSSL tell us of the handshake's progress (on_info), until it is done.
void watch(SSL* ssl, HostSettings& host) noexcept;

// Has OpenSSL verify the client's certificate by our rules (on_verify) in this handshake, and take none that is
// compressed; mode is SSL_set_verify's.
void verify_by_our_rules(SSL* ssl, HostSettings& host, int mode) noexcept;

// Has OpenSSL ask us what is allowed in this handshake (on_security), until it is done; false when memory has run out.
bool watch_security(SSL* ssl, HostSettings& host) noexcept;

// Keeps the host's verify parameters and verify store, before a policy's take their place.
[[nodiscard]] Result<void> keep_verification(SSL* ssl, HostSettings& host) noexcept;

// The longest Certificate message.
void set_max_cert_list(SSL* ssl, HostSettings& host, std::size_t bytes) noexcept;

// Null names are the host's.
void set_ca_names(SSL* ssl, HostSettings& host, X509NameStackPtr names) noexcept;

// The next two hold until the SSL's next handshake.
void set_num_tickets(SSL* ssl, HostSettings& host, std::size_t number) noexcept;
void accept_no_early_data(SSL* ssl, HostSettings& host) noexcept;

// Puts back what must not outlive the handshake, when it is done.
void restore_after_handshake(SSL* ssl, HostSettings& host) noexcept;

// Puts back everything, before the SSL's next handshake. What is called on from on_verify stays.
void restore_before_handshake(SSL* ssl, HostSettings& host) noexcept;

}  // namespace client_tls
