// What of a message goes on to the other side, and what does not: fields, framing and the request's target.
#pragma once

#include <client_tls/server_name.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "net.hpp"

namespace reverse_proxy {

// Why a request's framing could mean something else to the upstream than to us (request smuggling; RFC 9112,
// sections 3.2, 6.1 and 6.3), or empty.
std::optional<std::string_view> ambiguity_of(const http::request_header<>& request);

// The target in origin-form: "https://a.test/x" becomes "/x", and its authority is the host (RFC 9112, section 3.2.2).
// Empty for a target that names nothing here: authority-form, or another scheme.
struct Target {
  std::string path;
  std::optional<client_tls::ServerName> host;  // without the port; empty if it is no host name
};
std::optional<Target> target_of(const http::request_header<>& request);

// Removes the fields that are about one connection alone (RFC 9110, section 7.6.1), and those about the message's
// framing, which each side of a proxy decides for itself.
void remove_hop_by_hop(http::fields& fields);

// Appends this proxy to those that the message has come through (RFC 9110, section 7.6.3). The version is the one in
// which it was received, 10 or 11.
void append_via(http::fields& fields, unsigned version);

// Removes whatever could be taken for what the proxy itself says of the client: Client-Cert and Client-Cert-Chain
// (RFC 9440, section 2.4), X-Forwarded-*, Forwarded; with underscores too, as CGI and WSGI make both the same.
void remove_forgeable(http::fields& fields);

}  // namespace reverse_proxy
