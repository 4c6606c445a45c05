#include "hosts.hpp"

#include <openssl/pem.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <memory>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>

namespace bench {
namespace {

constexpr long cached_sessions = 1000;

void present(SSL_CTX* ssl_ctx, const Chain& chain) {
  require(SSL_CTX_use_certificate(ssl_ctx, chain.front().get()) == 1, "certificate");
  require(SSL_CTX_use_PrivateKey(ssl_ctx, chain.front().key.get()) == 1, "key");
  for (const auto& intermediate : std::span(chain).subspan(1)) {
    require(SSL_CTX_add1_chain_cert(ssl_ctx, intermediate.get()) == 1, "chain");
  }
}

int accept_any(int /*preverified*/, X509_STORE_CTX* /*store*/) {
  return 1;
}

int bind_by_hand(SSL* ssl, int* alert, void* /*argument*/) {
  *alert = SSL_AD_INTERNAL_ERROR;
  constexpr std::size_t header = 5;  // of the list, the type and the name (RFC 6066, section 3)
  const unsigned char* extension = nullptr;
  std::size_t size = 0;
  if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &extension, &size) != 1 || size <= header) {
    extension = nullptr;
    size = header;
  }
  std::array<unsigned char, SSL_MAX_SID_CTX_LENGTH> context{};
  const unsigned char* name = extension != nullptr ? extension + header : context.data();
  if (EVP_Digest(name, size - header, context.data(), nullptr, EVP_sha256(), nullptr) != 1) {
    return SSL_CLIENT_HELLO_ERROR;
  }
  const bool set = SSL_set_session_id_context(ssl, context.data(), context.size()) == 1;
  return set ? SSL_CLIENT_HELLO_SUCCESS : SSL_CLIENT_HELLO_ERROR;
}

// The client's intermediates, each with its length in front.
std::vector<unsigned char> encode(const STACK_OF(X509) * sent) {
  std::vector<unsigned char> bytes;
  for (int i = 1; i < sk_X509_num(sent); ++i) {
    const auto size = static_cast<std::size_t>(i2d_X509(sk_X509_value(sent, i), nullptr));
    const std::size_t at = bytes.size();
    bytes.resize(at + 2 + size);
    bytes[at] = static_cast<unsigned char>(size >> 8U);
    bytes[at + 1] = static_cast<unsigned char>(size);
    unsigned char* out = bytes.data() + at + 2;
    i2d_X509(sk_X509_value(sent, i), &out);
  }
  return bytes;
}

