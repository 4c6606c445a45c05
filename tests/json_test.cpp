// LogEntry as JSON.
#include "client_tls/json.hpp"

#include <nlohmann/json.hpp>

#include "support/catch.hpp"

namespace {

const client_tls::LogEntry entry{.version = "TLSv1.3", .cipher = "TLS_AES_256_GCM_SHA384", .client_verify = "NONE"};

}  // namespace

TEST_CASE("json: json and ordered_json have Kong's three members, all strings") {
  const nlohmann::json json = entry;
  CHECK(json.dump() == R"({"cipher":"TLS_AES_256_GCM_SHA384","client_verify":"NONE","version":"TLSv1.3"})");
  const nlohmann::ordered_json ordered = entry;
  CHECK(ordered.dump() == R"({"version":"TLSv1.3","cipher":"TLS_AES_256_GCM_SHA384","client_verify":"NONE"})");
}

TEST_CASE("json: it can be a member, and replaces what was there") {
  nlohmann::json log = {{"request", {{"tls", "old"}}}};
  log["request"]["tls"] = entry;
  CHECK(log["request"]["tls"]["version"] == "TLSv1.3");
  CHECK(log["request"]["tls"].size() == 3);
}

TEST_CASE("json: what needs escaping is escaped") {
  client_tls::LogEntry quoted = entry;
  quoted.client_verify = R"(FAILED:"quoted" \ slash)";
  const std::string text = nlohmann::json(quoted).dump();
  CHECK(text.find(R"("FAILED:\"quoted\" \\ slash")") != std::string::npos);
  CHECK(nlohmann::json::parse(text)["client_verify"] == quoted.client_verify);
}
