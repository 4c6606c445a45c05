// The access log: one JSON object a line.
#pragma once

#include <chrono>
#include <client_tls/log.hpp>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace reverse_proxy {

// A request and its response. What is empty, or 0 as the status, is not known: null in the log.
struct RequestEntry {
  std::string_view client;
  std::string_view server_name;
  std::string_view method;
  std::string_view target;
  unsigned status = 0;
  std::uint64_t bytes_sent = 0;
  std::chrono::steady_clock::duration duration{};
  std::string_view upstream;
  bool resumed = false;
  std::optional<client_tls::LogEntry> tls;
  std::string_view error;  // empty: none
};

// A handshake that failed: the only trace of a client that could not get in.
struct HandshakeEntry {
  std::string_view client;
  std::string_view server_name;
  std::string_view error;
};

class AccessLog {
 public:
  // "-" is standard output; a file is appended to. Throws std::runtime_error.
  explicit AccessLog(const std::string& file);

  // Each writes a line at once and as a whole. Any thread. What is not UTF-8 is replaced (U+FFFD).
  void write(const RequestEntry& entry);
  void write(const HandshakeEntry& entry);

 private:
  void write_line(const std::string& text);

  struct Close {
    void operator()(std::FILE* file) const noexcept {
      if (file != stdout) std::fclose(file);
    }
  };
  std::unique_ptr<std::FILE, Close> file_;
  std::mutex mutex_;
};

// The time as HTTP writes it (RFC 9110, section 5.6.7): "Sun, 06 Nov 1994 08:49:37 GMT".
std::string http_date(std::chrono::system_clock::time_point time);

}  // namespace reverse_proxy
