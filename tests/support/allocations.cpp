#include "support/allocations.hpp"

#include <openssl/crypto.h>
#include <openssl/err.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>

namespace test {
namespace {

constexpr std::size_t never = std::numeric_limits<std::size_t>::max();

constinit std::atomic<std::size_t> bytes{0};
constinit std::atomic<std::size_t> blocks{0};
constinit std::atomic<std::size_t> made{0};
constinit std::atomic<std::size_t> peak{0};

// Failing is for one thread at a time.
constinit std::size_t number = 0;
constinit std::size_t fails_at = never;
constinit bool fails_from_there_on = false;
constinit bool paused = true;
constinit bool failed = false;

bool fails_now() {
  if (paused || fails_at == never) return false;
  const std::size_t current = number++;
  const bool fails = current == fails_at || (fails_from_there_on && current > fails_at);
  failed = failed || fails;
  return fails;
}

// In front of each block stands the size that it was asked for with. What malloc makes of a size (malloc_usable_size)
// depends on what was freed before, and is another from run to run.
constexpr std::size_t header_size = alignof(std::max_align_t);

void* begin_of(void* block) {
  return static_cast<char*>(block) - header_size;
}

std::size_t size_of(void* block) {
  std::size_t size = 0;
  std::memcpy(&size, begin_of(block), sizeof size);
  return size;
}

// The block behind its header, counted.
void* count(void* begin, std::size_t size) {
  if (begin == nullptr) return nullptr;
  std::memcpy(begin, &size, sizeof size);
  ++blocks;
  ++made;
  const std::size_t now = bytes += size;
  std::size_t highest = peak;
  while (now > highest && !peak.compare_exchange_weak(highest, now)) {
  }
  return static_cast<char*>(begin) + header_size;
}

void uncount(std::size_t size) {
  --blocks;
  bytes -= size;
}

void* allocate(std::size_t size) {
  if (fails_now() || size > never - header_size) return nullptr;
  return count(std::malloc(header_size + size), size);
}

void release(void* block) {
  if (block == nullptr) return;
  uncount(size_of(block));
  std::free(begin_of(block));
}

void* openssl_malloc(std::size_t size, const char* /*file*/, int /*line*/) {
  return allocate(size);
}

void* openssl_realloc(void* old, std::size_t size, const char* /*file*/, int /*line*/) {
  if (old == nullptr) return allocate(size);
  if (size == 0) {
    release(old);
    return nullptr;
  }
  if (fails_now() || size > never - header_size) return nullptr;
  const std::size_t old_size = size_of(old);
  void* begin = std::realloc(begin_of(old), header_size + size);
  if (begin == nullptr) return nullptr;
  uncount(old_size);
  return count(begin, size);
}

void openssl_free(void* block, const char* /*file*/, int /*line*/) {
  release(block);
}

const bool taken = CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free) == 1;

}  // namespace

bool counts_openssl() {
  return taken;
}

std::size_t bytes_in_use() {
  return bytes;
}

std::size_t blocks_in_use() {
  return blocks;
}

std::size_t allocations_made() {
  return made;
}

std::size_t peak_bytes() {
  return peak;
}

void forget_peak() {
  peak = bytes.load();
}

Failing::Failing(std::size_t which, Mode mode) {
  // Makes the thread's error state, while there is memory: from OpenSSL 3.6.5 on, ERR_new and CRYPTO_malloc call each
  // other until the stack ends, on a thread that runs out of memory before it has one.
  ERR_clear_error();
  number = 0;
  fails_at = which;
  fails_from_there_on = mode == Mode::from_there_on;
  failed = false;
  paused = true;
}

Failing::~Failing() {
  fails_at = never;
  paused = true;
}

Failing::Here::Here() {
  paused = false;
}

Failing::Here::~Here() {
  paused = true;
}

std::size_t allocation_stride() {
  const char* value = std::getenv("CLIENT_TLS_ALLOCATION_STRIDE");
  const std::size_t stride = value != nullptr ? std::strtoul(value, nullptr, 10) : 0;
  return stride != 0 ? stride : 31;
}

bool Failing::has_failed() {
  return failed;
}

}  // namespace test

// The other forms call these, but not AddressSanitizer's own: all that it has are here, in pairs.
void* operator new(std::size_t size) {
  void* block = test::allocate(size != 0 ? size : 1);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

void* operator new[](std::size_t size) {
  return operator new(size);
}

void* operator new(std::size_t size, const std::nothrow_t& /*nothrow*/) noexcept {
  return test::allocate(size != 0 ? size : 1);
}

void* operator new[](std::size_t size, const std::nothrow_t& /*nothrow*/) noexcept {
  return test::allocate(size != 0 ? size : 1);
}

void operator delete(void* block) noexcept {
  test::release(block);
}

void operator delete(void* block, std::size_t /*size*/) noexcept {
  test::release(block);
}

void operator delete[](void* block) noexcept {
  test::release(block);
}

void operator delete[](void* block, std::size_t /*size*/) noexcept {
  test::release(block);
}
