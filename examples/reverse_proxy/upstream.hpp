// The proxy's connection to an upstream.
#pragma once

#include <chrono>
#include <utility>

#include "config.hpp"
#include "net.hpp"

namespace reverse_proxy {

// Kept open from one request of a client to the next, and never shared between clients.
class UpstreamConnection {
 public:
  explicit UpstreamConnection(asio::any_io_executor executor) : stream_(std::move(executor)) {
    buffer_.reserve(read_size);
  }

  // Connects within the time limit, or keeps the connection that is open to the same endpoint.
  Task<ErrorCode> open(const Endpoint& endpoint, std::chrono::seconds limit);

  // Whether the last open() kept a connection: the upstream may be closing it at this moment.
  [[nodiscard]] bool reused() const { return reused_; }

  TcpStream& stream() { return stream_; }
  beast::flat_buffer& buffer() { return buffer_; }

  void close();

 private:
  bool is_usable();

  TcpStream stream_;
  beast::flat_buffer buffer_;  // what has been read and not yet parsed
  Endpoint endpoint_;
  bool reused_ = false;
};

}  // namespace reverse_proxy
