// The client's side of a connection, as its exchanges see it.
#pragma once

#include <atomic>
#include <chrono>
#include <string>
#include <utility>

#include "config.hpp"
#include "http.hpp"

namespace reverse_proxy {

struct Client {
  Client(tcp::socket socket, asio::ssl::context& context, const TimeLimits& limits)
      : stream(std::move(socket), context), time_limits(limits) {}

  // The stream, with a time limit set for the operation that comes next. When it passes the socket is closed.
  TlsStream& within(std::chrono::seconds limit) {
    beast::get_lowest_layer(stream).expires_after(limit);
    return stream;
  }
  SSL* ssl() { return stream.native_handle(); }

  TlsStream stream;
  beast::flat_buffer buffer;  // what has been read and not yet parsed
  const TimeLimits& time_limits;
  std::string address;
  std::atomic<bool> last_exchange = false;  // the proxy is stopping: no further request on this connection
};

}  // namespace reverse_proxy
