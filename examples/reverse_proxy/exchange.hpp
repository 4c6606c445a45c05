// One request and its response, on their way through the phases.
#pragma once

#include <chrono>
#include <client_tls/client_tls.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "access_log.hpp"
#include "client.hpp"
#include "forwarding.hpp"
#include "relay.hpp"
#include "upstream.hpp"

namespace reverse_proxy {

// What becomes of the client's connection. After a response that is not whole it is cut off without TLS's
// close_notify, so that the client can tell.
enum class After : std::uint8_t { keep_alive, close, abort };

class Exchange {
 public:
  Exchange(Client& client, UpstreamConnection& upstream, AccessLog& log);

  Task<After> run();

 private:
  // A response that the proxy gives itself.
  struct Refusal {
    http::status status;
    std::string reason;
  };
  using Refused = std::optional<Refusal>;  // empty: go on

  Task<Refused> read_head();
  Refused rewrite();
  Refused access();
  bool find_site();
  Task<Refused> balancer();
  Task<void> header_filter();
  Task<void> body_filter();
  void log();

  http::request<http::buffer_body> upstream_request();
  Task<ErrorCode> ask_upstream(Refused& refused);
  Task<Refused> send_body(Outgoing<true>& request);
  Task<ErrorCode> read_response_head();
  Task<void> answer(const Refusal& refusal);
  [[nodiscard]] bool can_repeat() const;

  Client& client_;
  UpstreamConnection& upstream_;
  AccessLog& log_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();

  client_tls::PhaseContext context_{client_tls::Phase::rewrite};
  client_tls::ClientTls tls_;

  Incoming<true> request_;
  Target target_;
  std::shared_ptr<const Config> config_;  // in force when the request's head had come; what follows is of it
  const Site* site_ = nullptr;
  std::string verified_chain_;  // PEM; empty unless the client proved who it is
  std::optional<Incoming<false>> upstream_response_;
  Outgoing<false> response_;

  After after_ = After::keep_alive;
  unsigned status_ = 0;  // of the response that was begun
  std::uint64_t bytes_sent_ = 0;
  bool upstream_asked_ = false;
  std::string error_;
};

}  // namespace reverse_proxy
