#include <CLI/CLI.hpp>
#include <csignal>
#include <iostream>

#include "audit.hpp"
#include "json_report.hpp"
#include "options.hpp"
#include "table.hpp"

namespace {

using namespace resumption_audit;

constexpr int found_nothing = 0;
constexpr int found_something = 1;
constexpr int bad_usage = 2;
constexpr int no_answer = 3;  // or a failure of the program's own

constexpr const char* description =
    "Audits a running TLS server from outside, for servers that one runs oneself: it connects many times, and\n"
    "offers sessions where they do not belong. It makes a session under each server name, with each client\n"
    "certificate and without one, offers it under every name, and says what happened: in TLS 1.2 by session id\n"
    "and by ticket, in TLS 1.3 by ticket.";

constexpr const char* exit_codes =
    "Exit codes: 0 nothing found, 1 a session was resumed into a name with another policy, or carried an identity\n"
    "into an open name, 2 a mistake in the command line, 3 nothing found, but the server could not be reached, or\n"
    "left a connection without an answer. README.md says how to read the report, and what it cannot see.";

void add_options(CLI::App& app, Arguments& arguments) {
  app.get_formatter()->column_width(36);
  app.add_option("--connect", arguments.connect, "HOST:PORT of the server")->required();
  app.add_option("--name", arguments.names, "A server name; give it 2 to 16 times")
      ->required()
      ->allow_extra_args(false);
  app.add_option("--certificate", arguments.certificates,
                 "FILE[:KEYFILE] of a client, in PEM: chain and key; up to 8 times")
      ->allow_extra_args(false);
  app.add_option("--tls", arguments.tls, "1.2 or 1.3, instead of both");
  app.add_option("--path", arguments.path, "What to GET after the handshake")->capture_default_str();
  app.add_flag("--no-http", arguments.no_http, "Send nothing after the handshake; for servers without HTTP/1.1");
  app.add_option("--timeout", arguments.timeout_s, "For each connection, in seconds, 1 to 60")->capture_default_str();
  app.add_flag("--json", arguments.json, "Write JSON instead of a table");
  app.footer(exit_codes);
}

int audit(const Arguments& arguments) {
  const Options options = check(arguments);
  const Progress progress = [](std::string_view line) { std::cerr << "resumption_audit: " << line << '\n'; };
  const Audit result = run_audit(options, make_clients(options), progress);
  if (arguments.json) {
    std::cout << json_report(options, result).dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
  } else {
    write_table(std::cout, result);
  }
  if (!std::cout.flush()) throw std::runtime_error("the report cannot be written");
  if (result.count_if(is_finding) > 0) return found_something;
  return !result.reached() || result.count_if(is_no_answer) > 0 ? no_answer : found_nothing;
}

int run(int argc, char** argv) {
  CLI::App app(description);
  Arguments arguments;
  add_options(app, arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : bad_usage;
  }
  std::signal(SIGPIPE, SIG_IGN);  // for a server that closes, and for a report that nobody reads
  return audit(arguments);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const UsageError& error) {
    std::cerr << "resumption_audit: " << error.what() << '\n';
    return bad_usage;
  } catch (const std::exception& error) {
    std::cerr << "resumption_audit: " << error.what() << '\n';
    return no_answer;
  }
}
