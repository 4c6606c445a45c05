// The client's side of a connection, as its handshake and its exchanges see it.
#pragma once

#include <atomic>
#include <cstddef>
#include <string>
#include <utility>

#include "live_config.hpp"
#include "net.hpp"
#include "tls.hpp"

namespace reverse_proxy {

struct Client {
  Client(tcp::socket socket, asio::ssl::context& context, const LiveConfig& configuration, std::size_t its_listener)
      : stream(std::move(socket), context),
        config(configuration),
        listener(its_listener),
        time_limits(configuration.get()->time_limits) {}

  SSL* ssl() { return stream.native_handle(); }
  TcpStream& tcp_layer() { return beast::get_lowest_layer(stream); }

  HandshakeRecord handshake;  // which outlives the stream's SSL
  TlsStream stream;
  beast::flat_buffer buffer;  // what has been read and not yet parsed
  const LiveConfig& config;
  const std::size_t listener;  // its index in the configuration
  TimeLimits time_limits;      // of the configuration that the connection, or its last request, found in force
  std::string address;
  std::atomic<bool> last_exchange = false;  // the proxy is stopping: no further request on this connection
};

}  // namespace reverse_proxy
