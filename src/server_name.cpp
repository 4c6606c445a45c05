#include "client_tls/server_name.hpp"

#include <openssl/tls1.h>

#include <algorithm>
#include <span>

#include "error_queue.hpp"

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

constexpr char lower(unsigned char c) noexcept {
  return static_cast<char>(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

}  // namespace

Result<ServerName> ServerName::from_client_hello(SSL* ssl) noexcept {
  if (ssl == nullptr) return failure(Errc::no_tls, "the connection is not TLS");
  const ErrorQueueMark mark;
  if (SSL_client_hello_get0_legacy_version(ssl) == 0) {
    return failure(Errc::too_late, "no ClientHello is being processed");
  }
  const unsigned char* data = nullptr;
  std::size_t size = 0;
  ServerName result;
  if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &data, &size) != 1) return result;
  const auto name = only_host_name({data, size});
  if (!name) return std::unexpected(name.error());
  if (name->empty()) return failure(Errc::malformed, "the server name is empty");
  if (name->size() > max_size) return failure(Errc::invalid_argument, "the server name is longer than 255 bytes");
  if (std::ranges::find(*name, 0) != name->end())
    return failure(Errc::invalid_argument, "the server name has a NUL in it");
  std::ranges::transform(*name, result.bytes_.begin(), lower);
  result.size_ = static_cast<std::uint8_t>(name->size());
  return result;
}

}  // namespace client_tls
