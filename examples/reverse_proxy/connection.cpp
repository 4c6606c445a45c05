#include "connection.hpp"

#include <array>
#include <boost/asio/post.hpp>
#include <string>

#include "exchange.hpp"

namespace reverse_proxy {
namespace {

constexpr std::chrono::seconds moment{2};

std::string address_of(const tcp::socket& socket) {
  ErrorCode error;
  const auto endpoint = socket.remote_endpoint(error);
  return error ? "" : endpoint.address().to_string();
}

// The library's own words, or OpenSSL's and what was wrong with the certificate.
std::string why(Client& client, const ErrorCode& error) {
  if (!client.handshake.error.empty()) return client.handshake.error;
  const long verified = SSL_get_verify_result(client.ssl());
  const bool bad = verified != X509_V_OK;
  return bad ? error.message() + ": " + X509_verify_cert_error_string(verified) : error.message();
}

}  // namespace

Connection::Connection(tcp::socket socket, asio::ssl::context& context, const LiveConfig& config, std::size_t listener,
                       AccessLog& log)
    : client_(std::move(socket), context, config, listener), upstream_(client_.stream.get_executor()), log_(log) {
  client_.address = address_of(client_.tcp_layer().socket());
}

Task<void> Connection::run() {
  const bool done = co_await handshake();
  if (!done) {
    co_await drain();
    co_return;
  }
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
    if (self->waiting_) self->client_.tcp_layer().cancel();
  });
}

Task<bool> Connection::handshake() {
  attach(client_.ssl(), client_.handshake);
  ErrorCode ignored;
  client_.tcp_layer().socket().set_option(tcp::no_delay(true), ignored);
  client_.tcp_layer().expires_after(client_.time_limits.handshake);
  const auto [error] = co_await client_.stream.async_handshake(asio::ssl::stream_base::server, as_result);
  if (error) {
    log_.write({{"client", client_.address},  // the only trace of a client that could not get in
                {"server_name", or_null(client_.handshake.server_name.view())},
                {"error", "handshake: " + why(client_, error)}});
  }
  co_return !error;
}

// A connection may be idle longer than a request may take to come: hence two time limits.
Task<bool> Connection::wait_for_request() {
  if (client_.buffer.size() > 0) co_return true;
  if (client_.last_exchange) co_return false;
  client_.tcp_layer().expires_after(client_.time_limits.idle);
  waiting_ = true;
  const auto [error, size] = co_await client_.stream.async_read_some(client_.buffer.prepare(read_size), as_result);
  waiting_ = false;
  client_.buffer.commit(size);
  co_return !error && size > 0;
}

Task<void> Connection::say_goodbye() {
  client_.tcp_layer().expires_after(moment);
  co_await client_.stream.async_shutdown(as_result);  // sends close_notify, and waits for the client's
  co_await drain();
}

// A socket that is closed with bytes unread resets the connection, and the client may lose the response, or the alert,
// that it has not read yet: so the rest is read, for a moment, and dropped (RFC 9112, section 9.6).
Task<void> Connection::drain() {
  ErrorCode failed;
  client_.tcp_layer().socket().shutdown(tcp::socket::shutdown_send, failed);
  client_.tcp_layer().expires_after(moment);
  std::array<char, 4096> dropped{};
  while (!failed) {
    const auto [error, size] = co_await client_.tcp_layer().async_read_some(asio::buffer(dropped), as_result);
    failed = error;
  }
}

}  // namespace reverse_proxy