int accept_any_and_keep_chain(int /*preverified*/, X509_STORE_CTX* store) {
  if (X509_STORE_CTX_get_error_depth(store) != 0) return 1;
  const auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  SSL_SESSION* session = SSL_get_session(ssl);
  const auto chain = encode(X509_STORE_CTX_get0_untrusted(store));
  if (SSL_SESSION_set1_ticket_appdata(session, chain.data(), chain.size()) != 1) return 0;
  int days = 0;
  int seconds = 0;
  ASN1_TIME_diff(&days, &seconds, nullptr, X509_get0_notAfter(X509_STORE_CTX_get0_cert(store)));
  SSL_SESSION_set_timeout(session, std::min(SSL_SESSION_get_timeout(session), days * 86'400L + seconds));
  return 1;
}

int ask_by_hand(SSL* ssl, void* /*argument*/) {
  SSL_set_verify(ssl, SSL_VERIFY_PEER, accept_any_and_keep_chain);
  return 1;
}

int ask_without_chain(SSL* ssl, void* /*argument*/) {
  SSL_set_verify(ssl, SSL_VERIFY_PEER, accept_any);
  return 1;
}

int ask_as_kong(SSL* ssl, void* argument) {
  SSL_set_options(ssl, SSL_OP_NO_TICKET);
  return ask_without_chain(ssl, argument);
}

int ask_without_reuse(SSL* ssl, void* argument) {
  SSL_set_not_resumable_session_callback(ssl, [](SSL*, int) { return 1; });
  SSL_set_num_tickets(ssl, 0);
  return ask_without_chain(ssl, argument);
}

int bind_with_facade(SSL* ssl, int* alert, void* /*argument*/) {
  *alert = SSL_AD_INTERNAL_ERROR;
  const auto name = client_tls::ServerName::from_client_hello(ssl);
  if (!name || name->empty()) return SSL_CLIENT_HELLO_ERROR;
  client_tls::PhaseContext context{client_tls::Phase::client_hello};
  return client_tls::ClientTls{ssl, context}.bind_session(name->view()) ? SSL_CLIENT_HELLO_SUCCESS
                                                                        : SSL_CLIENT_HELLO_ERROR;
}

int ask_with_facade(SSL* ssl, void* ca) {
  client_tls::PhaseContext context{client_tls::Phase::certificate};
  const std::array hints{static_cast<X509*>(ca)};
  return client_tls::ClientTls{ssl, context}.request_client_certificate(hints) ? 1 : 0;
}

client_tls::PolicyOptions asking(const test::Certificate& ca) {
  client_tls::PolicyOptions options;
  options.request = client_tls::ClientAuth::optional;
  X509_up_ref(ca.get());
  options.anchors.emplace_back(ca.get());
  return options;
}

client_tls::PolicyPtr make(client_tls::PolicyOptions options) {
  auto policy = client_tls::ClientAuthPolicy::make(std::move(options));
  require(policy.has_value(), "policy");
  return *policy;
}

void set_up_policies(SSL_CTX* ssl_ctx, client_tls::PolicyTable table) {
  auto policies = std::make_shared<client_tls::CurrentPolicies>(std::move(table));
  require(client_tls::install(ssl_ctx, std::move(policies)).has_value(), "install");
}

// As the hosts by hand, it sends no hints: what is compared is the same bytes.
void set_up_library(SSL_CTX* ssl_ctx, const test::Certificate& ca, Asks asks,
                    std::vector<client_tls::X509CrlPtr> lists = {}) {
  client_tls::PolicyOptions options;
  if (asks == Asks::yes) {
    options = asking(ca);
    options.hints.emplace();
    options.crls = std::move(lists);
  }
  const auto policy = make(std::move(options));
  set_up_policies(ssl_ctx, {policy, policy});
}

// As from a file, with numbers that no certificate here has.
client_tls::X509CrlPtr issue_list(const test::Certificate& issuer, std::size_t entries) {
  const auto list = test::issue_crl(issuer);
  const client_tls::OpensslPtr<ASN1_TIME, ASN1_TIME_free> time{ASN1_TIME_set(nullptr, std::time(nullptr))};
  const client_tls::OpensslPtr<ASN1_INTEGER, ASN1_INTEGER_free> number{ASN1_INTEGER_new()};
  for (std::size_t i = 0; i < entries; ++i) {
    ASN1_INTEGER_set_uint64(number.get(), (std::uint64_t{1} << 60U) + i);
    X509_REVOKED* entry = X509_REVOKED_new();
    X509_REVOKED_set_serialNumber(entry, number.get());
    X509_REVOKED_set_revocationDate(entry, time.get());
    require(X509_CRL_add0_revoked(list.get(), entry) == 1, "entry");
  }
  require(X509_CRL_sign(list.get(), issuer.key.get(), EVP_sha256()) > 0, "list");
  std::vector<unsigned char> der(static_cast<std::size_t>(i2d_X509_CRL(list.get(), nullptr)));
  unsigned char* out = der.data();
  i2d_X509_CRL(list.get(), &out);
  const unsigned char* in = der.data();
  return client_tls::X509CrlPtr{d2i_X509_CRL(nullptr, &in, static_cast<long>(der.size()))};
}

void set_up(SSL_CTX* ssl_ctx, Way way, const test::Certificate& ca, Asks asks) {
  static constexpr std::array<unsigned char, SSL_MAX_SID_CTX_LENGTH> context{'b', 'a', 'r', 'e'};
  switch (way) {
    case Way::library:
      set_up_library(ssl_ctx, ca, asks);
      break;
    case Way::facade:
      SSL_CTX_set_client_hello_cb(ssl_ctx, bind_with_facade, nullptr);
      if (asks == Asks::yes) SSL_CTX_set_cert_cb(ssl_ctx, ask_with_facade, ca.get());
      break;
    case Way::policies:
      set_up_policies(ssl_ctx, make_table(make_policy(ca)));
      break;
    case Way::by_hand:
      SSL_CTX_set_client_hello_cb(ssl_ctx, bind_by_hand, nullptr);
      if (asks == Asks::yes) SSL_CTX_set_cert_cb(ssl_ctx, ask_by_hand, nullptr);
      break;
    case Way::by_hand_without_chain:
      SSL_CTX_set_client_hello_cb(ssl_ctx, bind_by_hand, nullptr);
      if (asks == Asks::yes) SSL_CTX_set_cert_cb(ssl_ctx, ask_without_chain, nullptr);
      break;
    case Way::bare:
      SSL_CTX_set_session_id_context(ssl_ctx, context.data(), context.size());
      if (asks == Asks::yes) SSL_CTX_set_verify(ssl_ctx, SSL_VERIFY_PEER, accept_any);
      break;
    case Way::kong:
      SSL_CTX_set_cert_cb(ssl_ctx, ask_as_kong, nullptr);
      break;
    case Way::no_reuse:
      SSL_CTX_set_cert_cb(ssl_ctx, ask_without_reuse, nullptr);
      break;
  }
}

}  // namespace

void require(bool good, const char* what) {
  if (!good) throw std::runtime_error(what);
}

std::string_view to_string(Way way) {
  static constexpr std::array<std::string_view, 8> names{
      "library", "facade", "policies", "by-hand", "by-hand-without-chain", "bare", "kong", "no-reuse"};
  return names.at(static_cast<std::size_t>(way));
}

std::vector<std::string> random_names() {
  std::mt19937 random(7);  // NOLINT(cert-msc51-cpp): the same names each time
  const auto label = [&random] {
    std::string text;
    for (auto size = 3 + random() % 12; size > 0; --size) text += static_cast<char>('a' + random() % 26);
    return text;
  };
  std::set<std::string> names;
  while (names.size() < table_size) {
    std::string name = random() % 10 == 0 ? "*" : label();
    for (auto labels = 1 + random() % 3; labels > 0; --labels) (name += '.') += label();
    names.insert(std::move(name));
  }
  return {names.begin(), names.end()};
}

client_tls::PolicyTable make_table(const client_tls::PolicyPtr& policy) {
  client_tls::PolicyTable table{nullptr, nullptr};
  for (const std::string& name : random_names()) require(table.add(name, policy).has_value(), "name");
  require(table.add(service_name, policy).has_value(), "name");
  return table;
}

client_tls::PolicyPtr make_policy(const test::Certificate& ca) {
  return make(asking(ca));
}

Chain issue_chain(const test::Certificate& ca, test::Usage usage, test::Key key, std::size_t size) {
  Chain chain;
  const test::Certificate* issuer = &ca;
  for (std::size_t i = 1; i < size; ++i) {
    const test::CertificateOptions options{
        .common_name = "Intermediate " + std::to_string(i), .usage = test::Usage::ca, .key = key};
    chain.push_back(test::issue(options, issuer));
    issuer = &chain.back();
  }
  auto leaf = test::issue({.common_name = "leaf", .usage = usage, .key = key}, issuer);
  chain.push_back(std::move(leaf));
  std::ranges::reverse(chain);
  return chain;
}

Identities make_identities(test::Key server_key, test::Key client_key, std::size_t client_chain_size) {
  auto ca = test::issue({.common_name = "CA", .usage = test::Usage::ca, .key = client_key});
  auto server = issue_chain(ca, test::Usage::server, server_key, 2);
  auto client = issue_chain(ca, test::Usage::client, client_key, client_chain_size);
  return {.ca = std::move(ca), .server = std::move(server), .client = std::move(client)};
}

namespace {

// Without what asks for the client's certificate.
client_tls::SslCtxPtr make_server_that_asks_nothing(const Mechanism& mechanism, const Identities& identities) {
  client_tls::SslCtxPtr result{SSL_CTX_new(TLS_server_method())};
  SSL_CTX* ssl_ctx = result.get();
  require(ssl_ctx != nullptr, "server");
  SSL_CTX_set_min_proto_version(ssl_ctx, mechanism.version);
  SSL_CTX_set_max_proto_version(ssl_ctx, mechanism.version);
  if (mechanism.stateful) SSL_CTX_set_options(ssl_ctx, SSL_OP_NO_TICKET);
  SSL_CTX_sess_set_cache_size(ssl_ctx, cached_sessions);
  present(ssl_ctx, identities.server);
  X509_STORE_add_cert(SSL_CTX_get_cert_store(ssl_ctx), identities.ca.get());
  return result;
}

}  // namespace

client_tls::SslCtxPtr make_server(Way way, const Mechanism& mechanism, const Identities& identities, Asks asks) {
  auto result = make_server_that_asks_nothing(mechanism, identities);
  set_up(result.get(), way, identities.ca, asks);
  return result;
}

client_tls::SslCtxPtr make_server_with_lists(const Mechanism& mechanism, const Identities& identities,
                                             std::size_t entries) {
  auto result = make_server_that_asks_nothing(mechanism, identities);
  std::vector<client_tls::X509CrlPtr> lists;
  lists.push_back(issue_list(identities.ca, 0));
  lists.push_back(issue_list(identities.client[1], entries));
  set_up_library(result.get(), identities.ca, Asks::yes, std::move(lists));
  return result;
}

Client::Client(const Identities& identities) : ssl_ctx_(SSL_CTX_new(TLS_client_method())) {
  require(ssl_ctx_ != nullptr, "client");
  present(ssl_ctx_.get(), identities.client);
  SSL_CTX_set_app_data(ssl_ctx_.get(), this);
  SSL_CTX_set_session_cache_mode(ssl_ctx_.get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(ssl_ctx_.get(), keep_session);
}

int Client::keep_session(SSL* ssl, SSL_SESSION* session) {
  static_cast<Client*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)))->session_.reset(session);
  return 1;
}

std::size_t read_chain_as_kong(SSL* ssl, std::span<char> out) {
  const client_tls::BioPtr bio{BIO_new(BIO_s_mem())};
  require(PEM_write_bio_X509(bio.get(), SSL_get0_peer_certificate(ssl)) == 1, "leaf");
  const STACK_OF(X509)* others = SSL_get_peer_cert_chain(ssl);
  for (int i = 0; i < sk_X509_num(others); ++i) {
    require(PEM_write_bio_X509(bio.get(), sk_X509_value(others, i)) == 1, "chain");
  }
  return static_cast<std::size_t>(BIO_read(bio.get(), out.data(), static_cast<int>(out.size())));
}

}  // namespace bench
