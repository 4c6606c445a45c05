// What a revocation list (RFC 5280, section 5) says, read once for all policies that are made from it.
#pragma once

#include <openssl/x509v3.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "client_tls/openssl_ptr.hpp"
#include "client_tls/result.hpp"

namespace client_tls {

// Who verified a list's signature.
struct ListSigner {
  std::array<unsigned char, 32> key{};  // SHA-256 of the SubjectPublicKeyInfo, which has the algorithm's parameters too
  // Whose implementation verified it: another library context may allow less. Compared, never used.
  const OSSL_PROVIDER* provider = nullptr;

  bool operator==(const ListSigner&) const = default;
};

// The signer whose signature on a list was good: the last one alone. A key can be written in many ways, and whoever
// writes it in a new one shall neither fill the memory nor keep the CA's own certificate out of it. Any thread may ask
// and tell at any time; the lock is held for a comparison.
class KnownSigner {
 public:
  [[nodiscard]] bool is(const ListSigner& signer) const noexcept {
    const std::scoped_lock lock(mutex_);
    return signer_ == signer;
  }
  void remember(const ListSigner& signer) noexcept {
    const std::scoped_lock lock(mutex_);
    signer_ = signer;
  }

 private:
  mutable std::mutex mutex_;
  std::optional<ListSigner> signer_;
};

// A list that is whole, within its scope. Immutable but for what is found out of it, and shared by threads.
struct RevocationList {
  X509CrlPtr crl;     // decoded for the library alone
  std::string scope;  // whose certificates it is about: issuer, its key, distribution point; by their DER
  OpensslPtr<AUTHORITY_KEYID, AUTHORITY_KEYID_free> key;  // the issuer's; null: it names none
  OpensslPtr<ASN1_INTEGER, ASN1_INTEGER_free> number;     // null: it has none
  std::int64_t begins;                                    // seconds since the epoch
  std::int64_t ends;                                      // the largest number: it names no end
  bool has_plain_dates;         // in the one form that RFC 5280 has for them (section 5.1.2.4), or no end
  bool has_distribution_point;  // (RFC 5280, section 5.2.5): it may be about some of its issuer's certificates alone
  mutable KnownSigner signer;
  std::array<unsigned char, 32> contents;  // SHA-256 over its scope and the serial numbers on it, and nothing else
};
using RevocationListPtr = std::shared_ptr<const RevocationList>;

// The lists, of each issuer and scope the newest.
struct NewestLists {
  std::vector<RevocationListPtr> lists;
  std::vector<std::size_t> positions;  // of each in what was given, from 1
  std::vector<std::size_t> replaced;   // positions of the others
};

// One list that is given more than once, also decoded from another file, is kept once for the process, as long as
// anyone has it.
//
// Errors: invalid_argument, with the list's position: not whole, or of two it cannot be told which is newer; openssl;
// out_of_memory. Call it while an ErrorQueueMark is alive.
[[nodiscard]] Result<NewestLists> newest_lists(const std::vector<X509CrlPtr>& crls);

// Whether the certificate's key signed the list; an Error where it cannot be told. A signature is verified once: what
// was good is remembered as long as the list is in use. Call it while an ErrorQueueMark is alive.
[[nodiscard]] Result<bool> is_signed_by(const RevocationList& list, X509* issuer) noexcept;

// Whether the list names the certificate as its issuer, by the name and, where both have one, the key's identifier.
[[nodiscard]] bool names_as_issuer(const RevocationList& list, X509* issuer) noexcept;

}  // namespace client_tls
