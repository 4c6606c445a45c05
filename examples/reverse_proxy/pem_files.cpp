#include "pem_files.hpp"

#include <openssl/x509.h>

#include <client_tls/pem.hpp>
#include <system_error>
#include <utility>

namespace reverse_proxy {
namespace {

using client_tls::Errc;
using client_tls::X509CrlPtr;
using client_tls::X509Ptr;

// What it returns is safe to print whatever the name has in it: control characters, and all that is not ASCII, are
// escaped (RFC 4514, section 2.4).
std::string text_of(const X509_NAME* name) {
  const client_tls::BioPtr out(BIO_new(BIO_s_mem()));
  if (!out || X509_NAME_print_ex(out.get(), name, 0, XN_FLAG_RFC2253) < 0) return "that cannot be shown";
  const char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return size > 0 ? std::string(text, static_cast<std::size_t>(size)) : "without a name";
}

// "/some/file.pem:12: it has ...".
std::string text_of(const std::filesystem::path& path, const client_tls::Error& error) {
  std::string text = path.string() + ": ";
  if (error.position != 0) text = path.string() + ":" + std::to_string(error.position) + ": ";
  text += error.message;
  if (error.code == Errc::unreadable) text += ": " + std::generic_category().message(error.openssl_reason);
  return text;
}

template <class T>
using ReadFile = client_tls::Result<std::vector<T>> (*)(const std::filesystem::path&);

template <class T>
std::vector<T> read(const std::filesystem::path& path, const ConfigNode& member, ReadFile<T> read_file) {
  auto all = read_file(path);
  if (!all) member.fail(text_of(path, all.error()));
  return *std::move(all);
}

}  // namespace

std::string PemFile::describe(std::size_t position) const {
  const std::string number = std::to_string(position);
  if (position - 1 < certificates.size()) {
    const X509_NAME* name = X509_get_subject_name(certificates[position - 1].get());
    return "certificate " + number + " (subject " + text_of(name) + ")";
  }
  if (position - 1 < lists.size()) {
    return "list " + number + " (issuer " + text_of(X509_CRL_get_issuer(lists[position - 1].get())) + ")";
  }
  return "number " + number;
}

std::vector<X509Ptr> share(const std::vector<X509Ptr>& certificates) {
  std::vector<X509Ptr> all;
  all.reserve(certificates.size());
  for (const auto& certificate : certificates) {
    X509_up_ref(certificate.get());
    all.emplace_back(certificate.get());
  }
  return all;
}

std::vector<X509CrlPtr> share(const std::vector<X509CrlPtr>& lists) {
  std::vector<X509CrlPtr> all;
  all.reserve(lists.size());
  for (const auto& list : lists) {
    X509_CRL_up_ref(list.get());
    all.emplace_back(list.get());
  }
  return all;
}

const PemFile& PemFiles::certificates(const ConfigNode& member) {
  const auto path = folder_ / member.text();
  const auto known = certificates_.find(path);
  if (known != certificates_.end()) return known->second;
  PemFile file{.path = path, .certificates = read(path, member, client_tls::read_certificates), .lists = {}};
  return certificates_.emplace(path, std::move(file)).first->second;
}

const PemFile& PemFiles::lists(const ConfigNode& member) {
  const auto path = folder_ / member.text();
  const auto known = lists_.find(path);
  if (known != lists_.end()) return known->second;
  PemFile file{.path = path, .certificates = {}, .lists = read(path, member, client_tls::read_crls)};
  return lists_.emplace(path, std::move(file)).first->second;
}

}  // namespace reverse_proxy
