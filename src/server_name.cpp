#include "client_tls/server_name.hpp"

#include <openssl/tls1.h>

#include <algorithm>
#include <span>

#include "errors.hpp"

namespace client_tls {
namespace {

using Bytes = std::span<const unsigned char>;

constexpr unsigned char host_name_type = 0;

// RFC 6066, section 3: a list length, then one entry of a type, a length and the name, and nothing behind it: a second
// name of the type is forbidden, and no other type was ever defined.
Result<Bytes> only_host_name(Bytes extension) noexcept {
  constexpr std::size_t header = 5;
  const auto u16 = [&](std::size_t at) { return std::size_t{extension[at]} << 8U | extension[at + 1]; };
  if (extension.size() < header || u16(0) != extension.size() - 2 || extension[2] != host_name_type ||
      u16(3) != extension.size() - header) {
    return failure(Errc::malformed, "the server_name extension does not decode to one host name");
  }
  return extension.subspan(header);
}

constexpr char lower(char c) noexcept {
  return static_cast<char>(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

constexpr bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}

constexpr bool may_stand_in_a_name(char c) noexcept {
  return (lower(c) >= 'a' && lower(c) <= 'z') || is_digit(c) || c == '-' || c == '_' || c == '.';
}

// Of a name whose dot at the end has been dropped.
Result<void> check_labels(std::string_view name) noexcept {
  if (name.empty() || name.starts_with('.') || name.ends_with('.') || name.find("..") != std::string_view::npos) {
    return failure(Errc::invalid_argument, "the server name has an empty label");
  }
  if (std::ranges::all_of(name.substr(name.rfind('.') + 1), is_digit)) {
    return failure(Errc::invalid_argument, "the server name is an IP address, or ends like one");
  }
  return {};
}

Result<std::string_view> without_last_dot(std::string_view text) noexcept {
  if (text.empty()) return failure(Errc::invalid_argument, "the server name is empty");
  if (text.size() > ServerName::max_size) {
    return failure(Errc::invalid_argument, "the server name is longer than 255 bytes");
  }
  if (!std::ranges::all_of(text, may_stand_in_a_name)) {
    return failure(Errc::invalid_argument, "the server name has a byte in it that no host name has");
  }
  return text.ends_with('.') ? text.substr(0, text.size() - 1) : text;
}

}  // namespace

Result<ServerName> ServerName::parse(std::string_view text) noexcept {
  const auto name = without_last_dot(text);
  if (!name) return name.error();
  if (auto valid = check_labels(*name); !valid) return valid.error();
  ServerName result;
  std::ranges::transform(*name, result.bytes_.begin(), lower);
  result.size_ = static_cast<std::uint8_t>(name->size());
  return result;
}

Result<ServerName> ServerName::from_client_hello(SSL* ssl) noexcept {
  if (ssl == nullptr) return failure(Errc::no_tls, "the connection is not TLS");
  const ErrorQueueMark mark;
  const unsigned char* random = nullptr;
  if (SSL_client_hello_get0_random(ssl, &random) == 0) {
    return failure(Errc::too_late, "no ClientHello is being processed");
  }
  const unsigned char* data = nullptr;
  std::size_t size = 0;
  if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &data, &size) != 1) return ServerName{};
  const auto name = only_host_name({data, size});
  if (!name) return name.error();
  if (name->empty()) return failure(Errc::malformed, "the server name is empty");
  return parse({reinterpret_cast<const char*>(name->data()), name->size()});
}

}  // namespace client_tls
