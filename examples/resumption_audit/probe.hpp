// One connection to the server under audit, and what a client can see of it.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <client_tls/openssl_ptr.hpp>
#include <optional>
#include <string>
#include <vector>

#include "options.hpp"

namespace resumption_audit {

// How a connection ended for the client.
enum class Ending : std::uint8_t {
  answered,     // an HTTP response; without HTTP, a handshake that the server has not contradicted
  alert,        // the server ended it with an alert
  closed,       // the server closed it, without a word
  timed_out,    // nothing came in time
  unreachable,  // no TCP connection
  garbled,      // what came was not TLS, or not HTTP, or not such as OpenSSL's client takes
};

struct Observation {
  Ending ending = Ending::unreachable;
  std::string error;    // more of it, in words; empty if answered
  unsigned status = 0;  // of the HTTP response
  int alert = 0;        // its number, if that was the ending
  bool handshake_done = false;
  bool resumed = false;
  bool asked = false;                 // a CertificateRequest came
  bool certificate_sent = false;      // and a certificate was the answer
  std::vector<std::string> ca_names;  // of the CertificateRequest, in order
  client_tls::SslSessionPtr session;  // that the client may offer elsewhere; null if there is none
};

// The server under audit.
struct Server {
  std::vector<boost::asio::ip::tcp::endpoint> endpoints;
  std::uint16_t port = 0;
  std::string path;
  std::chrono::seconds timeout{};
  bool http = true;
};

// The host cannot be found, or nothing listens there.
class Unreachable : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Looks the host up. Throws Unreachable.
Server find_server(const Options& options);

// Connects with this server name, offers the session if there is one, sends a GET unless without HTTP, and reads until
// it is clear what the server makes of it: in TLS 1.3 its verdict comes when the client believes to be done.
Observation probe(const Server& server, SSL_CTX* client, const std::string& name, SSL_SESSION* session = nullptr);

}  // namespace resumption_audit
