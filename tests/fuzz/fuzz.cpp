#include "fuzz.hpp"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <random>
#include <string>

#include "support/clock.hpp"

#if defined(__GLIBC__)
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_realloc(void*, std::size_t);
void __libc_free(void*);
}
#endif

namespace fuzz {
namespace {

constexpr int sentinel_reason = 42;

// libFuzzer reads these counters as it does those of the code.
constexpr std::size_t places = 4096;
__attribute__((section("__libfuzzer_extra_counters"), used)) std::array<unsigned char, places> counters;

void set_entropy(EVP_RAND_CTX* generator, std::span<unsigned char> entropy) {
  unsigned strength = 1024;
  const std::array parameters{
      OSSL_PARAM_construct_uint(OSSL_RAND_PARAM_STRENGTH, &strength),
      OSSL_PARAM_construct_octet_string(OSSL_RAND_PARAM_TEST_ENTROPY, entropy.data(), entropy.size()),
      OSSL_PARAM_construct_end()};
  expect(EVP_RAND_CTX_set_params(generator, parameters.data()) == 1, "OpenSSL's TEST-RAND takes its numbers");
}

std::array<unsigned char, 32768> make_entropy() {
  std::array<unsigned char, 32768> entropy{};
  std::mt19937 numbers;  // its default seed
  std::ranges::generate(entropy, [&] { return static_cast<unsigned char>(numbers()); });
  return entropy;
}

// Without a C library that has other names for them, it stays as it is.
bool choose_memory() {
#if defined(__GLIBC__)
  if (std::getenv("CLIENT_TLS_FUZZ_PLAIN_MEMORY") == nullptr) return true;
  return CRYPTO_set_mem_functions(
             [](std::size_t size, const char*, int) { return __libc_malloc(size); },
             [](void* old, std::size_t size, const char*, int) { return __libc_realloc(old, size); },
             [](void* block, const char*, int) { __libc_free(block); }) == 1;
#else
  return true;
#endif
}

}  // namespace

void expect(bool holds, const char* what, const char* file, int line) {
  if (holds) return;
  std::fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
  std::abort();
}

void expect_agrees(const client_tls::Verdict& verdict, std::string_view client_verify) {
  using Status = client_tls::Verdict::Status;
  const Status status = verdict.status();
  expect(verdict.success() == (client_verify == "SUCCESS"), "the log has SUCCESS where the verdict is success");
  const bool nobody = status == Status::none || status == Status::not_asked;
  expect(nobody == (client_verify == "NONE"), "and NONE where there is nobody to be verified");
  expect((status == Status::failed) == client_verify.starts_with("FAILED:"), "and FAILED where it failed");
  expect(verdict.reasons().empty() == (status != Status::failed), "a verdict that failed has reasons, and no other");
  if (status != Status::failed) return;
  const std::string text{verdict.reasons().back().text};
  expect(client_verify == "FAILED:" + text, "with the last of the reasons");
}

Bytes Input::take(std::size_t size) {
  const ByteView taken = rest_.first(std::min(size, rest_.size()));
  rest_ = rest_.subspan(taken.size());
  Bytes result(taken.begin(), taken.end());
  result.resize(size);
  return result;
}

Edit Edit::read(Input& input) {
  Edit edit{};
  edit.kind = input.byte();
  edit.at = input.number();
  edit.size = input.byte();
  edit.value = static_cast<unsigned char>(input.byte());
  return edit;
}

void Edit::apply(Bytes& bytes) const {
  const auto position = bytes.begin() + static_cast<std::ptrdiff_t>(std::min(at, bytes.size()));
  const auto length = std::min(size, static_cast<std::size_t>(bytes.end() - position));
  const auto end = position + static_cast<std::ptrdiff_t>(length);
  switch (kind % 6) {
    case 0:
      bytes.insert(position, size, value);
      return;
    case 1:
      bytes.erase(position, end);
      return;
    case 2: {
      const Bytes again(position, end);
      bytes.insert(position, again.begin(), again.end());
      return;
    }
    case 3:
      bytes.erase(position, bytes.end());
      return;
    default:
      apply_in_place(bytes);
  }
}

void Edit::apply_in_place(std::span<unsigned char> bytes) const {
  if (at >= bytes.size()) return;
  const auto run = bytes.subspan(at, std::min(size, bytes.size() - at));
  switch (kind % 3) {
    case 0:
      bytes[at] = value;
      return;
    case 1:
      bytes[at] ^= value;
      return;
    default:
      std::ranges::fill(run, value);
  }
}

void begin() {
  static const bool memory_chosen = choose_memory();
  expect(memory_chosen, "OpenSSL takes its memory functions");
  static std::array entropy = make_entropy();
  static const bool test_rand = RAND_set_DRBG_type(nullptr, "TEST-RAND", nullptr, nullptr, nullptr) == 1;
  expect(test_rand, "OpenSSL has TEST-RAND");
  set_entropy(RAND_get0_public(nullptr), std::span(entropy).first(entropy.size() / 2));
  set_entropy(RAND_get0_private(nullptr), std::span(entropy).last(entropy.size() / 2));
  static const std::time_t start = std::time(nullptr);
  test::advance_time(start - std::time(nullptr));
}

client_tls::SslCtxPtr make_server_ctx() {
  client_tls::SslCtxPtr ctx{SSL_CTX_new(TLS_server_method())};
  const test::Pki& pki = test::Pki::get();
  SSL_CTX_use_certificate(ctx.get(), pki.server.get());
  SSL_CTX_use_PrivateKey(ctx.get(), pki.server.key.get());
  SSL_CTX_set1_groups_list(ctx.get(), "X25519:P-256");
  return ctx;
}

client_tls::SslCtxPtr make_client_ctx(const test::ClientOptions& options) {
  client_tls::SslCtxPtr ctx = test::make_client_ctx(options);
  SSL_CTX_sess_set_new_cb(ctx.get(), [](SSL* ssl, SSL_SESSION* session) {
    static_cast<client_tls::SslSessionPtr*>(SSL_get_app_data(ssl))->reset(session);
    return 1;
  });
  return ctx;
}

std::size_t move_bytes(SSL* from, SSL* to) {
  const Bytes bytes = take_written(from);
  give(to, bytes);
  return bytes.size();
}

Bytes take_written(SSL* ssl) {
  Bytes bytes(BIO_ctrl_pending(SSL_get_wbio(ssl)));
  if (!bytes.empty()) BIO_read(SSL_get_wbio(ssl), bytes.data(), static_cast<int>(bytes.size()));
  return bytes;
}

void give(SSL* ssl, ByteView bytes) {
  if (!bytes.empty()) BIO_write(SSL_get_rbio(ssl), bytes.data(), static_cast<int>(bytes.size()));
}

void connect_to_memory(SSL* ssl) {
  BIO* in = BIO_new(BIO_s_mem());
  BIO* out = BIO_new(BIO_s_mem());
  BIO_set_mem_eof_return(in, -1);
  BIO_set_mem_eof_return(out, -1);
  SSL_set_bio(ssl, in, out);
}

int advance(SSL* ssl) {
  std::array<char, 256> data;
  ERR_clear_error();
  const bool reads = SSL_is_init_finished(ssl) == 1;
  const int result = reads ? SSL_read(ssl, data.data(), static_cast<int>(data.size())) : SSL_do_handshake(ssl);
  const int error = SSL_get_error(ssl, result);
  note(static_cast<std::size_t>(ERR_GET_REASON(ERR_peek_last_error())));
  note(places / 2 + static_cast<std::size_t>(SSL_get_state(ssl)) * 16 + static_cast<std::size_t>(error));
  ERR_clear_error();
  return error;
}

void note(std::size_t place) {
  counters[place % places] = 1;
}

QueueGuard::QueueGuard() {
  ERR_clear_error();
  ERR_raise(ERR_LIB_USER, sentinel_reason);
}

QueueGuard::~QueueGuard() {
  expect(ERR_GET_REASON(ERR_get_error()) == sentinel_reason, "an entry of the host's stays on the error queue");
  expect(ERR_get_error() == 0, "nothing is added to the error queue");
}

std::array<unsigned char, SSL_MAX_SID_CTX_LENGTH> session_id_context(std::string_view scope) {
  std::string text = "client-tls scope 2\n";
  text += scope;
  std::array<unsigned char, SSL_MAX_SID_CTX_LENGTH> digest{};
  expect(EVP_Digest(text.data(), text.size(), digest.data(), nullptr, EVP_sha256(), nullptr) == 1, "SHA-256");
  return digest;
}

}  // namespace fuzz
