#include "access_log.hpp"

#include <array>
#include <cerrno>
#include <ctime>
#include <stdexcept>
#include <system_error>

namespace reverse_proxy {
namespace {

using std::chrono::system_clock;

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

}  // namespace

AccessLog::AccessLog(const std::string& file) : file_(file == "-" ? stdout : std::fopen(file.c_str(), "ae")) {
  if (!file_)
    throw std::runtime_error("the log " + file + " cannot be opened: " + std::generic_category().message(errno));
}

void AccessLog::write(const LogLine& line) {
  LogLine whole{{"time", timestamp(system_clock::now())}};
  whole.update(line);
  const std::string text = whole.dump(-1, ' ', false, LogLine::error_handler_t::replace) + '\n';
  const std::scoped_lock lock(mutex_);
  std::fwrite(text.data(), 1, text.size(), file_.get());
  std::fflush(file_.get());
}

std::string http_date(system_clock::time_point time) {
  return format_utc(time, "%a, %d %b %Y %H:%M:%S GMT");
}

}  // namespace reverse_proxy
