#include "config_node.hpp"

#include <algorithm>
#include <fstream>
#include <set>

namespace reverse_proxy {

using nlohmann::json;

// nlohmann-json keeps the last of two members with the same name, and says nothing.
json read_json(const std::filesystem::path& file) {
  std::ifstream in(file);
  if (!in || is_directory(file)) throw ConfigError(file.string() + ": cannot be read");
  std::vector<std::set<std::string>> names;
  const auto refuse_duplicates = [&](int /*depth*/, json::parse_event_t event, const json& parsed) {
    if (event == json::parse_event_t::object_start) names.emplace_back();
    if (event == json::parse_event_t::object_end) names.pop_back();
    if (event == json::parse_event_t::key && !names.back().insert(parsed.get<std::string>()).second) {
      throw ConfigError(file.string() + ": the name " + parsed.dump() + " stands twice in one object");
    }
    return true;
  };
  try {
    return json::parse(in, refuse_duplicates);
  } catch (const json::parse_error& error) {
    const std::string_view what = error.what();  // "[json.exception.parse_error.101] parse error at ..."
    throw ConfigError(file.string() + ": " + std::string(what.substr(what.find(' ') + 1)));
  }
}

void ConfigNode::expect_only(const std::vector<std::string_view>& names) const {
  expect(value_->is_object(), "must be an object");
  for (const auto& [name, value] : value_->items()) {
    if (std::ranges::find(names, name) == names.end()) ConfigNode(value, file_, place_ / name).fail("unknown");
  }
}

std::optional<ConfigNode> ConfigNode::find(std::string_view name) const {
  expect(value_->is_object(), "must be an object");
  const auto found = value_->find(name);
  if (found == value_->end()) return std::nullopt;
  return ConfigNode(*found, file_, place_ / std::string(name));
}

ConfigNode ConfigNode::member(std::string_view name) const {
  auto found = find(name);
  if (!found) fail(std::string("\"").append(name).append("\" is missing"));
  return *found;
}

std::vector<std::pair<std::string, ConfigNode>> ConfigNode::members() const {
  expect(value_->is_object() && !value_->empty(), "must be an object with at least one member");
  std::vector<std::pair<std::string, ConfigNode>> all;
  for (const auto& [name, value] : value_->items()) all.emplace_back(name, ConfigNode(value, file_, place_ / name));
  return all;
}

std::vector<ConfigNode> ConfigNode::elements() const {
  expect(value_->is_array() && !value_->empty(), "must be a list with at least one element");
  std::vector<ConfigNode> all;
  for (const auto& value : *value_) all.emplace_back(value, file_, place_ / all.size());
  return all;
}

std::string ConfigNode::text() const {
  expect(value_->is_string() && !value_->get_ref<const std::string&>().empty(), "must be a text that is not empty");
  return value_->get<std::string>();
}

bool ConfigNode::flag() const {
  expect(value_->is_boolean(), "must be true or false");
  return value_->get<bool>();
}

// What does not fit into a long comes as a negative number, below any minimum here.
long ConfigNode::number(long min, long max) const {
  const long number = value_->is_number_integer() ? value_->get<long>() : min - 1;
  expect(number >= min && number <= max,
         "must be a whole number from " + std::to_string(min) + " to " + std::to_string(max));
  return number;
}

void ConfigNode::expect(bool holds, const std::string& what) const {
  if (!holds) fail(what);
}

void ConfigNode::fail(const std::string& what) const {
  throw ConfigError(at_place(what));
}

std::string ConfigNode::at_place(const std::string& what) const {
  return file_ + ": " + place_.to_string() + ": " + what;
}

}  // namespace reverse_proxy
