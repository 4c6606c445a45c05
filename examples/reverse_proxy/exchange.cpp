#include "exchange.hpp"

#include <boost/asio/write.hpp>
#include <boost/beast/core/error.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/string_body.hpp>
#include <client_tls/install.hpp>
#include <client_tls/json.hpp>
#include <string_view>

namespace reverse_proxy {
namespace {

using client_tls::Phase;

constexpr int max_interim_responses = 16;
constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";

bool is_safe(http::verb method) {
  return method == http::verb::get || method == http::verb::head || method == http::verb::options;
}

}  // namespace

Exchange::Exchange(Client& client, UpstreamConnection& upstream, AccessLog& log)
    : client_(client), upstream_(upstream), log_(log), tls_(client.ssl(), context_) {
  request_.header_limit(max_head_size);
  request_.body_limit(boost::none);
}

Task<After> Exchange::run() {
  Refused refused = co_await read_head();
  if (!refused) refused = rewrite();
  if (!refused) refused = access();
  if (!refused) refused = co_await balancer();
  if (refused) {
    co_await answer(*refused);
  } else {
    co_await header_filter();
    co_await body_filter();
  }
  log();
  co_return after_;
}

Task<Exchange::Refused> Exchange::read_head() {
  client_.tcp_layer().expires_after(client_.time_limits.header);
  const auto [error, size] = co_await http::async_read_header(client_.stream, client_.buffer, request_, as_result);
  if (!error) co_return std::nullopt;
  after_ = After::close;
  error_ = "request: " + error.message();
  if (error == beast::error::timeout) co_return Refusal{http::status::request_timeout, "the request is too slow"};
  if (error == http::error::header_limit) {
    co_return Refusal{http::status::request_header_fields_too_large, "the request's head is too long"};
  }
  co_return Refusal{http::status::bad_request, "this is not an HTTP/1.1 request: " + error.message()};
}

// The request becomes one that means the same to the proxy and to the upstream, or is refused.
Exchange::Refused Exchange::rewrite() {
  const auto& request = request_.get();
  after_ = After::close;  // of a client that speaks another HTTP, nothing more is read
  if (const auto ambiguity = ambiguity_of(request)) {
    return Refusal{http::status::bad_request, std::string(*ambiguity)};
  }
  if (request.method() == http::verb::connect) {
    return Refusal{http::status::method_not_allowed, "CONNECT is not for this proxy"};
  }
  auto target = target_of(request);
  if (!target) return Refusal{http::status::bad_request, "the target must be a path or an https:// URI"};
  target_ = *std::move(target);
  if (request.count(http::field::expect) > 0 && !beast::iequals(request[http::field::expect], "100-continue")) {
    return Refusal{http::status::expectation_failed, "only 100-continue can be expected"};
  }
  after_ = After::keep_alive;
  return std::nullopt;
}

// The policy was chosen by the name in the handshake: a request for another name must not profit from it, nor one that
// comes when the name has another policy by now.
Exchange::Refused Exchange::access() {
  context_.enter(Phase::access);
  if (target_.host != client_.handshake.server_name) {
    return Refusal{http::status::misdirected_request, "this connection is for another host"};
  }
  if (!find_site()) {
    after_ = After::close;
    return Refusal{http::status::misdirected_request, "the rules for this host have changed: connect again"};
  }
  const auto verdict = tls_.verdict();
  if (!verdict) return Refusal{http::status::internal_server_error, std::string(verdict.error().message)};
  if (verdict->success()) {
    const auto chain = tls_.get_full_client_certificate_chain();
    if (!chain || !*chain) return Refusal{http::status::internal_server_error, "the client's chain cannot be had"};
    verified_chain_ = **chain;
    return std::nullopt;
  }
  // Where the handshake refuses, it has done so, but an authentication can end while its connection is kept.
  if (site_->policy->options().request == client_tls::ClientAuth::required) {
    if (verdict->status() == client_tls::Verdict::Status::none) {
      tls_.set_client_verify("FAILED:no certificate where one is required");
    }
    return Refusal{http::status::forbidden, "a valid client certificate is required"};
  }
  return std::nullopt;
}

// The request's site, by the configuration in force, if the connection still has its policy.
bool Exchange::find_site() {
  config_ = client_.config.get();
  client_.time_limits = config_->time_limits;
  site_ = config_->listeners[client_.listener].find_site(client_.handshake.server_name);
  const auto* policy = client_tls::get0_policy(client_.ssl());
  return site_ != nullptr && policy != nullptr && site_->policy->digest() == policy->digest();
}

// Asks the upstream, up to the head of its response.
Task<Exchange::Refused> Exchange::balancer() {
  context_.enter(Phase::balancer);
  upstream_asked_ = true;
  Refused refused;
  ErrorCode error = co_await ask_upstream(refused);
  if (error && can_repeat()) {
    upstream_.close();
    error = co_await ask_upstream(refused);
  }
  if (!error && !refused) co_return std::nullopt;
  upstream_.close();
  if (!request_.is_done()) after_ = After::close;
  if (refused) co_return refused;
  error_ = "upstream: " + error.message();
  if (error == beast::error::timeout) co_return Refusal{http::status::gateway_timeout, "the upstream is too slow"};
  co_return Refusal{http::status::bad_gateway, "the upstream cannot be reached"};
}

http::request<http::buffer_body> Exchange::upstream_request() {
  auto request = request_.get();
  remove_hop_by_hop(request);
  remove_forgeable(request);
  request.target(target_.path);
  append_via(request, request.version());
  request.version(11);
  request.set(http::field::host, client_.handshake.server_name.view());
  request.set("X-Forwarded-For", client_.address);
  request.set("X-Forwarded-Proto", "https");
  if (site_->forward_client_certificate) set_client_certificate(request, verified_chain_);
  if (request_.chunked()) {
    request.chunked(true);
  } else if (request_.content_length()) {
    request.content_length(request_.content_length());
  }
  return request;
}

Task<ErrorCode> Exchange::ask_upstream(Refused& refused) {
  const auto limit = client_.time_limits.upstream;
  Outgoing<true> request{upstream_request()};
  const ErrorCode not_open = co_await upstream_.open(site_->upstream->endpoint, limit);
  if (not_open) co_return not_open;
  upstream_.stream().expires_after(limit);
  const auto [error, size] = co_await http::async_write_header(upstream_.stream(), request.serializer, as_result);
  if (error) co_return error;
  if (!request_.is_done()) refused = co_await send_body(request);
  if (refused) co_return ErrorCode{};
  co_return co_await read_response_head();
}

Task<Exchange::Refused> Exchange::send_body(Outgoing<true>& request) {
  const auto limit = client_.time_limits.body;
  if (request_.get().count(http::field::expect) > 0) {
    client_.tcp_layer().expires_after(limit);  // if it fails, so does the reading that follows
    co_await asio::async_write(client_.stream, asio::buffer(go_on), as_result);
  }
  const auto [size, broken] =
      co_await relay_body(BodySource<TlsStream, true>{client_.stream, client_.buffer, request_, limit},
                          BodySink<TcpStream, true>{upstream_.stream(), request, client_.time_limits.upstream});
  if (!broken) co_return std::nullopt;
  after_ = After::close;
  // An upstream that stops listening may have said why.
  if (broken->side == Side::sink) co_return std::nullopt;
  error_ = "request: " + broken->error.message();
  co_return Refusal{http::status::bad_request, "the request's body is not whole: " + broken->error.message()};
}

// Interim responses are not for the client: it has had its 100 (Continue), if it wanted one.
Task<ErrorCode> Exchange::read_response_head() {
  for (int i = 0; i < max_interim_responses; ++i) {
    auto& parser = upstream_response_.emplace();
    parser.header_limit(max_head_size);
    parser.body_limit(boost::none);
    parser.skip(request_.get().method() == http::verb::head);
    upstream_.stream().expires_after(client_.time_limits.upstream);
    const auto [error, size] =
        co_await http::async_read_header(upstream_.stream(), upstream_.buffer(), parser, as_result);
    if (error) co_return error;
    const auto status = parser.get().result_int();
    if (status == 101) break;  // nobody asked for another protocol
    if (status >= 200) co_return ErrorCode{};
  }
  co_return make_error_code(http::error::bad_status);
}

// The upstream may have closed a kept connection at the moment when the request was sent: another attempt is safe for a
// request that changes nothing, has no body and has had no answer (RFC 9110, section 9.2.2).
bool Exchange::can_repeat() const {
  const bool answered = upstream_response_ && upstream_response_->got_some();
  return upstream_.reused() && is_safe(request_.get().method()) && request_.is_done() && !answered;
}

Task<void> Exchange::header_filter() {
  context_.enter(Phase::header_filter);
  const auto& parser = *upstream_response_;
  const bool http_1_1 = request_.get().version() >= 11;
  auto& response = response_.message;
  response.base() = parser.get().base();
  remove_hop_by_hop(response);
  append_via(response, response.version());
  response.version(request_.get().version());
  const auto length = parser.chunked() ? boost::none : parser.content_length();
  if (length) {
    response.content_length(length);
  } else if (!parser.is_done()) {
    if (http_1_1) response.chunked(true);
    if (!http_1_1) after_ = After::close;  // whose coming is the end of the body
  }
  if (!request_.keep_alive() || !request_.is_done() || client_.last_exchange) after_ = After::close;
  response.keep_alive(after_ == After::keep_alive);
  client_.tcp_layer().expires_after(client_.time_limits.body);
  const auto [error, size] = co_await http::async_write_header(client_.stream, response_.serializer, as_result);
  if (error) {
    error_ = "response: " + error.message();
    after_ = After::abort;
  } else {
    status_ = response.result_int();
  }
}

Task<void> Exchange::body_filter() {
  context_.enter(Phase::body_filter);
  auto& parser = *upstream_response_;
  if (after_ != After::abort && !parser.is_done()) {
    const auto limit = client_.time_limits.upstream;
    const auto [size, broken] =
        co_await relay_body(BodySource<TcpStream, false>{upstream_.stream(), upstream_.buffer(), parser, limit},
                            BodySink<TlsStream, false>{client_.stream, response_, client_.time_limits.body});
    bytes_sent_ = size;
    if (broken) {
      error_ = (broken->side == Side::source ? "upstream: " : "response: ") + broken->error.message();
      after_ = After::abort;
    }
  }
  const bool whole = parser.is_done() && request_.is_done();
  if (!whole || !parser.keep_alive()) upstream_.close();
}

Task<void> Exchange::answer(const Refusal& refusal) {
  const bool parsed = request_.is_header_done();
  if (!parsed || !request_.is_done() || !request_.keep_alive() || client_.last_exchange) after_ = After::close;
  const std::string body = refusal.reason + '\n';
  const bool with_body = !parsed || request_.get().method() != http::verb::head;
  http::response<http::string_body> response(refusal.status, parsed ? request_.get().version() : 11);
  response.set(http::field::date, http_date(std::chrono::system_clock::now()));
  response.set(http::field::content_type, "text/plain");
  response.keep_alive(after_ == After::keep_alive);
  response.content_length(body.size());
  if (with_body) response.body() = body;
  client_.tcp_layer().expires_after(client_.time_limits.body);
  const auto [error, size] = co_await http::async_write(client_.stream, response, as_result);
  if (!error) {
    status_ = response.result_int();
    bytes_sent_ = response.body().size();
    co_return;
  }
  after_ = After::abort;
  if (error_.empty()) error_ = "response: " + error.message();
}

void Exchange::log() {
  context_.enter(Phase::log);
  const auto& request = request_.get();
  const auto tls = tls_.log_entry();
  const auto duration = std::chrono::steady_clock::now() - start_;
  LogLine line{
      {"client", client_.address},
      {"server_name", or_null(client_.handshake.server_name.view())},
      {"method", or_null(request.method_string())},
      {"target", or_null(request.target())},
      {"status", status_ != 0 ? LogLine(status_) : LogLine(nullptr)},
      {"bytes_sent", bytes_sent_},
      {"duration_ms", std::chrono::duration_cast<std::chrono::milliseconds>(duration).count()},
      {"upstream", upstream_asked_ ? LogLine(site_->upstream->name) : LogLine(nullptr)},
      {"resumed", SSL_session_reused(client_.ssl()) == 1},
      {"request", {{"tls", tls ? LogLine(*tls) : LogLine(nullptr)}}},
  };
  if (!error_.empty()) line["error"] = error_;
  log_.write(line);
}

}  // namespace reverse_proxy
