#include "ca_names.hpp"

#include "errors.hpp"

namespace client_tls {
namespace {

// The names of a CertificateRequest share 65,535 bytes with its other extensions (RFC 8446, section 4.3.2).
constexpr std::size_t max_names_size = 64'000;

bool contains_name(const STACK_OF(X509_NAME) * names, const X509_NAME* name) noexcept {
  for (int i = 0; i < sk_X509_NAME_num(names); ++i) {
    if (X509_NAME_cmp(sk_X509_NAME_value(names, i), name) == 0) return true;
  }
  return false;
}

// Adds a copy of the certificate's subject, if it is not there yet, and its size on the wire to `total`.
Result<void> add_name(STACK_OF(X509_NAME) * names, const X509* hint, std::size_t& total) noexcept {
  if (hint == nullptr) return failure(Errc::invalid_argument, "hints: one is null");
  const X509_NAME* subject = X509_get_subject_name(hint);
  if (X509_NAME_entry_count(subject) == 0) return failure(Errc::invalid_argument, "hints: one has no subject name");
  if (contains_name(names, subject)) return {};
  X509_NAME* copy = X509_NAME_dup(subject);
  const int size = copy != nullptr ? i2d_X509_NAME(copy, nullptr) : -1;
  if (size < 0 || sk_X509_NAME_push(names, copy) <= 0) {
    X509_NAME_free(copy);
    return openssl_failure("hints: a name could not be copied");
  }
  total += static_cast<std::size_t>(size) + 2;
  if (total > max_names_size) return failure(Errc::invalid_argument, "hints: their names exceed 64,000 bytes");
  return {};
}

}  // namespace

Result<X509NameStackPtr> subject_names(std::span<X509* const> certificates) noexcept {
  X509NameStackPtr names{certificates.empty() ? nullptr : sk_X509_NAME_new_null()};
  if (!certificates.empty() && !names) return failure(Errc::out_of_memory, "out of memory");
  std::size_t total = 0;
  for (const X509* certificate : certificates) {
    if (auto added = add_name(names.get(), certificate, total); !added) return added.error();
  }
  return names;
}

}  // namespace client_tls
