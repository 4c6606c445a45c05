// A server with several names, a policy each, and no binding of sessions: what resumption_audit must find. It asks for
// certificates in the certificate callback, which a resumed connection never reaches, and so lets every session into
// every name; or it notices too late, and refuses.
//
//   holey_server [OPTION...] CERTIFICATE KEY NAME=POLICY...
//
//   POLICY     open, ask:CA_FILE, require:CA_FILE (an alert without a certificate), forbid:CA_FILE (403 without one),
//              stall (never answers), garbage (no HTTP), hangup (no answer and no goodbye)
//   --alert, --421            what a session of another name gets under a name that asks; without them, it is resumed
//   --no-tickets, --no-cache  TLS 1.3 tickets are there in any case
//   --forget                  sessions are made, and none is resumed
//
// It serves one connection after the other, answers any request with the client's subject, prints "ready" and its port
// on stderr, and ends when it is killed.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <client_tls/openssl_ptr.hpp>
#include <client_tls/server_name.hpp>
#include <csignal>
#include <iostream>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>

namespace {

using namespace client_tls;

struct Policy {
  std::string name;
  std::string kind;
  OpensslPtr<X509_STORE, X509_STORE_free> store;
  X509NameStackPtr hints;

  bool asks() const { return store != nullptr; }
};

enum class Guard { none, alert, misdirected };

std::map<std::string, Policy, std::less<>> policies;
Guard guard = Guard::none;
bool forget = false;

void require(bool condition, const char* what) {
  if (!condition) throw std::runtime_error(what);
}

int policy_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

int misdirected_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

const Policy* policy_of(const SSL* ssl) {
  return static_cast<const Policy*>(SSL_get_ex_data(ssl, policy_index()));
}

// Reads the name itself: on a resumed TLS 1.2 connection SSL_get_servername is the name of the session.
int on_client_hello(SSL* ssl, int* alert, void* /*argument*/) noexcept {
  *alert = SSL_AD_UNRECOGNIZED_NAME;
  const auto name = ServerName::from_client_hello(ssl);
  const auto found = name ? policies.find(name->view()) : policies.end();
  if (found == policies.end()) return SSL_CLIENT_HELLO_ERROR;
  static unsigned connections = 0;
  ++connections;
  if (forget) SSL_set_session_id_context(ssl, reinterpret_cast<const unsigned char*>(&connections), sizeof connections);
  return SSL_set_ex_data(ssl, policy_index(), &found->second) == 1 ? SSL_CLIENT_HELLO_SUCCESS : SSL_CLIENT_HELLO_ERROR;
}

bool is_foreign_session(const SSL* ssl, std::string_view name) {
  if (SSL_session_reused(ssl) != 1) return false;
  const char* made_under = SSL_SESSION_get0_hostname(SSL_get0_session(ssl));
  return made_under == nullptr || name != made_under;
}

// The session has been looked up: too late for anything but a refusal.
int on_servername(SSL* ssl, int* alert, void* /*argument*/) noexcept {
  const Policy* policy = policy_of(ssl);
  if (!policy->asks() || !is_foreign_session(ssl, policy->name)) return SSL_TLSEXT_ERR_OK;
  *alert = SSL_AD_ACCESS_DENIED;
  if (guard == Guard::alert) return SSL_TLSEXT_ERR_ALERT_FATAL;
  if (guard == Guard::misdirected) SSL_set_ex_data(ssl, misdirected_index(), &guard);
  return SSL_TLSEXT_ERR_OK;
}

int let_pass(int /*verified*/, X509_STORE_CTX* /*context*/) noexcept {
  return 1;
}

// The hole: on a resumed connection OpenSSL does not call this.
int on_certificate(SSL* ssl, void* /*argument*/) noexcept {
  const Policy* policy = policy_of(ssl);
  if (!policy->asks()) return 1;
  const bool required = policy->kind == "require";
  SSL_set1_verify_cert_store(ssl, policy->store.get());
  SSL_set_client_CA_list(ssl, SSL_dup_CA_list(policy->hints.get()));
  SSL_set_verify(ssl, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                 required ? nullptr : let_pass);
  return 1;
}

Policy read_policy(std::string_view name, std::string_view text) {
  const std::size_t colon = text.find(':');
  const std::string_view kind = text.substr(0, colon);
  Policy policy{.name = std::string(name), .kind = std::string(kind), .store = nullptr, .hints = nullptr};
  if (colon == std::string_view::npos) return policy;
  const std::string file(text.substr(colon + 1));
  policy.store.reset(X509_STORE_new());
  policy.hints.reset(SSL_load_client_CA_file(file.c_str()));
  require(X509_STORE_load_file(policy.store.get(), file.c_str()) == 1 && policy.hints, "the CA file is no good");
  return policy;
}

SslCtxPtr make_context(const char* certificate, const char* key) {
  SslCtxPtr context{SSL_CTX_new(TLS_server_method())};
  SSL_CTX* ssl_ctx = context.get();
  require(SSL_CTX_use_certificate_chain_file(ssl_ctx, certificate) == 1, "the certificate is no good");
  require(SSL_CTX_use_PrivateKey_file(ssl_ctx, key, SSL_FILETYPE_PEM) == 1, "the key is no good");
  // One for all names: without any, OpenSSL keeps no session id of a client that was asked.
  SSL_CTX_set_session_id_context(ssl_ctx, reinterpret_cast<const unsigned char*>("all"), 3);
  SSL_CTX_set_client_hello_cb(ssl_ctx, on_client_hello, nullptr);
  SSL_CTX_set_tlsext_servername_callback(ssl_ctx, on_servername);
  SSL_CTX_set_cert_cb(ssl_ctx, on_certificate, nullptr);
  return context;
}

std::string response_to(SSL* ssl) {
  const Policy* policy = policy_of(ssl);
  const X509* certificate = SSL_get0_peer_certificate(ssl);
  if (policy->kind == "garbage") return "this is not HTTP\r\n\r\n";
  std::string status = "200 OK";
  if (policy->kind == "forbid" && certificate == nullptr) status = "403 Forbidden";
  if (SSL_get_ex_data(ssl, misdirected_index()) != nullptr) status = "421 Misdirected Request";
  std::string subject = "nobody";
  if (certificate != nullptr) {
    char text[256];
    subject = X509_NAME_oneline(X509_get_subject_name(certificate), text, sizeof text);
  }
  return "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 " + status +
         "\r\nContent-Length: " + std::to_string(subject.size()) + "\r\nConnection: close\r\n\r\n" + subject;
}

void wait_for_the_end(int socket) {
  char bytes[1024];
  while (read(socket, bytes, sizeof bytes) > 0) {
  }
}

void serve(SSL_CTX* ssl_ctx, int socket) {
  const SslPtr ssl{SSL_new(ssl_ctx)};
  SSL_set_fd(ssl.get(), socket);
  if (SSL_accept(ssl.get()) != 1) return;
  const Policy* policy = policy_of(ssl.get());
  if (policy->kind == "stall") return wait_for_the_end(socket);
  std::string request;
  char bytes[1024];
  while (request.find("\r\n\r\n") == std::string::npos) {
    const int size = SSL_read(ssl.get(), bytes, sizeof bytes);
    if (size <= 0) break;
    request.append(bytes, static_cast<std::size_t>(size));
  }
  if (policy->kind == "hangup") return;
  const std::string response = response_to(ssl.get());
  if (!request.empty()) SSL_write(ssl.get(), response.data(), static_cast<int>(response.size()));
  if (SSL_shutdown(ssl.get()) == 0) wait_for_the_end(socket);
}

int listen_on_loopback(std::uint16_t& port) {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  const bool listening = listener >= 0 && bind(listener, generic, size) == 0 && listen(listener, 16) == 0 &&
                         getsockname(listener, generic, &size) == 0;
  require(listening, "there is no port to listen on");
  port = ntohs(address.sin_port);
  return listener;
}

bool read_option(SSL_CTX* ssl_ctx, std::string_view option) {
  if (option == "--alert") {
    guard = Guard::alert;
  } else if (option == "--421") {
    guard = Guard::misdirected;
  } else if (option == "--no-tickets") {
    SSL_CTX_set_options(ssl_ctx, SSL_OP_NO_TICKET);
  } else if (option == "--no-cache") {
    SSL_CTX_set_session_cache_mode(ssl_ctx, SSL_SESS_CACHE_OFF);
  } else if (option == "--forget") {
    forget = true;
  } else {
    return false;
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) try {
  std::signal(SIGPIPE, SIG_IGN);
  int first = 1;
  while (first < argc && std::string_view(argv[first]).starts_with("--")) ++first;
  require(argc - first > 2, "holey_server [OPTION...] CERTIFICATE KEY NAME=POLICY...");
  const SslCtxPtr context = make_context(argv[first], argv[first + 1]);
  for (int i = 1; i < first; ++i) require(read_option(context.get(), argv[i]), "there is no such option");
  for (int i = first + 2; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const std::size_t equals = argument.find('=');
    require(equals != std::string_view::npos, "NAME=POLICY is needed");
    const std::string_view name = argument.substr(0, equals);
    policies.emplace(name, read_policy(name, argument.substr(equals + 1)));
  }
  std::uint16_t port = 0;
  const int listener = listen_on_loopback(port);
  std::cerr << "port:" << port << "\nready" << std::endl;
  while (true) {
    const int socket = accept(listener, nullptr, nullptr);
    if (socket < 0) continue;
    const int yes = 1;
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);  // not to wait for acknowledgements
    serve(context.get(), socket);
    close(socket);
  }
} catch (const std::exception& error) {
  std::cerr << "holey_server: " << error.what() << '\n';
  return 1;
}
