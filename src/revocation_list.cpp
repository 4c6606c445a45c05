#include "revocation_list.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <limits>
#include <mutex>
#include <string_view>
#include <utility>

#include "certificate_time.hpp"
#include "errors.hpp"
#include "revocation_list_check.hpp"

namespace client_tls {
namespace {

using IntegerPtr = OpensslPtr<ASN1_INTEGER, ASN1_INTEGER_free>;
using DigestPtr = OpensslPtr<EVP_MD_CTX, EVP_MD_CTX_free>;

// Its length stands before each part, so that no two scopes are the same bytes.
void append(std::string& text, std::string_view part) {
  const std::uint64_t size = part.size();
  for (int shift = 0; shift < 64; shift += 8) text += static_cast<char>(size >> shift);
  text += part;
}

std::string_view bytes_of(const ASN1_STRING* string) noexcept {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(string)),
          static_cast<std::size_t>(ASN1_STRING_length(string))};
}

void append_extension(std::string& scope, const X509_CRL* crl, int nid) {
  const int index = X509_CRL_get_ext_by_NID(crl, nid, -1);
  if (index < 0) {
    append(scope, "");
    return;
  }
  const auto* extension = X509_CRL_get_ext(crl, index);
  append(scope, bytes_of(X509_EXTENSION_get_data(const_cast<X509_EXTENSION*>(extension))));
}

Result<void> read_scope(const X509_CRL* crl, std::string& scope) {
  unsigned char* der = nullptr;
  const int size = i2d_X509_NAME(X509_CRL_get_issuer(crl), &der);
  const OpensslPtr<unsigned char, [](unsigned char* memory) { OPENSSL_free(memory); }> owner{der};
  if (size < 0) return openssl_failure("crls: its issuer cannot be encoded");
  append(scope, {reinterpret_cast<const char*>(der), static_cast<std::size_t>(size)});
  append_extension(scope, crl, NID_authority_key_identifier);
  append_extension(scope, crl, NID_issuing_distribution_point);
  return {};
}

std::vector<const ASN1_INTEGER*> serials_of(const STACK_OF(X509_REVOKED) * entries) {
  std::vector<const ASN1_INTEGER*> serials;
  const int count = std::max(sk_X509_REVOKED_num(entries), 0);
  serials.reserve(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) serials.push_back(X509_REVOKED_get0_serialNumber(sk_X509_REVOKED_value(entries, i)));
  std::sort(serials.begin(), serials.end(), [](auto* a, auto* b) { return ASN1_INTEGER_cmp(a, b) < 0; });
  const auto same = [](auto* a, auto* b) { return ASN1_INTEGER_cmp(a, b) == 0; };
  serials.erase(std::unique(serials.begin(), serials.end(), same), serials.end());
  return serials;
}

Result<void> digest_contents(RevocationList& list, const STACK_OF(X509_REVOKED) * entries) {
  const DigestPtr digest{EVP_MD_CTX_new()};
  bool good = digest && EVP_DigestInit_ex(digest.get(), EVP_sha256(), nullptr) == 1 &&
              EVP_DigestUpdate(digest.get(), list.scope.data(), list.scope.size()) == 1;
  std::string line;
  for (const ASN1_INTEGER* serial : serials_of(entries)) {
    line.assign(1, ASN1_STRING_type(serial) == V_ASN1_NEG_INTEGER ? '-' : '+');
    append(line, bytes_of(serial));
    good = good && EVP_DigestUpdate(digest.get(), line.data(), line.size()) == 1;
  }
  if (good && EVP_DigestFinal_ex(digest.get(), list.contents.data(), nullptr) == 1) return {};
  return openssl_failure("crls: it cannot be digested");
}

// Extensions that have been checked: they decode, or are not there.
Result<void> read_extensions(RevocationList& list) noexcept {
  const X509_CRL* crl = list.crl.get();
  int found[2] = {};
  list.key.reset(
      static_cast<AUTHORITY_KEYID*>(X509_CRL_get_ext_d2i(crl, NID_authority_key_identifier, &found[0], nullptr)));
  list.number.reset(static_cast<ASN1_INTEGER*>(X509_CRL_get_ext_d2i(crl, NID_crl_number, &found[1], nullptr)));
  list.has_distribution_point = X509_CRL_get_ext_by_NID(crl, NID_issuing_distribution_point, -1) >= 0;
  const bool lacks = (!list.key && found[0] != -1) || (!list.number && found[1] != -1);
  return lacks ? Result<void>(failure(Errc::out_of_memory, "out of memory")) : Result<void>();
}

