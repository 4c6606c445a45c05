// install(): for a host that leaves the client_hello and certificate callbacks of an SSL_CTX to the library.
#pragma once

#include <openssl/ssl.h>

#include <cstdint>
#include <functional>
#include <string_view>

#include "client_tls/client_tls.hpp"
#include "client_tls/export.hpp"
#include "client_tls/phase.hpp"
#include "client_tls/result.hpp"

namespace client_tls {

// What a handler says of the handshake it was called for.
enum class Decision : std::uint8_t {
  proceed,
  // Not yet: the answer comes from elsewhere. SSL_do_handshake returns with SSL_ERROR_WANT_CLIENT_HELLO_CB or
  // SSL_ERROR_WANT_X509_LOOKUP; call it again when the answer is there, and the handler is called again.
  suspend,
  // End the handshake: alert access_denied in client_hello; internal_error in certificate, where OpenSSL has no other.
  reject,
};

// What a handler is given: one handshake, in the handler's phase. It lives for the duration of the call.
class Handshake {
 public:
  Handshake(SSL* ssl, PhaseContext& context, std::string_view server_name) noexcept
      : ssl_(ssl), tls_(ssl, context), phase_(context.phase()), server_name_(server_name) {}

  [[nodiscard]] SSL* ssl() const noexcept { return ssl_; }
  [[nodiscard]] const ClientTls& tls() const noexcept { return tls_; }
  [[nodiscard]] Phase phase() const noexcept { return phase_; }

  // The name in the ClientHello, in canonical form; empty where the client named none. See server_name.hpp.
  // In the certificate phase, too, it is the ClientHello's.
  [[nodiscard]] std::string_view server_name() const noexcept { return server_name_; }

 private:
  SSL* ssl_;
  ClientTls tls_;
  Phase phase_;
  std::string_view server_name_;
};

// A handshake that the library ended because of an error, not because a handler said so.
struct HookError {
  SSL* ssl;
  Phase phase;
  std::string_view message;  // what() of a std::exception, or a text of ours; valid during the call
};

// The handlers. They are copied into the SSL_CTX, freed with it, and called from every thread that drives one of its
// connections, at the same time: what they share is theirs to guard.
struct Hooks {
  // Called on each ClientHello (twice after a HelloRetryRequest, where the client may change its mind), before a
  // session is looked up. Default: proceed. Whatever it does, the connection is bound: to the scope that the handler
  // bound it to, or to the server name.
  std::function<Decision(Handshake&)> client_hello;

  // Called in the certificate callback: on full handshakes only. Default: proceed, asking for nothing.
  std::function<Decision(Handshake&)> certificate;

  // Told of a handler that threw and of a connection that could not be bound; the handshake ends with alert
  // internal_error. A ClientHello whose server name cannot be used ends it with decode_error or unrecognized_name, one
  // that changes the name after a HelloRetryRequest with illegal_parameter (RFC 8446, section 4.1.2), a QUIC or DTLS
  // connection with protocol_version: on a QUIC connection the hook must not call OpenSSL with the SSL, which would
  // wait for a lock for ever. Default: nobody is told, and the handshake ends all the same. What it throws is dropped.
  std::function<void(const HookError&)> error;
};

// Installs the hooks on an SSL_CTX: its client_hello and certificate callbacks, and nothing else. A callback of the
// host's own that was there is replaced: OpenSSL has no getter for either. A host that needs them calls ClientTls from
// its own callbacks instead.
//
// Where connections switch to another SSL_CTX (SSL_set_SSL_CTX), the client_hello hook of the first one and the
// certificate hook of the last one are called: install on all of them.
//
// Call it before the SSL_CTX is used, from one thread.
// Errors: invalid_argument (null); already_installed; out_of_memory; openssl. Nothing is changed then.
// OpenSSL: SSL_CTX_set_client_hello_cb, SSL_CTX_set_cert_cb, SSL_CTX_set_ex_data.
[[nodiscard]] CLIENT_TLS_API Result<void> install(SSL_CTX* ssl_ctx, Hooks hooks) noexcept;

}  // namespace client_tls
