// parse_certificates and parse_crls: what they return is every block there is, or an error. The first byte says how
// many good blocks stand in the text, and of which kind; edits follow, and what is left of the input is put between
// them.
#include "client_tls/pem.hpp"

#include <algorithm>
#include <cctype>

#include "fuzz.hpp"
#include "support/pki.hpp"

namespace {

using namespace client_tls;
using fuzz::expect;

bool is_dash(unsigned char c) {
  return c == '-' || c >= 0x80;
}

bool is_word_at(std::string_view text, std::size_t at, std::string_view word) {
  if (text.size() - at < word.size()) return false;
  for (std::size_t i = 0; i < word.size(); ++i) {
    if ((text[at + i] | 0x20) != word[i]) return false;
  }
  const unsigned char next = at + word.size() < text.size() ? static_cast<unsigned char>(text[at + word.size()]) : ' ';
  return std::isalnum(next) == 0;
}

// Marks in any spelling: the word in any case after two dashes or more, with blanks among them or not.
std::size_t count_marks(std::string_view text, std::string_view word) {
  std::size_t count = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (!is_word_at(text, at, word)) continue;
    std::size_t dashes = 0;
    for (std::size_t i = at; i > 0; --i) {
      const auto c = static_cast<unsigned char>(text[i - 1]);
      if (!is_dash(c) && c != ' ' && c != '\t') break;
      if (is_dash(c)) ++dashes;
    }
    if (dashes >= 2) ++count;
  }
  return count;
}

template <class Objects>
void check(std::string_view text, const Result<Objects>& read) {
  if (read) {
    expect(!read->empty(), "there is a block");
    expect(count_marks(text, "begin") == read->size(), "each BEGIN is one that was read");
    expect(count_marks(text, "end") == read->size(), "each END is one that was read");
    return;
  }
  const Error& error = read.error();
  expect(error.code == Errc::malformed, "a text is good or malformed");
  const auto lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) + 1;
  expect(error.position <= lines, "the line is one of the text's");
}

std::string good_blocks(unsigned choice) {
  static const std::string certificate = test::pem_of({test::Pki::get().ca1.get()});
  static const std::string list = test::pem_of(*test::issue_crl(test::Pki::get().ca1));
  std::string text;
  for (unsigned i = 0; i < choice % 4; ++i) text += (choice & 4U) != 0 ? list : certificate;
  if ((choice & 8U) != 0) text += list + certificate;
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  fuzz::Input input{data, size};
  std::string blocks = good_blocks(input.byte());
  fuzz::Bytes text(blocks.begin(), blocks.end());
  for (unsigned edits = input.byte() % 4; edits > 0; --edits) fuzz::Edit::read(input).apply(text);
  const std::size_t at = input.number() % (text.size() + 1);
  text.insert(text.begin() + static_cast<std::ptrdiff_t>(at), input.rest().begin(), input.rest().end());
  const std::string_view view{reinterpret_cast<const char*>(text.data()), text.size()};
  check(view, parse_certificates(view));
  check(view, parse_crls(view));
  return 0;
}
