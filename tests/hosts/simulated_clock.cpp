// A clock for a program under test, preloaded (LD_PRELOAD): time() is the machine's, moved on by the seconds that
// stand in the file that CLIENT_TLS_CLOCK names. OpenSSL 3.0 asks time() for everything that has to do with sessions
// and certificates; timers go by other clocks, and run on.
#include <fcntl.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <ctime>

namespace {

// 0 without the file.
std::time_t offset() noexcept {
  const char* file = std::getenv("CLIENT_TLS_CLOCK");
  const int descriptor = file != nullptr ? open(file, O_RDONLY | O_CLOEXEC) : -1;
  if (descriptor < 0) return 0;
  std::array<char, 32> digits{};
  const bool read_some = read(descriptor, digits.data(), digits.size() - 1) > 0;
  close(descriptor);
  return read_some ? std::strtoll(digits.data(), nullptr, 10) : 0;
}

}  // namespace

extern "C" std::time_t time(std::time_t* out) noexcept {
  timeval now{};
  gettimeofday(&now, nullptr);
  const std::time_t result = now.tv_sec + offset();
  if (out != nullptr) *out = result;
  return result;
}
