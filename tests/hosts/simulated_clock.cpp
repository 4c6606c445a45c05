// A clock for a program under test, preloaded (LD_PRELOAD): time() and gettimeofday() are the machine's, moved on by
// the seconds that stand in the file that CLIENT_TLS_CLOCK names. OpenSSL asks these two for everything that has to do
// with sessions and certificates, 3.0 the first one alone; timers go by other clocks, and run on.
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

extern "C" int gettimeofday(timeval* out, void* /*zone*/) noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  *out = {.tv_sec = now.tv_sec + offset(), .tv_usec = now.tv_nsec / 1000};
  return 0;
}

extern "C" std::time_t time(std::time_t* out) noexcept {
  timeval now{};
  gettimeofday(&now, nullptr);
  if (out != nullptr) *out = now.tv_sec;
  return now.tv_sec;
}
