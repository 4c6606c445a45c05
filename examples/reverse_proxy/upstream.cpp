#include "upstream.hpp"

namespace reverse_proxy {

Task<ErrorCode> UpstreamConnection::open(const Endpoint& endpoint, std::chrono::seconds limit) {
  reused_ = endpoint == endpoint_ && is_usable();
  if (reused_) co_return ErrorCode{};
  close();
  endpoint_ = endpoint;
  stream_.expires_after(limit);
  const tcp::endpoint address(asio::ip::make_address(endpoint.address), endpoint.port);
  const auto [error] = co_await stream_.async_connect(address, as_result);
  ErrorCode ignored;
  if (!error) stream_.socket().set_option(tcp::no_delay(true), ignored);
  co_return error;
}

// An upstream that has closed the connection, or says something unasked, has made the socket readable.
bool UpstreamConnection::is_usable() {
  auto& socket = stream_.socket();
  if (!socket.is_open() || buffer_.size() > 0) return false;
  ErrorCode error;
  socket.non_blocking(true, error);
  if (error) return false;
  char byte = 0;
  socket.receive(asio::buffer(&byte, 1), tcp::socket::message_peek, error);
  return error == asio::error::would_block;
}

void UpstreamConnection::close() {
  stream_.close();
  buffer_.clear();
}

}  // namespace reverse_proxy
