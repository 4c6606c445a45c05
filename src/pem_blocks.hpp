// The blocks of a PEM text (RFC 7468), read strictly.
//
// OpenSSL's own reader skips a block whose BEGIN line is not as it should be, and swallows the one after a block
// without an END line, without a word: in a file of revocation lists, that lets in whom they revoke.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client_tls/result.hpp"

namespace client_tls {

struct PemBlock {
  std::string_view label;  // into the text
  std::size_t line = 0;    // of its BEGIN, from 1
  std::vector<unsigned char> bytes;
};

class PemReader {
 public:
  explicit PemReader(std::string_view text) noexcept : rest_(text) {}

  // Whether it is a text at all. Errors: malformed, with the line.
  [[nodiscard]] Result<void> check() const noexcept;

  // The next block; none at the end. Errors: malformed, with the line. Throws std::bad_alloc.
  [[nodiscard]] Result<void> next(std::optional<PemBlock>& block);

 private:
  [[nodiscard]] bool read_line() noexcept;
  [[nodiscard]] Result<void> check_between() const noexcept;
  [[nodiscard]] Result<void> read_block(PemBlock& block);
  [[nodiscard]] Error bad_line_within(const PemBlock& block) const noexcept;

  std::string_view rest_;
  std::string_view line_;  // without what ends it, and without blanks at its end
  std::size_t number_ = 0;
};

}  // namespace client_tls
