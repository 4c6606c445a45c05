// The version stands in one place, and everything else agrees with it.
#include "client_tls/version.hpp"

#include <string>

#include "support/catch.hpp"
#include "support/text_file.hpp"

namespace {

const std::string header_version = std::to_string(CLIENT_TLS_VERSION_MAJOR) + "." +
                                   std::to_string(CLIENT_TLS_VERSION_MINOR) + "." +
                                   std::to_string(CLIENT_TLS_VERSION_PATCH);

}  // namespace

TEST_CASE("version: CMake's is the header's") {
  CHECK(CMAKE_VERSION_TEXT == header_version);
}

TEST_CASE("version: the changelog's first is the header's") {
  const std::string changelog = test::read_text(SOURCE_DIR "/CHANGELOG.md");
  const std::size_t heading = changelog.find("\n## ");
  REQUIRE(heading != std::string::npos);
  CHECK(changelog.substr(heading + 4, header_version.size() + 1) == header_version + " ");
}
