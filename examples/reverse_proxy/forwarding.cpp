#include "forwarding.hpp"

#include <algorithm>
#include <array>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <string>
#include <vector>

namespace reverse_proxy {
namespace {

// What Via calls the proxy by: a host's name and port are nobody's business.
constexpr std::string_view pseudonym = "reverse_proxy";

// Proxy-Status is not among them: it is for the client, through every proxy (RFC 9209).
constexpr std::array hop_by_hop{
    http::field::connection,
    http::field::content_length,
    http::field::expect,
    http::field::keep_alive,
    http::field::proxy_authenticate,
    http::field::proxy_authentication_info,
    http::field::proxy_authorization,
    http::field::proxy_connection,
    http::field::te,
    http::field::trailer,
    http::field::transfer_encoding,
    http::field::upgrade,
};

constexpr std::array<std::string_view, 8> forgeable{
    "client-cert",      "client-cert-chain", "forwarded",         "x-forwarded-for",
    "x-forwarded-host", "x-forwarded-port",  "x-forwarded-proto", "x-real-ip",
};

bool is_forgeable(std::string name) {
  std::ranges::replace(name, '_', '-');
  return std::ranges::any_of(forgeable, [&](std::string_view one) { return beast::iequals(name, one); });
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
  if (!beast::iequals(target.substr(0, scheme.size()), scheme)) return std::nullopt;
  const std::string_view rest = target.substr(scheme.size());
  const std::size_t end = std::min(rest.find_first_of("/?"), rest.size());
  const std::string_view path = rest.substr(end);
  Target parts{.path = std::string(path), .host = host_of(rest.substr(0, end))};
  if (!path.starts_with('/')) parts.path.insert(0, 1, '/');
  return parts;
}

void remove_hop_by_hop(http::fields& fields) {
  std::vector<std::string> named;  // by Connection, in whose own memory they stand
  const auto [begin, end] = fields.equal_range(http::field::connection);
  for (auto field = begin; field != end; ++field) {
    for (const auto name : http::token_list(field->value())) named.emplace_back(name);
  }
  for (const auto& name : named) fields.erase(name);
  for (const auto name : hop_by_hop) fields.erase(name);
}

void append_via(http::fields& fields, unsigned version) {
  std::string all;
  const auto [begin, end] = fields.equal_range(http::field::via);
  for (auto field = begin; field != end; ++field) all.append(field->value()).append(", ");
  all += version == 10 ? "1.0 " : "1.1 ";
  fields.set(http::field::via, all.append(pseudonym));
}

void remove_forgeable(http::fields& fields) {
  std::vector<std::string> names;
  for (const auto& field : fields) {
    if (is_forgeable(field.name_string())) names.emplace_back(field.name_string());
  }
  for (const auto& name : names) fields.erase(name);
}

}  // namespace reverse_proxy
