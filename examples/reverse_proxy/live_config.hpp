// The configuration in force, and its replacement while the proxy runs.
#pragma once

#include <atomic>
#include <client_tls/install.hpp>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <vector>

#include "config.hpp"

namespace reverse_proxy {

// get() and policies() are for any thread, reload() and collect() for one at a time.
class LiveConfig {
 public:
  // Throws ConfigError.
  explicit LiveConfig(std::filesystem::path file);

  // Whoever uses something of it keeps it until then.
  [[nodiscard]] std::shared_ptr<const Config> get() const { return config_.load(); }

  // What a listener's handshakes go by.
  [[nodiscard]] const std::shared_ptr<client_tls::CurrentPolicies>& policies(std::size_t listener) const {
    return policies_[listener];
  }

  // Reads the file again, and puts the whole of it into force. Throws ConfigError, also where something has changed
  // that needs a restart: then nothing is replaced.
  void reload();

  // Frees what was replaced and is in use no more: a configuration has megabytes, and no thread that serves shall spend
  // its time on that.
  void collect() noexcept;

 private:
  std::filesystem::path file_;
  std::atomic<std::shared_ptr<const Config>> config_;
  std::vector<std::shared_ptr<const Config>> replaced_;
  std::vector<std::shared_ptr<client_tls::CurrentPolicies>> policies_;  // of each listener
};

}  // namespace reverse_proxy
