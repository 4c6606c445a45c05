// The listeners, the threads, and the stop.
#pragma once

#include "live_config.hpp"

namespace reverse_proxy {

// Opens the listeners and the log, and serves on all threads until SIGTERM or SIGINT: then no connection and no request
// more is taken, and the requests that are running have the shutdown time limit to end. A second signal ends them at
// once. On SIGHUP the configuration is read again. Throws std::runtime_error.
void serve(LiveConfig& config);

}  // namespace reverse_proxy
