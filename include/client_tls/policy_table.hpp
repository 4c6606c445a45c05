// Which server name has which policy, and the table that is in force.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

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
  friend class CurrentPolicies;

  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
  };
  using Map = std::unordered_map<std::string, PolicyPtr, Hash, std::equal_to<>>;

  // Moves what it has into `policies`, which has room for it (size() and two more).
  void move_into(std::vector<PolicyPtr>& policies) noexcept;

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
//
// A policy may have megabytes of revocation lists, which take long to free. So what a table had is kept when it is
// replaced, and freed in a later replace() or collect() once no connection has it any more, by the thread that calls
// them: none that serves connections does it. Policies that Handshake::use was given are the host's to keep. The object
// itself frees everything, in the thread that gives up the last of its pointers: each SSL_CTX with install() has one.
class CLIENT_TLS_API CurrentPolicies {
 public:
  explicit CurrentPolicies(PolicyTable table) noexcept : table_(std::move(table)) {}

  // From any thread, at any time. Connections wait for the exchange of two pointers' worth of memory, never for a table
  // to be built or freed. Collects, too. Never fails, so that several tables can be replaced all or none; where there
  // is no memory to keep what the table had, a policy is freed by whoever has it last.
  void replace(PolicyTable table) noexcept;

  // Frees what was replaced and is held by nobody else. From any thread, at any time; connections do not wait for it.
  // Returns how many of the replaced policies are still held, by a connection or by the host.
  std::size_t collect() noexcept;

  [[nodiscard]] PolicyPtr find(const ServerName& name) const noexcept;

 private:
  mutable std::shared_mutex mutex_;
  PolicyTable table_;               // changed under both locks
  std::mutex retired_mutex_;        // of those who replace and collect
  std::vector<PolicyPtr> retired_;  // each once; some may be in the table again
};

}  // namespace client_tls
