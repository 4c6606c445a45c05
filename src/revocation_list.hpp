// What a revocation list (RFC 5280, section 5) says, read once for all policies that are made from it.
#pragma once

#include <openssl/x509v3.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "client_tls/openssl_ptr.hpp"
#include "client_tls/result.hpp"

namespace client_tls {

// A list that is whole, within its scope. Immutable, shared by threads.
struct RevocationList {
  X509CrlPtr crl;     // decoded for the library alone
  std::string scope;  // whose certificates it is about: issuer, its key, distribution point; by their DER
  OpensslPtr<AUTHORITY_KEYID, AUTHORITY_KEYID_free> key;  // the issuer's; null: it names none
  OpensslPtr<ASN1_INTEGER, ASN1_INTEGER_free> number;     // null: it has none
  std::int64_t begins;                                    // seconds since the epoch
  std::int64_t ends;                                      // the largest number: it names no end
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

// Whether the certificate's key signed the list; an Error where it cannot be told.
[[nodiscard]] Result<bool> is_signed_by(const RevocationList& list, X509* issuer) noexcept;

// Whether the list names the certificate as its issuer, by the name and, where both have one, the key's identifier.
[[nodiscard]] bool names_as_issuer(const RevocationList& list, X509* issuer) noexcept;

}  // namespace client_tls
