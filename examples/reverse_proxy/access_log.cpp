#include "access_log.hpp"

#include <array>
#include <cerrno>
#include <client_tls/json.hpp>
#include <ctime>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <system_error>

namespace reverse_proxy {
namespace {

using std::chrono::system_clock;

// Lines keep the order in which their members were added.
using LogLine = nlohmann::ordered_json;

std::string format_utc(system_clock::time_point time, const char* format) {
  const std::time_t seconds = system_clock::to_time_t(time);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 64> text{};
  return {text.data(), std::strftime(text.data(), text.size(), format, &parts)};
}

// RFC 3339 with milliseconds.
std::string timestamp(system_clock::time_point time) {
  const auto whole = std::chrono::floor<std::chrono::seconds>(time);
  const auto rest = std::chrono::duration_cast<std::chrono::milliseconds>(time - whole).count();
  const std::string digits = std::to_string(1000 + rest).substr(1);
  return format_utc(whole, "%Y-%m-%dT%H:%M:%S.") + digits + "Z";
}

LogLine or_null(std::string_view text) {
  return text.empty() ? LogLine(nullptr) : LogLine(text);
}

LogLine line_of(std::string_view client, std::string_view server_name) {
  return {{"time", timestamp(system_clock::now())}, {"client", client}, {"server_name", or_null(server_name)}};
}

std::string text_of(const LogLine& line) {
  return line.dump(-1, ' ', false, LogLine::error_handler_t::replace) + '\n';
}

}  // namespace

AccessLog::AccessLog(const std::string& file) : file_(file == "-" ? stdout : std::fopen(file.c_str(), "ae")) {
  if (!file_)
    throw std::runtime_error("the log " + file + " cannot be opened: " + std::generic_category().message(errno));
}

void AccessLog::write(const RequestEntry& entry) {
  LogLine line = line_of(entry.client, entry.server_name);
  line["method"] = or_null(entry.method);
  line["target"] = or_null(entry.target);
  line["status"] = entry.status != 0 ? LogLine(entry.status) : LogLine(nullptr);
  line["bytes_sent"] = entry.bytes_sent;
  line["duration_ms"] = std::chrono::duration_cast<std::chrono::milliseconds>(entry.duration).count();
  line["upstream"] = or_null(entry.upstream);
  line["resumed"] = entry.resumed;
  line["request"] = {{"tls", entry.tls ? LogLine(*entry.tls) : LogLine(nullptr)}};
  if (!entry.error.empty()) line["error"] = entry.error;
  write_line(text_of(line));
}

void AccessLog::write(const HandshakeEntry& entry) {
  LogLine line = line_of(entry.client, entry.server_name);
  line["error"] = entry.error;
  write_line(text_of(line));
}

void AccessLog::write_line(const std::string& text) {
  const std::scoped_lock lock(mutex_);
  std::fwrite(text.data(), 1, text.size(), file_.get());
  std::fflush(file_.get());
}

std::string http_date(system_clock::time_point time) {
  return format_utc(time, "%a, %d %b %Y %H:%M:%S GMT");
}

}  // namespace reverse_proxy
