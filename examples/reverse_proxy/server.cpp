#include "server.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <iostream>
#include <memory>
#include <mutex>
#include <set>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <vector>

#include "access_log.hpp"
#include "asio.hpp"
#include "connection.hpp"
#include "tls.hpp"

namespace reverse_proxy {
namespace {

// Boost.Asio takes an SSL_CTX over: here it gets a reference of its own.
asio::ssl::context share(SSL_CTX* ssl_ctx) {
  SSL_CTX_up_ref(ssl_ctx);
  return asio::ssl::context(ssl_ctx);
}

class Server {
 public:
  explicit Server(LiveConfig& config);

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
  asio::any_io_executor control_{asio::make_strand(io_)};  // the signals and the acceptors
  asio::signal_set signals_{control_, SIGTERM, SIGINT};
  asio::steady_timer shutdown_timer_{control_};
  std::vector<std::unique_ptr<Listener>> listeners_;
  asio::thread_pool reloading_{1};  // a thread that reads files while the others serve
  asio::signal_set hangups_{reloading_, SIGHUP};

  std::mutex mutex_;  // for what follows
  std::set<std::shared_ptr<Connection>> connections_;
  bool stopping_ = false;
};

Server::Server(LiveConfig& config) : config_(config), log_(config.get()->log) {
  const auto at_start = config.get();
  for (std::size_t i = 0; const auto& listener : at_start->listeners) listen(i++, listener);
}

void Server::listen(std::size_t index, const ListenerConfig& config) {
  install_policies(config.ssl_ctx.get(), config_.policies(index));
  auto& listener = *listeners_.emplace_back(
      std::make_unique<Listener>(Listener{index, share(config.ssl_ctx.get()), tcp::acceptor(control_)}));
  const tcp::endpoint endpoint(asio::ip::make_address(config.endpoint.address), config.endpoint.port);
  std::ostringstream name;
  name << endpoint;
  try {
    listener.acceptor.open(endpoint.protocol());
    listener.acceptor.set_option(tcp::acceptor::reuse_address(true));
    listener.acceptor.bind(endpoint);
    listener.acceptor.listen();
  } catch (const boost::system::system_error& error) {
    throw std::runtime_error("cannot listen on " + name.str() + ": " + error.code().message());
  }
  std::cerr << "listening on " << listener.acceptor.local_endpoint() << '\n';
}

void Server::run() {
  asio::co_spawn(control_, wait_for_signals(), asio::detached);
  for (const auto& listener : listeners_) asio::co_spawn(control_, accept(*listener), asio::detached);
  asio::co_spawn(reloading_, reload_on_signals(), asio::detached);
  const unsigned configured = config_.get()->threads;
  const unsigned wanted = configured != 0 ? configured : std::max(1U, std::thread::hardware_concurrency());
  std::vector<std::jthread> threads;
  for (unsigned i = 1; i < wanted; ++i) threads.emplace_back([this] { io_.run(); });
  std::cerr << "ready\n";
  io_.run();
  reloading_.stop();
  reloading_.join();
}

Task<void> Server::accept(Listener& listener) {
  asio::steady_timer pause(control_);
  while (listener.acceptor.is_open()) {
    const asio::any_io_executor strand = asio::make_strand(io_);
    auto [error, socket] = co_await listener.acceptor.async_accept(strand, as_result);
    if (error == asio::error::operation_aborted) continue;
    if (error) {  // out of file descriptors, for instance: some may come free
      std::cerr << "a connection could not be accepted: " << error.message() << '\n';
      pause.expires_after(std::chrono::milliseconds(100));
      co_await pause.async_wait(as_result);
      continue;
    }
    auto connection =
        std::make_shared<Connection>(std::move(socket), listener.ssl_context, config_, listener.index, log_);
    asio::co_spawn(strand, serve(std::move(connection)), asio::detached);
  }
}

Task<void> Server::serve(std::shared_ptr<Connection> connection) {
  enter(connection);
  try {
    co_await connection->run();
  } catch (const std::exception& error) {
    std::cerr << "a connection was ended: " << error.what() << '\n';
  }
  leave(connection);
}

Task<void> Server::wait_for_signals() {
  co_await signals_.async_wait(as_result);
  std::cerr << "stopping\n";
  for (const auto& listener : listeners_) listener->acceptor.close();
  signals_.async_wait([this](const ErrorCode& error, int /*signal*/) {
    if (!error) io_.stop();
  });
  shutdown_timer_.expires_after(config_.get()->time_limits.shutdown);
  shutdown_timer_.async_wait([this](const ErrorCode& error) {
    if (!error) io_.stop();
  });
  stop_connections();
  end_when_empty();
}

Task<void> Server::reload_on_signals() {
  while (true) {
    const auto [error, signal] = co_await hangups_.async_wait(as_result);
    if (error) co_return;
    std::string outcome = "reloaded";
    try {
      config_.reload();
    } catch (const std::exception& failure) {
      outcome = std::string("not reloaded: ") + failure.what();
    }
    std::cerr << outcome + '\n';
  }
}

void Server::stop_connections() {
  const std::scoped_lock lock(mutex_);
  stopping_ = true;
  for (const auto& connection : connections_) connection->stop();
}

// Without a timer, a signal or a connection to wait for, the threads return.
void Server::end_when_empty() {
  const std::scoped_lock lock(mutex_);
  if (!stopping_ || !connections_.empty()) return;
  shutdown_timer_.cancel();
  signals_.cancel();
}

void Server::enter(const std::shared_ptr<Connection>& connection) {
  const std::scoped_lock lock(mutex_);
  connections_.insert(connection);
  if (stopping_) connection->stop();
}

void Server::leave(const std::shared_ptr<Connection>& connection) {
  const std::scoped_lock lock(mutex_);
  connections_.erase(connection);
  if (stopping_) asio::post(control_, [this] { end_when_empty(); });
}

}  // namespace

void serve(LiveConfig& config) {
  Server(config).run();
}

}  // namespace reverse_proxy
