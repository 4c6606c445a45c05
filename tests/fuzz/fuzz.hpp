// What the fuzz targets share. Each target is one file with the function that libFuzzer calls; an input is read front
// to back, and is never too short: what is missing is zero.
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "client_tls/verdict.hpp"
#include "support/client.hpp"
#include "support/wire.hpp"

namespace fuzz {

using Bytes = std::vector<unsigned char>;
using ByteView = std::span<const unsigned char>;

// Ends the program, and so tells of a finding, if what must hold does not.
// (std::source_location: not in clang 14.)
void expect(bool holds, const char* what, const char* file = __builtin_FILE(), int line = __builtin_LINE());

// Holds what the log says of a client to the verdict on it.
void expect_agrees(const client_tls::Verdict& verdict, std::string_view client_verify);

class Input {
 public:
  Input(const unsigned char* data, std::size_t size) : rest_(data, size) {}

  [[nodiscard]] bool empty() const { return rest_.empty(); }
  unsigned byte() { return take(1)[0]; }
  std::size_t number() {  // two bytes
    const std::size_t high = byte();
    return high << 8U | byte();
  }
  Bytes take(std::size_t size);  // exactly so many bytes
  [[nodiscard]] ByteView rest() const { return rest_; }

 private:
  ByteView rest_;
};

// One change to a run of bytes: where, and what is written, inserted, erased, repeated or cut off there.
struct Edit {
  unsigned kind;
  std::size_t at;
  std::size_t size;
  unsigned char value;

  static Edit read(Input& input);
  void apply(Bytes& bytes) const;
  void apply_in_place(std::span<unsigned char> bytes) const;  // the size stays
};

// Gives OpenSSL's random numbers and the clock a fixed beginning, so that an input does the same each time. Called
// before anything else of OpenSSL, and again for each input.
//
// With CLIENT_TLS_FUZZ_PLAIN_MEMORY in the environment, OpenSSL's own allocations bypass AddressSanitizer: for long
// runs of handshakes, of which its bookkeeping is more than half.
void begin();

// A server's SSL_CTX with its certificate and two groups, which in TLS 1.2 are those of the client's certificate, too.
client_tls::SslCtxPtr make_server_ctx();

// A client's, whose SSLs keep the last session that they are given in the SslSessionPtr that is their app data.
client_tls::SslCtxPtr make_client_ctx(const test::ClientOptions& options = {});

// Moves what one end has written to where the other reads; how much it was.
std::size_t move_bytes(SSL* from, SSL* to);
Bytes take_written(SSL* ssl);
void give(SSL* ssl, ByteView bytes);

// Two ends of memory for an SSL, which it then owns.
void connect_to_memory(SSL* ssl);

// Goes on with the handshake, or reads; what the SSL wants next, as SSL_get_error says. Leaves no error on the queue.
int advance(SSL* ssl);

// Tells libFuzzer that an input led to one of 4096 places in OpenSSL, whose own code it does not see. `advance` notes
// the reasons of errors in the first half, and states and results from the middle on.
void note(std::size_t place);

// Holds an operation to leaving the error queue as it was: there is one entry on it meanwhile.
class QueueGuard {
 public:
  QueueGuard();
  ~QueueGuard();
  QueueGuard(const QueueGuard&) = delete;
  QueueGuard& operator=(const QueueGuard&) = delete;
};

// What the session id context of a connection in this scope is (docs/design.md).
std::array<unsigned char, SSL_MAX_SID_CTX_LENGTH> session_id_context(std::string_view scope);

}  // namespace fuzz