// OpenSSL's rules for other forms differ between its versions.
bool is_plain(const ASN1_TIME* date, std::int64_t seconds) noexcept {
  const OpensslPtr<ASN1_TIME, ASN1_TIME_free> plain{ASN1_TIME_set(nullptr, seconds)};
  return plain && ASN1_STRING_cmp(plain.get(), date) == 0;
}

Result<void> read_dates(RevocationList& list) noexcept {
  constexpr std::int64_t unreadable = std::numeric_limits<std::int64_t>::min();
  const ASN1_TIME* begin = X509_CRL_get0_lastUpdate(list.crl.get());
  const ASN1_TIME* end = X509_CRL_get0_nextUpdate(list.crl.get());
  list.begins = seconds_since_epoch(begin);
  list.ends = end != nullptr ? seconds_since_epoch(end) : std::numeric_limits<std::int64_t>::max();
  if (list.begins == unreadable || list.ends == unreadable)
    return failure(Errc::invalid_argument, "crls: a date of it cannot be read");
  list.has_plain_dates = is_plain(begin, list.begins) && (end == nullptr || is_plain(end, list.ends));
  return {};
}

// OpenSSL sorts the entries when it first looks for one: not in a handshake, and not while others look.
void sort_entries(X509_CRL* crl) noexcept {
  const IntegerPtr serial{ASN1_INTEGER_new()};
  X509_REVOKED* entry = nullptr;
  if (serial) X509_CRL_get0_by_serial(crl, &entry, serial.get());
}

Result<RevocationListPtr> read(X509CrlPtr crl) {
  X509_CRL* const decoded = crl.get();
  auto list = std::make_shared<RevocationList>();
  list->crl = std::move(crl);
  if (auto valid = check_is_whole(decoded); !valid) return valid.error();
  if (auto valid = read_scope(decoded, list->scope); !valid) return valid.error();
  if (auto valid = read_dates(*list); !valid) return valid.error();
  if (auto done = read_extensions(*list); !done) return done.error();
  if (auto valid = digest_contents(*list, X509_CRL_get_REVOKED(decoded)); !valid) return valid.error();
  sort_entries(decoded);
  return RevocationListPtr(std::move(list));
}

bool same_signature(const X509_CRL* a, const X509_CRL* b) noexcept {
  const ASN1_BIT_STRING* signatures[2] = {};
  X509_CRL_get0_signature(a, &signatures[0], nullptr);
  X509_CRL_get0_signature(b, &signatures[1], nullptr);
  return ASN1_STRING_cmp(signatures[0], signatures[1]) == 0;
}

// The lists that are in use in the process. Never destroyed: a host may make policies until the very end.
class KnownLists {
 public:
  static KnownLists& get() {
    static auto* const known = new KnownLists;
    return *known;
  }
  RevocationListPtr find(const X509_CRL* crl) {
    const std::scoped_lock lock(mutex_);
    for (const auto& weak : lists_) {
      auto list = weak.lock();
      // The first compares OpenSSL's SHA-1 of all bytes.
      if (list && X509_CRL_match(list->crl.get(), crl) == 0 && same_signature(list->crl.get(), crl)) return list;
    }
    return nullptr;
  }
  void add(const RevocationListPtr& list) {
    const std::scoped_lock lock(mutex_);
    lists_.erase(std::remove_if(lists_.begin(), lists_.end(), [](const auto& weak) { return weak.expired(); }),
                 lists_.end());
    lists_.push_back(list);
  }

 private:
  std::mutex mutex_;
  std::vector<std::weak_ptr<const RevocationList>> lists_;
};

// What was not decoded from its bytes has no scope for OpenSSL, and what the host has it may change.
Result<X509CrlPtr> decode_again(const X509_CRL* crl) noexcept {
  const auto copy = [crl] { return X509CrlPtr(X509_CRL_dup(const_cast<X509_CRL*>(crl))); };
  auto list = copy();
  if (list) return list;
  if (!memory_is_there()) return failure(Errc::out_of_memory, "out of memory");
  list = copy();
  if (!list) return failure(Errc::invalid_argument, "crls: it does not decode");  // OpenSSL 4.0 is stricter here
  return list;
}

