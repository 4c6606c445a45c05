#include "connection.hpp"

#include <array>

#include "exchange.hpp"
#include "tls.hpp"

namespace reverse_proxy {
namespace {

std::string address_of(const tcp::socket& socket) {
  ErrorCode error;
  const auto endpoint = socket.remote_endpoint(error);
  return error ? "" : endpoint.address().to_string();
}

// A handshake that failed is worth a line: it is the only trace of a client that could not get in.
LogLine failed_handshake(Client& client, const ErrorCode& error) {
  const Site* site = site_of(client.ssl());
  LogLine line = AccessLog::line();
  line["client"] = client.address;
  line["server_name"] = site != nullptr ? LogLine(site->server_name) : LogLine(nullptr);
  line["error"] = "handshake: " + error.message();
  return line;
}

}  // namespace

Connection::Connection(tcp::socket socket, asio::ssl::context& context, const TimeLimits& limits, AccessLog& log)
    : client_(std::move(socket), context, limits),
      upstream_(client_.stream.get_executor(), limits.upstream),
      log_(log) {
  client_.address = address_of(beast::get_lowest_layer(client_.stream).socket());
}

Task<void> Connection::run() {
  const bool done = co_await handshake();
  if (!done) co_return;
  After after = After::keep_alive;
  while (after == After::keep_alive) {  // g++ 12 would run a co_await behind && in any case
    const bool comes = co_await wait_for_request();
    if (!comes) break;
    Exchange exchange(client_, upstream_, log_);
    after = co_await exchange.run();
  }
  upstream_.close();
  if (after != After::abort) co_await say_goodbye();
}

void Connection::stop() {
  client_.last_exchange = true;
  asio::post(client_.stream.get_executor(), [self = shared_from_this()] {
    if (self->waiting_) beast::get_lowest_layer(self->client_.stream).cancel();
  });
}

Task<bool> Connection::handshake() {
  ErrorCode ignored;  // it is faster with it, and works without
  beast::get_lowest_layer(client_.stream).socket().set_option(tcp::no_delay(true), ignored);
  auto& stream = client_.within(client_.time_limits.handshake);
  const auto [error] = co_await stream.async_handshake(asio::ssl::stream_base::server, as_result);
  if (error) log_.write(failed_handshake(client_, error));
  co_return !error;
}

// A connection may be idle longer than a request may take to come: hence two time limits.
Task<bool> Connection::wait_for_request() {
  if (client_.buffer.size() > 0) co_return true;
  if (client_.last_exchange) co_return false;
  auto& stream = client_.within(client_.time_limits.idle);
  waiting_ = true;
  const auto [error, size] = co_await stream.async_read_some(client_.buffer.prepare(4096), as_result);
  waiting_ = false;
  client_.buffer.commit(size);
  co_return !error && size > 0;
}

// A socket that is closed with bytes unread resets the connection, and the client may lose the response that it has
// not read yet: so the rest is read, for a moment, and dropped (RFC 9112, section 9.6).
Task<void> Connection::say_goodbye() {
  constexpr std::chrono::seconds moment{2};
  auto& stream = client_.within(moment);
  co_await stream.async_shutdown(as_result);
  auto& tcp_stream = beast::get_lowest_layer(stream);
  ErrorCode error;
  tcp_stream.socket().shutdown(tcp::socket::shutdown_send, error);
  tcp_stream.expires_after(moment);
  std::array<char, 4096> dropped{};
  while (!error) {
    const auto [failed, size] = co_await tcp_stream.async_read_some(asio::buffer(dropped), as_result);
    error = failed;
  }
}

}  // namespace reverse_proxy
