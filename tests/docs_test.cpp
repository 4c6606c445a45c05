// What the documentation says twice is the same twice.
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "client_tls/install.hpp"
#include "client_tls/openssl_ptr.hpp"
#include "client_tls/pem.hpp"
#include "client_tls/phase.hpp"
#include "support/catch.hpp"
#include "support/text_file.hpp"

namespace {

using namespace client_tls;
using namespace client_tls::detail;

// The table as phase_table yields it, in Markdown.
std::string table() {
  std::string text = "| operation | phases |\n|---|---|\n";
  for (const PhaseRule& rule : phase_table) {
    std::string phases;
    for (const auto& [phase, name] : all_phases) {
      if (!rule.phases.contains(phase)) continue;
      phases += phases.empty() ? "" : ", ";
      phases += name;
    }
    text += "| `" + std::string(rule.name) + "` | " + phases + " |\n";
  }
  return text;
}

// The first table of a page: the run of lines that begin with a bar.
std::string first_table(const std::string& page) {
  const std::size_t begin = page.find("\n|") + 1;
  std::size_t end = begin;
  while (end < page.size() && page[end] == '|') end = page.find('\n', end) + 1;
  return page.substr(begin, end - begin);
}

// What stands between two marks, the second of which begins a line.
std::string between(const std::string& text, const std::string& begin, const std::string& end) {
  const std::size_t from = text.find("\n" + begin + "\n");
  REQUIRE(from != std::string::npos);
  const std::size_t code = from + begin.size() + 2;
  const std::size_t to = text.find("\n" + end + "\n", code);
  REQUIRE(to != std::string::npos);
  return text.substr(code, to + 1 - code);
}

std::string marked_part(const std::string& path, const std::string& mark = "readme") {
  return between(test::read_text(path), "// [" + mark + "]", "// [/" + mark + "]");
}

std::size_t occurrences(const std::string& text, std::string_view part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++count;
  return count;
}

// [readme policies]
client_tls::Result<void> ask_by_policy(SSL_CTX* ssl_ctx, const char* ca_file) {
  auto anchors = client_tls::read_certificates(ca_file);
  if (!anchors) return anchors.error();  // missing, empty, malformed: never a weaker policy
  client_tls::PolicyOptions options;
  options.request = client_tls::ClientAuth::required;
  options.anchors = *std::move(anchors);
  options.max_age = std::chrono::hours{8};  // from the full handshake, however often it is resumed
  auto policy = client_tls::ClientAuthPolicy::make(std::move(options));
  if (!policy) return policy.error();
  const auto open = client_tls::ClientAuthPolicy::make({});
  if (!open) return open.error();

  client_tls::PolicyTable table{*open, *open};  // other names, and clients that name none
  if (auto added = table.add("*.admin.example.test", *policy); !added) return added;
  return client_tls::install(ssl_ctx, std::make_shared<client_tls::CurrentPolicies>(std::move(table)));
}
// [/readme policies]

}  // namespace

TEST_CASE("docs: the tables of operations and phases are phase_table's") {
  CHECK(first_table(test::read_text(SOURCE_DIR "/docs/phases.md")) == table());
  CHECK(first_table(test::read_text(SOURCE_DIR "/README.md")) == table());
}

TEST_CASE("docs: each phase has a section, which names the operations allowed in it") {
  std::string rest = test::read_text(SOURCE_DIR "/docs/phases.md");
  CHECK(occurrences(rest, "\n## ") == all_phases.size());
  for (const auto& [phase, phase_name] : all_phases) {  // in the order of the enumeration
    const std::string heading = "\n## `" + std::string(phase_name) + "`\n";
    CAPTURE(heading);
    const std::size_t begin = rest.find(heading);
    REQUIRE(begin != std::string::npos);
    rest = rest.substr(begin + heading.size());
    const std::string section = rest.substr(0, rest.find("\n## "));
    for (const PhaseRule& rule : phase_table) {
      CAPTURE(rule.name);
      const bool named = section.find("**`" + std::string(rule.name) + "`**") != std::string::npos;
      CHECK(named == rule.phases.contains(phase));
    }
  }
}

TEST_CASE("docs: the README's code is code that is compiled") {
  const std::string readme = test::read_text(SOURCE_DIR "/README.md");
  const std::string here = SOURCE_DIR "/tests/docs_test.cpp";
  std::string rest = readme;
  for (const std::string& part :
       {marked_part(SOURCE_DIR "/examples/minimal.cpp"), marked_part(here, "readme policies")}) {
    CHECK(between(rest, "```cpp", "```") == part);
    rest = rest.substr(rest.find("\n```cpp\n") + 1);
    rest = rest.substr(rest.find("\n```\n"));
  }
  CHECK(occurrences(rest, "\n```cpp\n") == 0);
}

TEST_CASE("docs: the README's policies can be installed, and a file that is missing is an error") {
  const SslCtxPtr ssl_ctx{SSL_CTX_new(TLS_server_method())};
  CHECK(ask_by_policy(ssl_ctx.get(), "/nowhere/ca.pem").error().code == Errc::unreadable);
}
