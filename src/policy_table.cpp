#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

#include "client_tls/policy_table.hpp"
#include "errors.hpp"

namespace client_tls {
namespace {

constexpr std::string_view wildcard_prefix = "*.";

std::uint64_t bit_of(std::size_t dots) noexcept {
  return std::uint64_t{1} << std::min<std::size_t>(dots, 63);
}

std::size_t dots_in(std::string_view text) noexcept {
  return static_cast<std::size_t>(std::ranges::count(text, '.'));
}

}  // namespace

Result<void> PolicyTable::add(std::string_view name, PolicyPtr policy) noexcept {
  const bool wildcard = name.starts_with(wildcard_prefix);
  if (wildcard) name.remove_prefix(wildcard_prefix.size());
  const auto canonical = ServerName::parse(name);
  if (!canonical) return canonical.error();
  return or_out_of_memory([&]() -> Result<void> {
    std::string key = wildcard ? "." : "";
    key += canonical->view();
    const std::size_t dots = dots_in(key);
    if (!(wildcard ? wildcards_ : exact_).try_emplace(std::move(key), std::move(policy)).second) {
      return failure(Errc::invalid_argument, "the name has a policy already");
    }
    if (wildcard) wildcard_dots_ |= bit_of(dots);
    return {};
  });
}

const PolicyPtr& PolicyTable::find(const ServerName& name) const noexcept {
  if (name.empty()) return without_name_;
  const std::string_view text = name.view();
  if (const auto found = exact_.find(text); found != exact_.end()) return found->second;
  if (wildcard_dots_ == 0) return default_;
  std::size_t dots = dots_in(text);
  for (std::size_t dot = text.find('.'); dot != std::string_view::npos; dot = text.find('.', dot + 1), --dots) {
    if ((wildcard_dots_ & bit_of(dots)) == 0) continue;
    if (const auto found = wildcards_.find(text.substr(dot)); found != wildcards_.end()) return found->second;
  }
  return default_;
}

void PolicyTable::move_into(std::vector<PolicyPtr>& policies) noexcept {
  for (Map* map : {&exact_, &wildcards_}) {
    for (auto& [name, policy] : *map) policies.push_back(std::move(policy));
  }
  policies.push_back(std::move(default_));
  policies.push_back(std::move(without_name_));
}

void CurrentPolicies::replace(PolicyTable table) noexcept {
  {
    const std::scoped_lock reloading(retired_mutex_);
    const auto room = or_out_of_memory([this]() -> Result<void> {
      retired_.reserve(retired_.size() + table_.size() + 2);
      return {};
    });
    {
      const std::scoped_lock lock(mutex_);
      std::swap(table_, table);
    }
    if (room) table.move_into(retired_);
    std::sort(retired_.begin(), retired_.end());
    retired_.erase(std::unique(retired_.begin(), retired_.end()), retired_.end());
  }
  collect();
}

std::size_t CurrentPolicies::collect() noexcept {
  const std::scoped_lock reloading(retired_mutex_);
  // The one that is here alone can be had from nowhere else.
  const auto is_free = [](const PolicyPtr& policy) { return policy.use_count() <= 1; };
  retired_.erase(std::remove_if(retired_.begin(), retired_.end(), is_free), retired_.end());
  return retired_.size();
}

PolicyPtr CurrentPolicies::find(const ServerName& name) const noexcept {
  const std::shared_lock lock(mutex_);
  return table_.find(name);
}

}  // namespace client_tls
