#include "policy_remarks.hpp"

#include <openssl/x509.h>

#include <algorithm>
#include <array>
#include <utility>

namespace reverse_proxy {
namespace {

struct OptionMember {
  std::string_view option, member;
};
constexpr std::array option_members{
    OptionMember{"request", "client_certificate"},
    OptionMember{"refusal", "refuse"},
    OptionMember{"anchors", "ca_file"},
    OptionMember{"partial_chain", "partial_chain"},
    OptionMember{"intermediates", "intermediate_file"},
    OptionMember{"hints", "hint_file"},
    OptionMember{"crls", "crl_file"},
    OptionMember{"purpose", "purpose"},
    OptionMember{"expired_tolerance", "expired_tolerance_s"},
    OptionMember{"security_level", "security_level"},
    OptionMember{"depth", "depth"},
    OptionMember{"max_age", "max_age_s"},
    OptionMember{"tickets", "tickets"},
    OptionMember{"resumption", "session_reuse"},
    OptionMember{"resume_without_certificate", "resume_without_certificate"},
    OptionMember{"max_chain_bytes", "max_chain_bytes"},
    OptionMember{"max_chain_certificates", "max_chain_certificates"},
    OptionMember{"max_carried_bytes", "max_carried_bytes"},
};

// Empty where there is no such option.
std::string_view member_of(std::string_view option) {
  const auto* const found = std::find_if(option_members.begin(), option_members.end(),
                                         [option](const OptionMember& one) { return one.option == option; });
  return found == option_members.end() ? std::string_view() : found->member;
}

// "option: text", apart.
struct Message {
  std::string_view option;  // empty: it is about the policy
  std::string_view text;
};

Message split(std::string_view message) {
  const auto colon = message.find(": ");
  const auto option = message.substr(0, colon);
  if (colon == std::string_view::npos || member_of(option).empty()) return {"", message};
  return {option, message.substr(colon + 2)};
}

const PemFile* file_of(const PolicyFiles& files, std::string_view option) {
  if (option == "anchors") return files.anchors;
  if (option == "intermediates") return files.intermediates;
  if (option == "hints") return files.hints != nullptr ? files.hints : files.anchors;
  if (option == "crls") return files.crls;
  return nullptr;
}

bool have_one_name(const PemFile& a, std::size_t position_in_a, const PemFile& b, std::size_t position_in_b) {
  if (position_in_a - 1 >= a.certificates.size() || position_in_b - 1 >= b.certificates.size()) return false;
  return X509_NAME_cmp(X509_get_subject_name(a.certificates[position_in_a - 1].get()),
                       X509_get_subject_name(b.certificates[position_in_b - 1].get())) == 0;
}

// The file that the earlier one of two is from: for an intermediate it may be an anchor, which the library compares
// first.
const PemFile& file_of_other(const PolicyFiles& files, const PemFile& file, const client_tls::Error& error) {
  const bool of_anchors = &file == files.intermediates && files.anchors != nullptr &&
                          have_one_name(*files.anchors, error.other_position, file, error.position);
  return of_anchors ? *files.anchors : file;
}

// "; the earlier one is certificate 1 (subject CN=...)".
std::string other_one(const PolicyFiles& files, const PemFile& file, const client_tls::Error& error) {
  const PemFile& other = file_of_other(files, file, error);
  std::string text = "; the earlier one is " + other.describe(error.other_position);
  if (&other != &file) text += " of " + other.path.string();
  return text;
}

// "path: certificate 2 (subject CN=...): ", as far as it is known.
std::string place_in(const PemFile* file, std::size_t position) {
  if (file == nullptr) return "";
  std::string place = file->path.string() + ": ";
  if (position != 0) place += file->describe(position) + ": ";
  return place;
}

}  // namespace

void PolicyRemarks::fail(const client_tls::Error& error) const {
  const Message message = split(error.message);
  const PemFile* const file = file_of(files_, message.option);
  const auto member = find_member(message.option);
  if (!member) site_.fail(std::string(error.message));
  std::string text = place_in(file, error.position).append(message.text);
  if (file != nullptr && error.other_position != 0) text += other_one(files_, *file, error);
  member->fail(text);
}

std::string PolicyRemarks::line(const client_tls::PolicyWarning& warning) const {
  const Message message = split(warning.message);
  const auto member = find_member(message.option);
  if (!member) return site_.at_place("warning: " + std::string(warning.message));
  const std::string place = place_in(file_of(files_, message.option), warning.position);
  return member->at_place("warning: " + place + std::string(message.text));
}

// The hints are those of ca_file where there is no file of their own.
std::optional<ConfigNode> PolicyRemarks::find_member(std::string_view option) const {
  if (option.empty()) return std::nullopt;
  auto member = site_.find(member_of(option));
  if (!member && option == "hints") return site_.find("ca_file");
  return member;
}

}  // namespace reverse_proxy
