// One client's connection: the handshake, one exchange after the other, and the end.
#pragma once

#include <memory>

#include "access_log.hpp"
#include "client.hpp"
#include "upstream.hpp"

namespace reverse_proxy {

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  // `listener` is its index in the configuration, which outlives the connection.
  Connection(tcp::socket socket, asio::ssl::context& context, const LiveConfig& config, std::size_t listener,
             AccessLog& log);

  // Serves the client until one of the two leaves. On the strand that the socket was made with.
  Task<void> run();

  // Ends the connection after the exchange that is running, or now if there is none. Any thread.
  void stop();

 private:
  Task<bool> handshake();
  Task<bool> wait_for_request();
  Task<void> say_goodbye();
  Task<void> drain();

  Client client_;
  UpstreamConnection upstream_;
  AccessLog& log_;
  bool waiting_ = false;  // between two exchanges
};

}  // namespace reverse_proxy
