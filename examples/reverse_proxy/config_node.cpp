#include "config_node.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>

namespace reverse_proxy {
namespace {

using nlohmann::json;

std::string read_text(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in || is_directory(file)) throw ConfigError(file.string() + ": cannot be read");
  return {std::istreambuf_iterator<char>(in), {}};
}

// nlohmann-json keeps the last of two members with the same name, and says nothing.
class DuplicateNames {
 public:
  explicit DuplicateNames(std::string file) : file_(std::move(file)) {}

  bool operator()(int /*depth*/, json::parse_event_t event, json& parsed) {
    if (event == json::parse_event_t::object_start) names_.emplace_back();
    if (event == json::parse_event_t::object_end) names_.pop_back();
    if (event == json::parse_event_t::key && !names_.back().insert(parsed.get<std::string>()).second) {
      throw ConfigError(file_ + ": the name \"" + parsed.get<std::string>() + "\" stands twice in one object");
    }
    return true;
  }

 private:
  std::string file_;
  std::vector<std::set<std::string>> names_;
};

std::string escaped(std::string_view name) {
  std::string text;
  for (const char c : name) {
    if (c == '~') {
      text += "~0";
    } else if (c == '/') {
      text += "~1";
    } else {
      text += c;
    }
  }
  return text;
}

// What follows the library's own "[json.exception.parse_error.101] ".
std::string without_tag(std::string_view what) {
  const std::size_t end = what.find("] ");
  return std::string(end == std::string_view::npos ? what : what.substr(end + 2));
}

}  // namespace

std::shared_ptr<const json> read_json(const std::filesystem::path& file) {
  const std::string text = read_text(file);
  try {
    DuplicateNames duplicates(file.string());
    return std::make_shared<const json>(json::parse(text, std::ref(duplicates)));
  } catch (const json::parse_error& error) {
    throw ConfigError(file.string() + ": " + without_tag(error.what()));
  }
}

void ConfigNode::expect_only(std::initializer_list<std::string_view> names) const {
  if (!value_->is_object()) fail("must be an object");
  for (const auto& [name, value] : value_->items()) {
    if (std::ranges::find(names, name) == names.end()) ConfigNode(value, place_ + "/" + escaped(name)).fail("unknown");
  }
}

std::optional<ConfigNode> ConfigNode::find(std::string_view name) const {
  if (!value_->is_object()) fail("must be an object");
  const auto found = value_->find(name);
  if (found == value_->end()) return std::nullopt;
  return ConfigNode(*found, place_ + "/" + escaped(name));
}

ConfigNode ConfigNode::member(std::string_view name) const {
  auto found = find(name);
  if (!found) fail("\"" + std::string(name) + "\" is missing");
  return *found;
}

std::vector<std::pair<std::string, ConfigNode>> ConfigNode::members() const {
  if (!value_->is_object() || value_->empty()) fail("must be an object with at least one member");
  std::vector<std::pair<std::string, ConfigNode>> all;
  for (const auto& [name, value] : value_->items()) {
    all.emplace_back(name, ConfigNode(value, place_ + "/" + escaped(name)));
  }
  return all;
}

std::vector<ConfigNode> ConfigNode::elements() const {
  if (!value_->is_array() || value_->empty()) fail("must be a list with at least one element");
  std::vector<ConfigNode> all;
  for (const auto& value : *value_) all.emplace_back(value, place_ + "/" + std::to_string(all.size()));
  return all;
}

std::string ConfigNode::text() const {
  if (!value_->is_string() || value_->get_ref<const std::string&>().empty()) fail("must be a text that is not empty");
  return value_->get<std::string>();
}

bool ConfigNode::flag() const {
  if (!value_->is_boolean()) fail("must be true or false");
  return value_->get<bool>();
}

long ConfigNode::number(long min, long max) const {
  const std::string range = "must be a whole number from " + std::to_string(min) + " to " + std::to_string(max);
  if (!value_->is_number_integer()) fail(range);
  if (value_->is_number_unsigned() && value_->get<std::uint64_t>() > static_cast<std::uint64_t>(max)) fail(range);
  const long number = value_->get<long>();
  if (number < min || number > max) fail(range);
  return number;
}

void ConfigNode::fail(const std::string& what) const {
  throw ConfigError(place_ + ": " + what);
}

}  // namespace reverse_proxy
