// ClientVerify::parse: it accepts the three documented forms and nothing else, and keeps what it was given.
#include "client_tls/log.hpp"

#include "client_tls/client_tls.hpp"
#include "fuzz.hpp"

namespace {

using namespace client_tls;
using fuzz::expect;

// The rule as it stands in the header, in another form than the library's.
bool documented(std::string_view value) {
  if (value == "NONE" || value == "SUCCESS") return true;
  constexpr std::string_view prefix = "FAILED:";
  if (value.size() <= prefix.size() || value.size() > prefix.size() + 256) return false;
  for (std::size_t i = 0; i < value.size(); ++i) {
    const auto byte = static_cast<unsigned char>(value[i]);
    if (i < prefix.size() ? value[i] != prefix[i] : byte < 0x20 || byte > 0x7E) return false;
  }
  return true;
}

void check_error(const Error& error) {
  expect(error.code == Errc::invalid_argument, "a bad value is invalid_argument");
  expect(!error.message.empty() && error.message.data()[error.message.size()] == '\0', "the message is a static text");
}

// The overload that throws: the same answer, and the former value stays.
void check_override(std::string_view value, bool good) {
  PhaseContext context{Phase::access};
  const ClientTls tls{nullptr, context};
  expect(tls.set_client_verify(*ClientVerify::parse("FAILED:former")).has_value(), "a good value is taken");
  bool taken = true;
  try {
    tls.set_client_verify(value);
  } catch (const std::invalid_argument&) {
    taken = false;
  }
  expect(taken == good, "set_client_verify takes what parse takes");
  expect(context.client_verify()->text() == (good ? value : "FAILED:former"), "the former value stays, or is replaced");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view value{reinterpret_cast<const char*>(data), size};
  const bool good = documented(value);
  const auto parsed = ClientVerify::parse(value);
  expect(parsed.has_value() == good, "parse accepts the documented values, and no others");
  if (parsed) {
    expect(parsed->text() == value && ClientVerify(*parsed) == *parsed, "the text is the value");
  } else {
    check_error(parsed.error());
  }
  check_override(value, good);
  return 0;
}
