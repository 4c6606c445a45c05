#include "pem_blocks.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <array>

#include "errors.hpp"

namespace client_tls {
namespace {

constexpr std::string_view begin_mark = "-----BEGIN ";
constexpr std::string_view end_mark = "-----END ";
constexpr std::string_view dashes = "-----";
constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

Error bad(std::string_view message, std::size_t line) noexcept {
  return failure(Errc::malformed, message, line);
}

bool is_blank(char c) noexcept {
  return c == ' ' || c == '\t';
}
bool is_letter(char c) noexcept {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}
bool is_alphanumeric(char c) noexcept {
  return is_letter(c) || (c >= '0' && c <= '9');
}
char upper(char c) noexcept {
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}

// A dash in any writing: what is not ASCII may be one of a word processor's, in whatever encoding.
bool is_like_dash(char c) noexcept {
  return c == '-' || static_cast<unsigned char>(c) >= 0x80;
}

bool is_base64(std::string_view text) noexcept {
  const std::size_t end = text.find_last_not_of('=') + 1;
  return text.size() - end <= 2 && std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(end),
                                               [](char c) { return is_alphanumeric(c) || c == '+' || c == '/'; });
}

// What a block's label begins with, or has before CERTIFICATE and the like.
constexpr std::array<std::string_view, 18> label_words{
    "CERTIFICATE", "X509", "X.509", "CRL",  "TRUSTED", "PKCS",    "CMS",    "PRIVATE",   "ENCRYPTED",
    "PUBLIC",      "RSA",  "EC ",   "DSA ", "DH ",     "OPENSSH", "NEW CE", "ATTRIBUTE", "PARAMETERS"};

bool begins_with(std::string_view text, std::string_view word) noexcept {
  return text.size() >= word.size() &&
         std::equal(word.begin(), word.end(), text.begin(), [](char a, char b) { return a == upper(b); });
}

std::string_view without_separators(std::string_view text) noexcept {
  while (!text.empty() && !is_alphanumeric(text.front())) text.remove_prefix(1);
  return text;
}

bool begins_with_label(std::string_view text) noexcept {
  text = without_separators(text);
  return std::any_of(label_words.begin(), label_words.end(),
                     [text](std::string_view word) { return begins_with(text, word); });
}

// Dashes that end a text, blanks between them and at its end left out.
std::size_t dashes_at_end(std::string_view text) noexcept {
  std::size_t count = 0;
  for (; !text.empty() && (is_blank(text.back()) || is_like_dash(text.back())); text.remove_suffix(1)) {
    if (!is_blank(text.back())) ++count;
  }
  return count;
}

// Whether `line`, which has BEGIN or END from `at` on, is likely meant to begin or end a block: two dashes stand before
// the word, in whatever writing; or a label follows it, and a dash stands on either side or nothing but it is on the
// line. When in doubt it is: "-- end of list --" is.
bool is_mark_at(std::string_view line, std::size_t at, std::string_view word, bool dash_follows) noexcept {
  const std::string_view before = line.substr(0, at);
  const std::string_view after = line.substr(at + word.size());
  if (!before.empty() && is_alphanumeric(before.back())) return false;
  const bool label = begins_with_label(after);
  if (!after.empty() && is_alphanumeric(after.front()) && !label) return false;
  if (dashes_at_end(before) >= 2) return true;
  if (!label) return false;
  return dash_follows || dashes_at_end(before) > 0 || std::none_of(before.begin(), before.end(), is_alphanumeric);
}

// "BEGIN" or "END", if the line has a mark with it in any spelling; else empty.
std::string_view find_mark(std::string_view line) noexcept {
  const auto last_dash =
      line.size() - static_cast<std::size_t>(std::find_if(line.rbegin(), line.rend(), is_like_dash) - line.rbegin());
  for (std::size_t at = 0; at < line.size(); ++at) {
    for (const std::string_view word : {std::string_view("BEGIN"), std::string_view("END")}) {
      if (begins_with(line.substr(at), word) && is_mark_at(line, at, word, last_dash > at)) return word;
    }
  }
  return {};
}

// The label of a mark that is as it should be.
std::optional<std::string_view> label_of(std::string_view line, std::string_view mark) noexcept {
  if (!line.starts_with(mark) || !line.ends_with(dashes) || line.size() < mark.size() + dashes.size()) return {};
  line = line.substr(mark.size(), line.size() - mark.size() - dashes.size());
  const bool good = !line.empty() && is_alphanumeric(line.front()) && is_alphanumeric(line.back()) &&
                    std::none_of(line.begin(), line.end(), is_like_dash);
  return good ? std::optional(line) : std::nullopt;
}

constexpr std::string_view bad_begin = "it has a BEGIN line that is not exactly -----BEGIN and a label-----";
constexpr std::string_view bad_end = "it has an END line that is not exactly -----END and a label-----";

// A body whose marks are gone: the lines of a certificate or a list begin like this.
bool is_stray_body(std::string_view line) noexcept {
  constexpr std::size_t shortest = 40;
  const std::size_t begin = std::min(line.find_first_not_of(" \t"), line.size());
  line.remove_prefix(begin);
  return line.size() >= shortest && line.starts_with("MI") && is_base64(line);
}

// Bits that a shorter ending would have, too.
bool has_stray_bits(std::string_view base64) noexcept {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const std::size_t end = base64.find_last_not_of('=') + 1;
  const std::size_t padding = base64.size() - end;
  if (padding == 0) return false;
  return (digits.find(base64[end - 1]) & (padding == 1 ? 3U : 15U)) != 0;
}

Result<void> decode(const std::string& base64, PemBlock& block) {
  if (base64.empty()) return bad("it has an empty block", block.line);
  if (base64.size() % 4 != 0 || !is_base64(base64) || has_stray_bits(base64)) {
    return bad("it has a block that is not base64, or is cut off", block.line);
  }
  block.bytes.resize(base64.size() / 4 * 3);
  const int size = EVP_DecodeBlock(block.bytes.data(), reinterpret_cast<const unsigned char*>(base64.data()),
                                   static_cast<int>(base64.size()));
  if (size < 0) return bad("it has a block that is not base64, or is cut off", block.line);
  block.bytes.resize(block.bytes.size() - (base64.size() - base64.find_last_not_of('=') - 1));
  return {};
}

std::size_t line_at(std::string_view text, std::size_t position) noexcept {
  return static_cast<std::size_t>(
             std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(position), '\n')) +
         1;
}

