// The access log: one JSON object a line.
#pragma once

#include <chrono>
#include <cstdio>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace reverse_proxy {

// Keeps the order in which its members were added.
using LogLine = nlohmann::ordered_json;

// What is not known is null in the log.
inline LogLine or_null(std::string_view text) {
  return text.empty() ? LogLine(nullptr) : LogLine(text);
}

class AccessLog {
 public:
  // "-" is standard output; a file is appended to. Throws std::runtime_error.
  explicit AccessLog(const std::string& file);

  // Writes the time and the line, at once and as a whole. Any thread. What is not UTF-8 is replaced (U+FFFD).
  void write(const LogLine& line);

 private:
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
