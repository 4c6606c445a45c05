// Standard-library allocations that fail become errors, where the library is built with exceptions.
#pragma once

#include <new>
#include <utility>

#include "error_queue.hpp"

namespace client_tls {

// What `make` returns, a Result; out_of_memory if it ran out of memory.
template <class Make>
[[nodiscard]] auto or_out_of_memory(Make&& make) noexcept -> decltype(make()) {
#if defined(__cpp_exceptions)
  try {
    return std::forward<Make>(make)();
  } catch (const std::bad_alloc&) {
    return failure(Errc::out_of_memory, "out of memory");
  }
#else
  return std::forward<Make>(make)();
#endif
}

}  // namespace client_tls
