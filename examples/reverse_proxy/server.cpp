#include "server.hpp"

#include <algorithm>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <exception>
#include <iostream>
#include <memory>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "access_log.hpp"
#include "connection.hpp"
#include "net.hpp"
#include "tls.hpp"

namespace reverse_proxy {
namespace {

// Boost.Asio takes an SSL_CTX over: here it gets a reference of its own.
asio::ssl::context share(SSL_CTX* ssl_ctx) {
  SSL_CTX_up_ref(ssl_ctx);
  return asio::ssl::context(ssl_ctx);
}

std::size_t thread_count(unsigned configured) {
  return configured != 0 ? configured : std::max(1U, std::thread::hardware_concurrency());
}

// A coroutine that ends by an exception ends with a word on standard error, and nothing else ends with it. Nothing here
// needs memory, of which there may be none.
void report(const char* what, const std::exception_ptr& failure) noexcept {
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& error) {
    std::cerr << what << ": " << error.what() << '\n';
  } catch (...) {
    std::cerr << what << ": an unknown exception\n";
  }
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
  void accept_on(Listener& listener);
  Task<void> accept(Listener& listener);
  void start(tcp::socket socket, Listener& listener);
  void reload_on_signals();
  Task<void> reload();
  Task<void> collect();
  Task<void> stop_on_signal();
  void end_when_empty();

  LiveConfig& config_;
  AccessLog log_;
  asio::thread_pool io_;
  asio::any_io_executor control_{asio::make_strand(io_)};  // what follows but the reloading is touched on it alone
  asio::signal_set signals_{control_, SIGTERM, SIGINT};
  asio::steady_timer shutdown_timer_{control_};
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::set<std::shared_ptr<Connection>> connections_;
  bool stopping_ = false;

  asio::thread_pool reloading_{1};  // a thread that reads files while the others serve
  asio::signal_set hangups_{reloading_, SIGHUP};
};

Server::Server(LiveConfig& config)
    : config_(config), log_(config.get()->log), io_(thread_count(config.get()->threads)) {
  const auto at_start = config.get();
  for (std::size_t i = 0; const auto& listener : at_start->listeners) listen(i++, listener);
}

void Server::listen(std::size_t index, const ListenerConfig& config) {
  install_policies(config.ssl_ctx.get(), config_.policies(index));
  const tcp::endpoint endpoint(asio::ip::make_address(config.endpoint.address), config.endpoint.port);
  try {
    listeners_.push_back(
        std::make_unique<Listener>(Listener{index, share(config.ssl_ctx.get()), tcp::acceptor(control_, endpoint)}));
  } catch (const boost::system::system_error& error) {
    const auto name = (std::ostringstream() << endpoint).str();
    throw std::runtime_error("cannot listen on " + name + ": " + error.code().message());
  }
  std::cerr << "listening on " << listeners_.back()->acceptor.local_endpoint() << '\n';
}

void Server::run() {
  asio::co_spawn(control_, stop_on_signal(), [this](const std::exception_ptr& failure) {
    if (!failure) return;
    report("the stop failed", failure);
    io_.stop();
  });
  for (const auto& listener : listeners_) accept_on(*listener);
  reload_on_signals();
  asio::co_spawn(reloading_, collect(), asio::detached);
  std::cerr << "ready\n";
  io_.join();
  reloading_.stop();
  reloading_.join();
}

// A connection that could not be made costs no other one: the next is accepted as before.
void Server::accept_on(Listener& listener) {
  asio::co_spawn(control_, accept(listener), [this, &listener](const std::exception_ptr& failure) {
    if (!failure) return;
    report("a connection could not be accepted", failure);
    accept_on(listener);
  });
}

// Until the listener is closed.
Task<void> Server::accept(Listener& listener) {
  asio::steady_timer pause(control_);
  while (true) {
    auto [error, socket] = co_await listener.acceptor.async_accept(asio::make_strand(io_), as_result);
    if (stopping_) co_return;
    if (!error) {
      start(std::move(socket), listener);
      continue;
    }
    // Out of file descriptors, for instance: some may come free.
    std::cerr << "a connection could not be accepted: " + error.message() + '\n';
    pause.expires_after(std::chrono::milliseconds(100));
    co_await pause.async_wait(as_result);
  }
}

void Server::start(tcp::socket socket, Listener& listener) {
  const auto strand = socket.get_executor();
  const auto connection =
      std::make_shared<Connection>(std::move(socket), listener.ssl_context, config_, listener.index, log_);
  auto ended = [this, connection](const std::exception_ptr& failure) {
    if (failure) report("a connection was ended", failure);
    connections_.erase(connection);
    end_when_empty();
  };
  asio::co_spawn(strand, connection->run(), asio::bind_executor(control_, std::move(ended)));
  connections_.insert(connection);  // before it can end, which is on this strand, too
}

void Server::reload_on_signals() {
  asio::co_spawn(reloading_, reload(), [this](const std::exception_ptr& failure) {
    if (failure) report("not reloaded", failure);
    reload_on_signals();
  });
}

Task<void> Server::reload() {
  const auto [error, signal] = co_await hangups_.async_wait(as_result);
  if (error) co_return;
  config_.reload();
  for (const auto& warning : config_.get()->warnings) std::cerr << warning << '\n';
  std::cerr << "reloaded\n";
}

// What was replaced is freed beside the connections, not by them, once the last of its own has ended.
Task<void> Server::collect() {
  asio::steady_timer pause(reloading_);
  while (true) {
    pause.expires_after(std::chrono::minutes(1));
    co_await pause.async_wait(as_result);
    config_.collect();
  }
}

// The first signal lets the running requests end, within the time limit; a second one does not.
Task<void> Server::stop_on_signal() {
  co_await signals_.async_wait(as_result);
  std::cerr << "stopping\n";
  stopping_ = true;
  for (const auto& listener : listeners_) listener->acceptor.close();
  const auto stop_at_once = [this](const ErrorCode& error, int /*signal*/ = 0) {
    if (!error) io_.stop();
  };
  signals_.async_wait(stop_at_once);
  shutdown_timer_.expires_after(config_.get()->time_limits.shutdown);
  shutdown_timer_.async_wait(stop_at_once);
  for (const auto& connection : connections_) connection->stop();
  end_when_empty();
}

// Without a timer, a signal or a connection to wait for, the threads return.
void Server::end_when_empty() {
  if (!stopping_ || !connections_.empty()) return;
  shutdown_timer_.cancel();
  signals_.cancel();
}

}  // namespace

void serve(LiveConfig& config) {
  Server(config).run();
}

}  // namespace reverse_proxy
