#include "options.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <string_view>

namespace resumption_audit {
namespace {

[[noreturn]] void fail(std::string_view option, std::string_view value, std::string_view what) {
  throw UsageError(std::string(option) + " " + std::string(value) + ": " + std::string(what));
}

void read_connect(const std::string& text, Options& options) {
  constexpr std::string_view form = "must be HOST:PORT, with a port from 1 to 65535; an IPv6 address is [ADDRESS]:PORT";
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) fail("--connect", text, form);
  std::string host = text.substr(0, colon);
  const bool brackets = host.size() > 2 && host.starts_with('[') && host.ends_with(']');
  if (brackets) host = host.substr(1, host.size() - 2);
  if (host.empty() || brackets != (host.find(':') != std::string::npos)) fail("--connect", text, form);
  const char* end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data() + colon + 1, end, options.port);
  if (error != std::errc{} || stopped != end || options.port == 0) fail("--connect", text, form);
  options.host = host;
}

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  }
  return lower;
}

bool is_server_name(std::string_view name) {
  constexpr std::size_t max_size = 253;  // of a DNS name in text
  constexpr std::string_view allowed = "abcdefghijklmnopqrstuvwxyz0123456789-._";
  return !name.empty() && name.size() <= max_size && !name.starts_with('.') && !name.ends_with('.') &&
         name.find("..") == std::string_view::npos && name.find_first_not_of(allowed) == std::string_view::npos;
}

std::vector<std::string> read_names(const std::vector<std::string>& arguments) {
  if (arguments.size() < 2 || arguments.size() > max_names) {
    throw UsageError("--name: 2 to " + std::to_string(max_names) + " server names are needed");
  }
  std::vector<std::string> names;
  for (const std::string& argument : arguments) {
    std::string name = lower_case(argument);
    if (!is_server_name(name)) {
      fail("--name", argument, "is no server name: 1 to 253 letters, digits, hyphens, underscores and single dots");
    }
    if (std::ranges::find(names, name) != names.end()) fail("--name", argument, "stands there twice");
    names.push_back(std::move(name));
  }
  return names;
}

CertificateFiles read_certificate(const std::string& argument) {
  const std::size_t colon = argument.rfind(':');
  CertificateFiles files;
  files.certificate = argument.substr(0, colon);
  files.key = colon == std::string::npos ? argument : argument.substr(colon + 1);
  if (files.certificate.empty() || files.key.empty()) fail("--certificate", argument, "must be FILE or FILE:KEYFILE");
  files.label = std::filesystem::path(files.certificate).filename().string();
  return files;
}

std::vector<CertificateFiles> read_certificates(const std::vector<std::string>& arguments) {
  if (arguments.size() > max_certificates) {
    throw UsageError("--certificate: at most " + std::to_string(max_certificates) + " can be given");
  }
  std::vector<CertificateFiles> all;
  for (const std::string& argument : arguments) {
    all.push_back(read_certificate(argument));
    const auto same_label = [&](const CertificateFiles& files) { return files.label == all.back().label; };
    if (std::ranges::count_if(all, same_label) > 1) {
      fail("--certificate", argument, "another one's file has the same name, by which the report calls it");
    }
  }
  return all;
}

std::vector<Mechanism> read_tls(const std::string& version) {
  if (!version.empty() && version != "1.2" && version != "1.3") fail("--tls", version, "must be 1.2 or 1.3");
  std::vector<Mechanism> mechanisms;
  for (const Mechanism mechanism : all_mechanisms) {
    if (version.empty() || version == version_text(version_of(mechanism))) mechanisms.push_back(mechanism);
  }
  return mechanisms;
}

std::string read_path(const std::string& path) {
  const auto is_visible = [](char c) { return c > ' ' && c <= '~'; };
  if (!path.starts_with('/') || path.size() > max_path_size || !std::ranges::all_of(path, is_visible)) {
    fail("--path", path,
         "must begin with / and be up to " + std::to_string(max_path_size) + " visible ASCII characters");
  }
  return path;
}

}  // namespace

Options check(const Arguments& arguments) {
  Options options;
  read_connect(arguments.connect, options);
  options.names = read_names(arguments.names);
  options.certificates = read_certificates(arguments.certificates);
  options.mechanisms = read_tls(arguments.tls);
  options.path = read_path(arguments.path);
  if (arguments.timeout_s < 1 || arguments.timeout_s > max_timeout_s) {
    fail("--timeout", std::to_string(arguments.timeout_s),
         "must be 1 to " + std::to_string(max_timeout_s) + " seconds");
  }
  options.timeout = std::chrono::seconds(arguments.timeout_s);
  options.http = !arguments.no_http;
  return options;
}

}  // namespace resumption_audit
