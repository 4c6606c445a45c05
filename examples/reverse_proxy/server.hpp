// The listeners, the threads, and the stop.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "access_log.hpp"
#include "asio.hpp"
#include "connection.hpp"
#include "live_config.hpp"

namespace reverse_proxy {

class Server {
 public:
  // Opens the listeners and the log. The configuration must outlive the server. Throws std::runtime_error.
  explicit Server(LiveConfig& config);

  // Serves on all threads until SIGTERM or SIGINT: then no connection and no request more is taken, and the requests
  // that are running have the shutdown time limit to end. A second signal ends them at once. On SIGHUP the
  // configuration is read again.
  void run();

 private:
  struct Listener {
    std::size_t index;  // in the configuration
    asio::ssl::context ssl_context;
    tcp::acceptor acceptor;
  };

  void listen(std::size_t index, const ListenerConfig& config);
  Task<void> accept(Listener& listener);
  Task<void> serve(std::shared_ptr<Connection> connection);
  Task<void> wait_for_signals();
  Task<void> reload_on_signals();
  void stop_connections();
  void end_when_empty();
  void enter(const std::shared_ptr<Connection>& connection);
  void leave(const std::shared_ptr<Connection>& connection);

  LiveConfig& config_;
  AccessLog log_;
  asio::io_context io_;
  asio::strand<asio::io_context::executor_type> control_{asio::make_strand(io_)};  // the signals and the acceptors
  asio::signal_set signals_{control_, SIGTERM, SIGINT};
  asio::steady_timer shutdown_timer_{control_};
  std::vector<std::unique_ptr<Listener>> listeners_;
  asio::thread_pool reloading_{1};  // a thread that reads files while the others serve
  asio::signal_set hangups_{reloading_, SIGHUP};

  std::mutex mutex_;  // for what follows
  std::set<std::shared_ptr<Connection>> connections_;
  bool stopping_ = false;
};

}  // namespace reverse_proxy
