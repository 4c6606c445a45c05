// A value of the configuration file that knows its place in it, so that every mistake is reported with it.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace reverse_proxy {

// A mistake in the configuration: "proxy.json: /listeners/0/port: must be ...".
class ConfigError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A file as JSON. Throws ConfigError: unreadable, not JSON (with line and column), a name that an object has twice.
nlohmann::json read_json(const std::filesystem::path& file);

// Each function but find() throws ConfigError where the value is not what it asks for.
class ConfigNode {
 public:
  ConfigNode(const nlohmann::json& value, std::string file,
             nlohmann::json::json_pointer place = nlohmann::json::json_pointer())
      : value_(&value), file_(std::move(file)), place_(std::move(place)) {}

  // The value is an object with none but these members.
  void expect_only(const std::vector<std::string_view>& names) const;

  [[nodiscard]] ConfigNode member(std::string_view name) const;  // which must be there
  [[nodiscard]] std::optional<ConfigNode> find(std::string_view name) const;

  // An object's members and an array's elements, of which there must be at least one.
  [[nodiscard]] std::vector<std::pair<std::string, ConfigNode>> members() const;
  [[nodiscard]] std::vector<ConfigNode> elements() const;

  [[nodiscard]] std::string text() const;  // not empty
  [[nodiscard]] bool flag() const;
  [[nodiscard]] bool is_false() const { return *value_ == false; }
  [[nodiscard]] long number(long min, long max) const;

  [[noreturn]] void fail(const std::string& what) const;

  // What is said of the value, after its place: "proxy.json: /listeners/0/port: must be ...".
  [[nodiscard]] std::string at_place(const std::string& what) const;

 private:
  void expect(bool holds, const std::string& what) const;

  const nlohmann::json* value_;
  std::string file_;
  nlohmann::json::json_pointer place_;
};

}  // namespace reverse_proxy
