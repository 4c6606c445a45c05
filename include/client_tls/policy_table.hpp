// Which server name has which policy, and the table that is in force.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "client_tls/export.hpp"
#include "client_tls/policy.hpp"
#include "client_tls/result.hpp"
#include "client_tls/server_name.hpp"

namespace client_tls {

// Which server name has which policy: the exact name, else the longest wildcard that matches, else the default; and one
// more for clients that name no server. A null policy refuses the connection, with alert unrecognized_name: where that
// is wanted it must be said, there is no other default.
//
// Built by one thread, then used by any number of them as a const object.
class CLIENT_TLS_API PolicyTable {
 public:
  PolicyTable(PolicyPtr default_policy, PolicyPtr without_name) noexcept
      : default_(std::move(default_policy)), without_name_(std::move(without_name)) {}

  // Gives a name its policy: a host name, or "*." and a host name: any name that ends in the dot and what follows, with
  // one label or more before it ("*.example.test": not example.test itself). Compared in canonical form (ServerName).
  //
  // Errors: invalid_argument: what ServerName::parse refuses, a "*" elsewhere, a name that has a policy already (also
  // if it is the same). The table is then as it was. out_of_memory.
  [[nodiscard]] Result<void> add(std::string_view name, PolicyPtr policy) noexcept;

  // The policy of a name; null: refuse. The reference is valid until the table is changed.
  [[nodiscard]] const PolicyPtr& find(const ServerName& name) const noexcept;

  [[nodiscard]] std::size_t size() const noexcept { return exact_.size() + wildcards_.size(); }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
  };
  using Map = std::unordered_map<std::string, PolicyPtr, Hash, std::equal_to<>>;

  Map exact_;
  Map wildcards_;                    // without the "*": ".example.test"
  std::uint64_t wildcard_dots_ = 0;  // bit n: there is one with n dots; the last bit: or more
  PolicyPtr default_;
  PolicyPtr without_name_;
};

// The table in force: what install() and the thread that reloads a configuration share.
//
// Each connection sees one table: the one in force when its ClientHello came; a replacement changes nothing for the
// connections there are. Sessions made before resume if their name still has the same policy (digest): a reload that
// changes nothing costs nobody a handshake.
class CLIENT_TLS_API CurrentPolicies {
 public:
  explicit CurrentPolicies(PolicyTable table) noexcept : table_(std::move(table)) {}

  // From any thread, at any time. Connections wait for the exchange of two pointers' worth of memory, never for a table
  // to be built or freed.
  void replace(PolicyTable table) noexcept;

  [[nodiscard]] PolicyPtr find(const ServerName& name) const noexcept;

 private:
  mutable std::shared_mutex mutex_;
  PolicyTable table_;
};

}  // namespace client_tls
