#include "connection.hpp"

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
    : client_(std::move(socket), context, config, listener), upstream_(client_.stream.tcp().get_executor()), log_(log) {
  client_.address = address_of(client_.stream.tcp().socket());
}

Task<void> Connection::run() {
  const bool done = co_await handshake();
  if (!done) {
    co_await client_.stream.within(moment).drain();
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
  asio::post(client_.stream.tcp().get_executor(), [self = shared_from_this()] {
    if (self->waiting_) self->client_.stream.tcp().cancel();
  });
}

Task<bool> Connection::handshake() {
  attach(client_.ssl(), client_.handshake);
  client_.stream.within(client_.time_limits.handshake);
  const ErrorCode error = co_await client_.stream.handshake();
  if (error) {
    const std::string text = "handshake: " + why(client_, error);
    log_.write(HandshakeEntry{client_.address, client_.handshake.server_name.view(), text});
  }
  co_return !error;
}

// A connection may be idle longer than a request may take to come: hence two time limits.
Task<bool> Connection::wait_for_request() {
  if (client_.buffer.size() > 0) co_return true;
  if (client_.last_exchange) co_return false;
  Stream& stream = client_.stream.within(client_.time_limits.idle);
  waiting_ = true;
  const auto [error, size] = co_await stream.read_some(client_.buffer.prepare(4096));
  waiting_ = false;
  client_.buffer.commit(size);
  co_return !error && size > 0;
}

// A socket that is closed with bytes unread resets the connection, and the client may lose the response, or the alert,
// that it has not read yet: so the rest is read, for a moment, and dropped (RFC 9112, section 9.6).
Task<void> Connection::say_goodbye() {
  client_.stream.within(moment);
  co_await client_.stream.shutdown();
  co_await client_.stream.within(moment).drain();
}

}  // namespace reverse_proxy
