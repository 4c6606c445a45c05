// What the documentation says twice is the same twice.
#include <cstddef>
#include <string>
#include <string_view>

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

std::string marked_part(const std::string& path) {
  return between(test::read_text(path), "// [readme]", "// [/readme]");
}

std::size_t occurrences(const std::string& text, std::string_view part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++count;
  return count;
}

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
  std::string rest = readme;
  for (const std::string& part :
       {marked_part(SOURCE_DIR "/examples/minimal.cpp"), marked_part(SOURCE_DIR "/examples/by_hand.cpp")}) {
    CHECK(between(rest, "```cpp", "```") == part);
    rest = rest.substr(rest.find("\n```cpp\n") + 1);
    rest = rest.substr(rest.find("\n```\n"));
  }
  CHECK(occurrences(rest, "\n```cpp\n") == 0);
}
