#include "probe.hpp"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <exception>
#include <span>

#include "client.hpp"

namespace resumption_audit {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using ErrorCode = boost::system::error_code;
using ResponseParser = http::response_parser<http::string_body>;

template <class T>
using Task = asio::awaitable<T>;

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);
constexpr std::uint32_t max_head_size = 64 * 1024;
constexpr std::uint64_t max_body_size = 1024UL * 1024;

// Asio frees the SSL_CTX that it is given.
SSL_CTX* shared(SSL_CTX* ssl_ctx) {
  SSL_CTX_up_ref(ssl_ctx);
  return ssl_ctx;
}

bool is_end(const ErrorCode& error) {
  return error == asio::error::eof || error == asio::ssl::error::stream_truncated ||
         error == asio::error::connection_reset || error == asio::error::broken_pipe ||
         error == http::error::end_of_stream || error == http::error::partial_message;
}

std::vector<std::string> peer_ca_names(const SSL* ssl) {
  std::vector<std::string> names;
  const STACK_OF(X509_NAME)* list = SSL_get0_peer_CA_list(ssl);
  const int count = sk_X509_NAME_num(list);  // -1 without a list
  names.reserve(static_cast<std::size_t>(std::max(count, 0)));
  for (int i = 0; i < count; ++i) names.push_back(to_text(sk_X509_NAME_value(list, i)));
  std::ranges::sort(names);
  return names;
}

constexpr unsigned char compressed_certificate = 25;  // RFC 8879; OpenSSL 3.2 and newer use it where the server can

bool is_certificate(unsigned char message_type) {
  return message_type == SSL3_MT_CERTIFICATE || message_type == compressed_certificate;
}

// Whether a Certificate message has one in it.
bool holds_certificate(std::span<const unsigned char> message) {
  constexpr std::size_t header = 4;
  constexpr std::size_t empty_body = 4;  // context and list of TLS 1.3; one less in 1.2
  if (message[0] != compressed_certificate) return message.size() > header + empty_body;
  constexpr std::size_t uncompressed_size_at = header + 2;  // behind the algorithm, in three bytes
  if (message.size() < uncompressed_size_at + 3) return false;
  const unsigned char* size = &message[uncompressed_size_at];
  return size[0] != 0 || size[1] != 0 || size[2] > empty_body;
}

class Probe {
 public:
  Probe(asio::io_context& io, const Server& server, SSL_CTX* client, const std::string& name, SSL_SESSION* session)
      : server_(server), name_(name), context_(shared(client)), stream_(io, context_) {
    SSL_set_msg_callback(ssl(), on_message);
    SSL_set_msg_callback_arg(ssl(), this);
    const bool prepared = SSL_set_tlsext_host_name(ssl(), name.c_str()) == 1 &&
                          (session == nullptr || SSL_set_session(ssl(), session) == 1);
    if (!prepared) throw std::runtime_error("OpenSSL does not take the name or the session");
  }

  Task<void> run() {
    beast::get_lowest_layer(stream_).expires_after(server_.timeout);  // for the whole connection
    seen_.ending = co_await visit();
    if (seen_.ending != Ending::alert) seen_.alert = 0;
    seen_.resumed = SSL_session_reused(ssl()) == 1;
    if (seen_.asked) seen_.ca_names = peer_ca_names(ssl());
    // A copy: OpenSSL spoils a session when its connection ends without a goodbye.
    if (has_session()) seen_.session.reset(SSL_SESSION_dup(SSL_get0_session(ssl())));
  }

  Observation take() { return std::move(seen_); }

 private:
  SSL* ssl() { return stream_.native_handle(); }

  bool has_session() {
    const SSL_SESSION* session = SSL_get0_session(ssl());
    return seen_.handshake_done && session != nullptr && SSL_SESSION_is_resumable(session) == 1;
  }

  Task<Ending> visit() {
    auto& tcp = beast::get_lowest_layer(stream_);
    const auto [connect_error, endpoint] = co_await tcp.async_connect(server_.endpoints, as_result);
    if (connect_error) {
      seen_.error = connect_error.message();
      co_return Ending::unreachable;
    }
    ErrorCode ignored;  // it is faster with it, and works without
    tcp.socket().set_option(asio::ip::tcp::no_delay(true), ignored);
    const auto [error] = co_await stream_.async_handshake(asio::ssl::stream_base::client, as_result);
    if (error) co_return failed(error);
    seen_.handshake_done = true;
    if (server_.http) co_return co_await get();
    co_return co_await say_goodbye();
  }