// What a text cannot begin with: a SEQUENCE of some length.
bool is_der(std::string_view text) noexcept {
  constexpr char sequence = 0x30;
  if (text.size() < 2 || text[0] != sequence) return false;
  const auto length = static_cast<unsigned char>(text[1]);
  return length >= 0x80 || length + 2U == text.size();
}

std::string_view kind_of_der(std::string_view text) noexcept {
  const auto length = static_cast<unsigned char>(text[1]);
  const std::size_t header = length >= 0x80 ? 2U + (length & 0x7FU) : 2U;
  const std::string_view content = text.size() > header ? text.substr(header) : std::string_view();
  if (content.starts_with(std::string_view("\x02\x01\x03", 3))) return "it is PKCS #12, and not PEM";
  if (content.starts_with(std::string_view("\x02\x01\x00", 3))) return "it is a private key in DER, and not PEM";
  return "it is DER, and not PEM";
}

}  // namespace

Result<void> PemReader::check() const noexcept {
  if (rest_.starts_with("\xFF\xFE") || rest_.starts_with("\xFE\xFF")) return bad("it is UTF-16, and not ASCII", 1);
  if (is_der(rest_)) return bad(kind_of_der(rest_), 1);
  const std::size_t null = rest_.find('\0');
  if (null == std::string_view::npos) return {};
  if (null < 2) return bad("it is UTF-16, and not ASCII", 1);
  return bad("it has a NUL", line_at(rest_, null));
}

bool PemReader::read_line() noexcept {
  if (number_ == 0 && rest_.starts_with(byte_order_mark)) rest_.remove_prefix(byte_order_mark.size());
  if (rest_.empty()) return false;
  const std::size_t end = std::min(rest_.find('\n'), rest_.size());
  line_ = rest_.substr(0, end);
  rest_.remove_prefix(std::min(end + 1, rest_.size()));
  ++number_;
  if (line_.ends_with('\r')) line_.remove_suffix(1);
  while (!line_.empty() && is_blank(line_.back())) line_.remove_suffix(1);
  return true;
}

Result<void> PemReader::next(std::optional<PemBlock>& block) {
  while (read_line()) {
    if (const auto label = label_of(line_, begin_mark)) {
      PemBlock& begun = block.emplace();
      begun.label = *label;
      begun.line = number_;
      return read_block(begun);
    }
    if (auto good = check_between(); !good) return good;
  }
  return {};
}

// A line that belongs to no block.
Result<void> PemReader::check_between() const noexcept {
  if (line_.find('\r') != std::string_view::npos) return bad("it has a carriage return that ends no line", number_);
  if (label_of(line_, end_mark)) return bad("it has an END line without its BEGIN", number_);
  const std::string_view mark = find_mark(line_);
  if (!mark.empty()) return bad(mark == "END" ? bad_end : bad_begin, number_);
  if (is_stray_body(line_)) return bad("it has base64 outside of a block", number_);
  return {};
}

Result<void> PemReader::read_block(PemBlock& block) {
  std::string base64;
  while (read_line()) {
    const std::size_t begin = std::min(line_.find_first_not_of(" \t"), line_.size());
    const std::string_view body = line_.substr(begin);
    if (is_base64(body)) {
      if (!body.empty() && base64.ends_with('=')) return bad("it has base64 after its end", number_);
      base64 += body;
      continue;
    }
    const auto end = label_of(line_, end_mark);
    if (!end) return bad_line_within(block);
    if (*end != block.label) return bad("it has an END line with another label than its BEGIN", number_);
    return decode(base64, block);
  }
  return bad("it has a block without an END line", block.line);
}

Error PemReader::bad_line_within(const PemBlock& block) const noexcept {
  if (line_.find('\r') != std::string_view::npos) return bad("it has a carriage return that ends no line", number_);
  if (label_of(line_, begin_mark)) return bad("it has a block without an END line", block.line);
  const std::string_view mark = find_mark(line_);
  if (!mark.empty()) return bad(mark == "END" ? bad_end : bad_begin, number_);
  if (line_.starts_with("Proc-Type:") || line_.starts_with("DEK-Info:")) {
    return bad("it has an encrypted block", number_);
  }
  if (line_.find(':') != std::string_view::npos) return bad("it has a block with a header", number_);
  return bad("it has a block with a line that is not base64", number_);
}

}  // namespace client_tls
