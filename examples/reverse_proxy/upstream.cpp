#include "upstream.hpp"

namespace reverse_proxy {

Task<ErrorCode> UpstreamConnection::open(const Upstream& upstream, std::chrono::seconds limit) {
  limit_ = limit;
  reused_ = upstream.endpoint == endpoint_ && is_usable();
  if (reused_) co_return ErrorCode{};
  close();
  endpoint_ = upstream.endpoint;
  stream_.within(limit_);
  co_return co_await stream_.connect({asio::ip::make_address(endpoint_.address), endpoint_.port});
}

// An upstream that has closed the connection, or says something unasked, has made the socket readable.
bool UpstreamConnection::is_usable() {
  auto& socket = stream_.tcp().socket();
  if (!socket.is_open() || buffer_.size() > 0) return false;
  ErrorCode error;
  socket.non_blocking(true, error);
  if (error) return false;
  char byte = 0;
  socket.receive(asio::buffer(&byte, 1), tcp::socket::message_peek, error);
  return error == asio::error::would_block;
}

void UpstreamConnection::close() {
  stream_.tcp().close();
  buffer_.clear();
}

}  // namespace reverse_proxy
