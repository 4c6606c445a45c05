// An ex_data index, of which the process has one for each kind of OpenSSL's objects.
#pragma once

#include <atomic>
#include <mutex>

namespace client_tls {

// It is registered on first use, not at load time: until then a host may still set OpenSSL's memory functions. A
// registration that failed is tried again.
class ExDataIndex {
 public:
  template <class Register>
  int get(Register register_index) noexcept {
    int index = value_.load(std::memory_order_acquire);
    if (index >= 0) return index;
    const std::scoped_lock lock(mutex_);
    index = value_.load(std::memory_order_relaxed);
    if (index < 0) value_.store(index = register_index(), std::memory_order_release);
    return index;
  }
  [[nodiscard]] int get_if_registered() const noexcept { return value_.load(std::memory_order_acquire); }

 private:
  std::atomic<int> value_{-1};
  std::mutex mutex_;
};

}  // namespace client_tls