  Task<Ending> get() {
    http::request<http::empty_body> request{http::verb::get, server_.path, 11};
    request.set(http::field::host, server_.port == 443 ? name_ : name_ + ":" + std::to_string(server_.port));
    request.set(http::field::user_agent, "resumption_audit");
    request.set(http::field::accept, "*/*");
    request.set(http::field::connection, "close");
    // Where this fails the server has ended the connection, and has perhaps said why: that is still to be read.
    co_await http::async_write(stream_, request, as_result);
    beast::flat_buffer buffer;
    while (true) {
      ResponseParser parser;
      parser.header_limit(max_head_size);
      parser.body_limit(max_body_size);
      const auto [error, size] = co_await http::async_read_header(stream_, buffer, parser, as_result);
      if (error) co_return failed(error);
      seen_.status = parser.get().result_int();
      if (seen_.status / 100 == 1) continue;  // an interim response (RFC 9110, section 15.2)
      // To the end, and with a goodbye: a server throws sessions away whose connections broke off.
      co_await http::async_read(stream_, buffer, parser, as_result);
      co_await stream_.async_shutdown(as_result);
      co_return Ending::answered;
    }
  }

  // Without HTTP: what the server sends until it has answered our close_notify.
  Task<Ending> say_goodbye() {
    const auto [error] = co_await stream_.async_shutdown(as_result);
    if (error == asio::error::broken_pipe || error == asio::error::connection_reset) {
      char byte = 0;  // the server has ended the connection, and has perhaps said why: that is still to be read
      co_await stream_.async_read_some(asio::buffer(&byte, 1), as_result);
    }
    if (seen_.alert != 0) co_return failed(error);
    // In TLS 1.3 a ticket is a sign that the server was content; in 1.2, its Finished.
    if (error == beast::error::timeout && !has_session()) co_return failed(error);
    co_return Ending::answered;
  }

  Ending failed(const ErrorCode& error) {
    seen_.error = error.message();
    if (seen_.alert != 0) return Ending::alert;
    if (error == beast::error::timeout) return Ending::timed_out;
    return is_end(error) ? Ending::closed : Ending::garbled;
  }

  // Every handshake message and alert of the connection, from OpenSSL.
  static void on_message(int sent, int /*version*/, int type, const void* content, std::size_t size, SSL* /*ssl*/,
                         void* self) noexcept {
    const auto* bytes = static_cast<const unsigned char*>(content);
    Observation& seen = static_cast<Probe*>(self)->seen_;
    if (type == SSL3_RT_ALERT && size == 2 && sent == 0) {
      if (bytes[0] == SSL3_AL_FATAL) seen.alert = bytes[1];  // the others are warnings, or a goodbye
    } else if (type == SSL3_RT_HANDSHAKE && size > 0) {
      if (sent == 0 && bytes[0] == SSL3_MT_CERTIFICATE_REQUEST) seen.asked = true;
      if (sent == 1 && is_certificate(bytes[0])) seen.certificate_sent = holds_certificate({bytes, size});
    }
  }

  const Server& server_;
  const std::string& name_;
  asio::ssl::context context_;
  beast::ssl_stream<beast::tcp_stream> stream_;
  Observation seen_;
};

}  // namespace

Server find_server(const Options& options) {
  asio::io_context io;
  asio::ip::tcp::resolver resolver(io);
  ErrorCode error;
  const auto found = resolver.resolve(options.host, std::to_string(options.port), error);
  if (error) throw Unreachable(options.host + " cannot be found: " + error.message());
  Server server{
      .endpoints = {}, .port = options.port, .path = options.path, .timeout = options.timeout, .http = options.http};
  for (const auto& entry : found) server.endpoints.push_back(entry.endpoint());
  return server;
}

Observation probe(const Server& server, SSL_CTX* client, const std::string& name, SSL_SESSION* session) {
  asio::io_context io;
  Probe connection(io, server, client, name, session);
  std::exception_ptr failure;
  asio::co_spawn(io, connection.run(), [&failure](std::exception_ptr thrown) { failure = std::move(thrown); });
  io.run();
  if (failure) std::rethrow_exception(failure);
  return connection.take();
}

}  // namespace resumption_audit
