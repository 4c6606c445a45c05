#include "stream.hpp"

#include <array>
#include <utility>

namespace reverse_proxy {
namespace {

using boost::beast::tcp_stream;

Task<Transfer> read_some_of(tcp_stream& stream, asio::mutable_buffer buffer) {
  const auto [error, size] = co_await stream.async_read_some(buffer, as_result);
  co_return Transfer{error, size};
}

// Small writes leave at once: it is faster, and works without.
void send_without_delay(tcp_stream& stream) {
  ErrorCode ignored;
  stream.socket().set_option(tcp::no_delay(true), ignored);
}

}  // namespace

Task<ErrorCode> Stream::write(asio::const_buffer buffer) {
  while (buffer.size() > 0) {
    const auto [error, size] = co_await write_some(buffer);
    if (error) co_return error;
    buffer += size;
  }
  co_return ErrorCode{};
}

Task<void> Stream::drain() {
  ErrorCode error;
  tcp().socket().shutdown(tcp::socket::shutdown_send, error);
  std::array<char, 4096> dropped{};
  while (!error) {
    const auto transfer = co_await read_some_of(tcp(), asio::buffer(dropped));
    error = transfer.error;
  }
}

TcpStream::TcpStream(asio::any_io_executor executor) : stream_(std::move(executor)) {}

Task<ErrorCode> TcpStream::connect(const tcp::endpoint& endpoint) {
  const auto [error] = co_await stream_.async_connect(endpoint, as_result);
  if (!error) send_without_delay(stream_);
  co_return error;
}

Task<Transfer> TcpStream::read_some(asio::mutable_buffer buffer) {
  return read_some_of(stream_, buffer);
}

Task<Transfer> TcpStream::write_some(asio::const_buffer buffer) {
  const auto [error, size] = co_await stream_.async_write_some(buffer, as_result);
  co_return Transfer{error, size};
}

TlsStream::TlsStream(tcp::socket socket, asio::ssl::context& context) : stream_(std::move(socket), context) {}

Task<ErrorCode> TlsStream::handshake() {
  send_without_delay(tcp());
  const auto [error] = co_await stream_.async_handshake(asio::ssl::stream_base::server, as_result);
  co_return error;
}

Task<ErrorCode> TlsStream::shutdown() {
  const auto [error] = co_await stream_.async_shutdown(as_result);
  co_return error;
}

Task<Transfer> TlsStream::read_some(asio::mutable_buffer buffer) {
  const auto [error, size] = co_await stream_.async_read_some(buffer, as_result);
  co_return Transfer{error, size};
}

Task<Transfer> TlsStream::write_some(asio::const_buffer buffer) {
  const auto [error, size] = co_await stream_.async_write_some(buffer, as_result);
  co_return Transfer{error, size};
}

}  // namespace reverse_proxy
