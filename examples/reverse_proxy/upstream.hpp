// The proxy's connection to an upstream.
#pragma once

#include <boost/beast/core/flat_buffer.hpp>
#include <chrono>

#include "config.hpp"
#include "stream.hpp"

namespace reverse_proxy {

// Kept open from one request of a client to the next, and never shared between clients.
class UpstreamConnection {
 public:
  explicit UpstreamConnection(asio::any_io_executor executor) : stream_(std::move(executor)) {}

  // Connects, or keeps the connection that is open to the same endpoint. The time limit is for this and each step that
  // follows.
  Task<ErrorCode> open(const Upstream& upstream, std::chrono::seconds limit);

  // Whether the last open() kept a connection: the upstream may be closing it at this moment.
  [[nodiscard]] bool reused() const { return reused_; }

  // The stream, with the time limit set for what comes next on it.
  Stream& stream() { return stream_.within(limit_); }
  [[nodiscard]] std::chrono::seconds limit() const { return limit_; }
  boost::beast::flat_buffer& buffer() { return buffer_; }

  void close();

 private:
  bool is_usable();

  TcpStream stream_;
  boost::beast::flat_buffer buffer_;
  Endpoint endpoint_;
  std::chrono::seconds limit_{0};
  bool reused_ = false;
};

}  // namespace reverse_proxy
