#include <CLI/CLI.hpp>
#include <csignal>
#include <iostream>

#include "config_node.hpp"
#include "live_config.hpp"
#include "server.hpp"

namespace {

constexpr int failed = 1;
constexpr int bad_usage = 2;  // a mistake in the command line or in the configuration

int run(int argc, char** argv) {
  CLI::App app(
      "A TLS-terminating HTTP/1.1 reverse proxy that asks its clients for certificates.\n"
      "It writes one JSON line a request to its log, reads its configuration again on SIGHUP, and stops on\n"
      "SIGTERM after the running requests.");
  std::string config_file;
  bool only_check = false;
  app.add_option("-c,--config", config_file, "The configuration, in JSON; README.md says what is in it")->required();
  app.add_flag("--check", only_check, "Read the configuration and everything that it names, and stop");
  app.footer(
      "Exit codes: 0 after a stop, 1 for a failure (a port is taken), 2 for a mistake in the\n"
      "command line or the configuration.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : bad_usage;
  }
  reverse_proxy::LiveConfig config(config_file);
  for (const auto& warning : config.get()->warnings) std::cerr << "reverse_proxy: " << warning << '\n';
  if (only_check) return 0;
  std::signal(SIGPIPE, SIG_IGN);  // for a log that is a pipe; nobody else raises it
  reverse_proxy::serve(config);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const reverse_proxy::ConfigError& error) {
    std::cerr << "reverse_proxy: " << error.what() << '\n';
    return bad_usage;
  } catch (const std::exception& error) {
    std::cerr << "reverse_proxy: " << error.what() << '\n';
    return failed;
  }
}