Result<RevocationListPtr> share(const X509_CRL* crl) {
  if (auto known = KnownLists::get().find(crl)) return known;
  auto decoded = decode_again(crl);
  if (!decoded) return decoded.error();
  X509CrlPtr copy = *std::move(decoded);
  if (auto known = KnownLists::get().find(copy.get())) return known;
  auto list = read(std::move(copy));
  if (list) KnownLists::get().add(*list);
  return list;
}

// Below, at and above 0 as the first is older, as old, or newer.
int compare_age(const RevocationList& a, const RevocationList& b) noexcept {
  if (a.begins != b.begins) return a.begins < b.begins ? -1 : 1;
  if (!a.number || !b.number) return (a.number ? 1 : 0) - (b.number ? 1 : 0);
  return ASN1_INTEGER_cmp(a.number.get(), b.number.get());
}

bool digest_key(const X509* certificate, std::array<unsigned char, 32>& digest) noexcept {
  unsigned char* der = nullptr;
  const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
  const OpensslPtr<unsigned char, [](unsigned char* memory) { OPENSSL_free(memory); }> owner{der};
  return size > 0 &&
         EVP_Digest(der, static_cast<std::size_t>(size), digest.data(), nullptr, EVP_sha256(), nullptr) == 1;
}

// Not its certificate: OpenSSL asks for lists before it verifies the chain's signatures, so anybody can show any number
// of certificates with a CA's name and key.
std::optional<ListSigner> signer_of(const X509* issuer, const EVP_PKEY* key) noexcept {
  ListSigner signer;
  signer.provider = EVP_PKEY_get0_provider(key);
  return digest_key(issuer, signer.key) ? std::optional(signer) : std::nullopt;
}

Result<void> add_if_newest(NewestLists& newest, RevocationListPtr list, std::size_t position) {
  const auto same = std::find_if(newest.lists.begin(), newest.lists.end(),
                                 [&](const auto& other) { return other->scope == list->scope; });
  if (same == newest.lists.end()) {
    newest.lists.push_back(std::move(list));
    newest.positions.push_back(position);
    return {};
  }
  if (*same == list) return {};
  std::size_t& kept = newest.positions[static_cast<std::size_t>(same - newest.lists.begin())];
  const int age = compare_age(*list, **same);
  if (age == 0 && list->contents != (*same)->contents) {
    return failure(Errc::invalid_argument,
                   "crls: an earlier one of the same issuer and scope is as new, and has other entries", position,
                   kept);
  }
  const bool newer = age > 0 || (age == 0 && list->ends > (*same)->ends);
  newest.replaced.push_back(newer ? kept : position);
  if (!newer) return {};
  kept = position;
  *same = std::move(list);
  return {};
}

}  // namespace

Result<NewestLists> newest_lists(const std::vector<X509CrlPtr>& crls) {
  NewestLists newest;
  for (std::size_t i = 0; i < crls.size(); ++i) {
    auto list = share(crls[i].get());
    if (!list) {
      Error error = list.error();
      error.position = static_cast<std::uint32_t>(i + 1);
      return error;
    }
    if (auto added = add_if_newest(newest, *std::move(list), i + 1); !added) return added.error();
  }
  return newest;
}

bool names_as_issuer(const RevocationList& list, X509* issuer) noexcept {
  return X509_NAME_cmp(X509_CRL_get_issuer(list.crl.get()), X509_get_subject_name(issuer)) == 0 &&
         X509_check_akid(issuer, list.key.get()) == X509_V_OK;
}

Result<bool> is_signed_by(const RevocationList& list, X509* issuer) noexcept {
  EVP_PKEY* key = X509_get0_pubkey(issuer);
  if (key == nullptr) return false;
  const auto signer = signer_of(issuer, key);
  if (signer && list.signer.is(*signer)) return true;
  auto good = signature_is_good([&] { return X509_CRL_verify(list.crl.get(), key); });
  if (good && *good && signer) list.signer.remember(*signer);
  return good;
}

}  // namespace client_tls
