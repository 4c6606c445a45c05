#include "forwarding.hpp"

#include <algorithm>
#include <array>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <set>
#include <span>
#include <vector>

namespace reverse_proxy {
namespace {

constexpr std::array<std::string_view, 10> hop_by_hop{
    "connection", "content-length", "expect",  "keep-alive",        "proxy-connection",
    "te",         "trailer",        "upgrade", "transfer-encoding", "proxy-authenticate",
};

constexpr std::array<std::string_view, 8> forgeable{
    "client-cert",      "client-cert-chain", "forwarded",         "x-forwarded-for",
    "x-forwarded-host", "x-forwarded-port",  "x-forwarded-proto", "x-real-ip",
};

// ASCII letters in lower case.
std::string lower_case(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(),
                         [](char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c); });
  return lower;
}

std::set<std::string> named_by_connection(const http::fields& fields) {
  std::set<std::string> names;
  for (const auto& field : fields) {
    if (field.name() != http::field::connection) continue;
    for (const auto token : http::token_list(field.value())) names.insert(lower_case(token));
  }
  return names;
}

// "a.test:8443" is the host "a.test", in the form in which the handshake's name is compared.
std::optional<client_tls::ServerName> host_of(std::string_view authority) {
  const std::size_t colon = authority.rfind(':');
  if (colon != std::string_view::npos &&
      authority.find_first_not_of("0123456789", colon + 1) == std::string_view::npos) {
    authority = authority.substr(0, colon);
  }
  const auto name = client_tls::ServerName::parse(authority);
  return name ? std::optional(*name) : std::nullopt;
}

// A PEM certificate's lines between BEGIN and END, joined, are its DER in base64: what RFC 8941 puts between colons.
std::vector<std::string> byte_sequences(std::string_view pem_chain) {
  std::vector<std::string> all;
  while (!pem_chain.empty()) {
    const std::size_t end = std::min(pem_chain.find('\n'), pem_chain.size());
    const std::string_view line = pem_chain.substr(0, end);
    pem_chain.remove_prefix(std::min(end + 1, pem_chain.size()));
    if (line.starts_with("-----BEGIN")) {
      all.emplace_back(":");
    } else if (line.starts_with("-----END")) {
      all.back() += ':';
    } else {
      all.back() += line;
    }
  }
  return all;
}

}  // namespace

std::optional<std::string_view> ambiguity_of(const http::request_header<>& request) {
  const auto hosts = request.count(http::field::host);
  const auto lengths = request.count(http::field::content_length);
  const auto encodings = request.count(http::field::transfer_encoding);
  if (hosts != 1) return "there must be one Host field";
  if (lengths > 1) return "there is more than one Content-Length field";
  if (request[http::field::content_length].find_first_not_of("0123456789") != beast::string_view::npos) {
    return "Content-Length must be a number";
  }
  if (encodings > 0 && lengths > 0) return "there are both Transfer-Encoding and Content-Length";
  if (encodings > 0 && request.version() < 11) return "HTTP/1.0 has no Transfer-Encoding";
  if (encodings > 1 || (encodings == 1 && !beast::iequals(request[http::field::transfer_encoding], "chunked"))) {
    return "the only Transfer-Encoding that is taken is chunked";
  }
  return std::nullopt;
}

std::optional<Target> target_of(const http::request_header<>& request) {
  constexpr std::string_view scheme = "https://";
  const std::string_view target = request.target();
  if (target.starts_with('/') || (target == "*" && request.method() == http::verb::options)) {
    return Target{.path = std::string(target), .host = host_of(request[http::field::host])};
  }
  if (lower_case(target.substr(0, scheme.size())) != scheme) return std::nullopt;
  const std::string_view rest = target.substr(scheme.size());
  const std::size_t end = std::min(rest.find_first_of("/?"), rest.size());
  const std::string_view path = rest.substr(end);
  Target parts{.path = std::string(path), .host = host_of(rest.substr(0, end))};
  if (!path.starts_with('/')) parts.path.insert(0, 1, '/');
  return parts;
}

void copy_end_to_end(const http::fields& from, http::fields& to) {
  const auto named = named_by_connection(from);
  for (const auto& field : from) {
    const std::string name = lower_case(field.name_string());
    if (std::ranges::find(hop_by_hop, name) != hop_by_hop.end() || named.contains(name)) continue;
    to.insert(field.name_string(), field.value());
  }
}

void remove_forgeable(http::fields& fields) {
  std::set<std::string> names;
  for (const auto& field : fields) {
    std::string name = lower_case(field.name_string());
    std::ranges::replace(name, '_', '-');
    if (std::ranges::find(forgeable, name) != forgeable.end()) names.emplace(field.name_string());
  }
  for (const auto& name : names) fields.erase(name);
}

void set_client_certificate(http::fields& fields, std::string_view pem_chain) {
  const auto certificates = byte_sequences(pem_chain);
  if (certificates.empty()) return;
  fields.set("Client-Cert", certificates.front());
  std::string others;
  for (const auto& certificate : std::span(certificates).subspan(1)) {
    if (!others.empty()) others += ", ";
    others += certificate;
  }
  if (!others.empty()) fields.set("Client-Cert-Chain", others);
}

}  // namespace reverse_proxy
