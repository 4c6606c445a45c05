#include "revocation_list_check.hpp"

#include <openssl/x509v3.h>

#include <algorithm>
#include <initializer_list>
#include <string_view>

#include "client_tls/openssl_ptr.hpp"
#include "errors.hpp"

namespace client_tls {
namespace {

using IntegerPtr = OpensslPtr<ASN1_INTEGER, ASN1_INTEGER_free>;
using ReasonPtr = OpensslPtr<ASN1_ENUMERATED, ASN1_ENUMERATED_free>;
using KeyIdPtr = OpensslPtr<AUTHORITY_KEYID, AUTHORITY_KEYID_free>;
using PointPtr = OpensslPtr<ISSUING_DIST_POINT, ISSUING_DIST_POINT_free>;

Error refusal(std::string_view message) noexcept {
  return failure(Errc::invalid_argument, message);
}

// An extension, decoded by one of OpenSSL's get_ext_d2i functions; null where there is none. It must not stand twice.
// What does not decode is tried once more: it may have been for want of memory, of which not every version says a word.
template <class Pointer, class Decode>
Result<Pointer> decode_extension(Decode decode, std::string_view undecodable) noexcept {
  for (const bool again : {false, true}) {
    int found = 0;
    Pointer value{static_cast<typename Pointer::pointer>(decode(&found))};
    if (value || found == -1) return value;
    if (!again && !memory_is_there()) return failure(Errc::out_of_memory, "out of memory");
  }
  return refusal(undecodable);
}

template <class Pointer>
Result<Pointer> decode_extension(const X509_CRL* crl, int nid, std::string_view undecodable) noexcept {
  return decode_extension<Pointer>([=](int* found) { return X509_CRL_get_ext_d2i(crl, nid, found, nullptr); },
                                   undecodable);
}

// Extensions that OpenSSL does not know: none may be critical.
template <class Holder, class Get>
bool has_unknown_critical(const Holder* holder, int count, Get get, std::initializer_list<int> known) noexcept {
  for (int i = 0; i < count; ++i) {
    const auto* extension = get(holder, i);
    const int nid = OBJ_obj2nid(X509_EXTENSION_get_object(const_cast<X509_EXTENSION*>(extension)));
    const bool is_known = std::find(known.begin(), known.end(), nid) != known.end();
    if (X509_EXTENSION_get_critical(extension) == 1 && !is_known) return true;
  }
  return false;
}

Result<void> check_scope(const ISSUING_DIST_POINT* point) noexcept {
  if (point == nullptr) return {};
  if (point->indirectCRL > 0) return refusal("crls: it is an indirect list, with certificates of other issuers");
  if (point->onlysomereasons != nullptr) return refusal("crls: it is not whole: a list for some reasons only");
  if (point->onlyattr > 0) return refusal("crls: it is about attribute certificates only");
  if (point->onlyuser > 0 && point->onlyCA > 0) {
    return refusal("crls: it is about users only and about CAs only, so about nothing");
  }
  return {};
}

Result<void> check_extensions(const X509_CRL* crl) noexcept {
  if (X509_CRL_get_ext_by_NID(crl, NID_delta_crl, -1) >= 0) {
    return refusal("crls: it is not whole: a delta list, which says only what has changed");
  }
  const auto point = decode_extension<PointPtr>(crl, NID_issuing_distribution_point,
                                                "crls: its issuing distribution point is malformed");
  if (!point) return point.error();
  if (auto valid = check_scope(point->get()); !valid) return valid;
  const auto key =
      decode_extension<KeyIdPtr>(crl, NID_authority_key_identifier, "crls: its authority key identifier is malformed");
  if (!key) return key.error();
  const auto number = decode_extension<IntegerPtr>(crl, NID_crl_number, "crls: its number is malformed");
  if (!number) return number.error();
  const bool unknown = has_unknown_critical(crl, X509_CRL_get_ext_count(crl), X509_CRL_get_ext,
                                            {NID_issuing_distribution_point, NID_authority_key_identifier});
  if (unknown) return refusal("crls: it has a critical extension that is not known");
  return {};
}

Result<void> check_reason(const X509_REVOKED* entry) noexcept {
  const auto decode = [entry](int* found) { return X509_REVOKED_get_ext_d2i(entry, NID_crl_reason, found, nullptr); };
  const auto reason = decode_extension<ReasonPtr>(decode, "crls: an entry's reason is malformed");
  if (!reason) return reason.error();
  if (*reason == nullptr || ASN1_ENUMERATED_get(reason->get()) != CRL_REASON_REMOVE_FROM_CRL) return {};
  return refusal("crls: an entry says \"remove from CRL\", which only a delta list can");
}

Result<void> check_entry(const X509_REVOKED* entry) noexcept {
  const int count = X509_REVOKED_get_ext_count(entry);
  if (count <= 0) return {};
  if (X509_REVOKED_get_ext_by_NID(entry, NID_certificate_issuer, -1) >= 0) {
    return refusal("crls: an entry names a certificate issuer, which only an indirect list can");
  }
  if (has_unknown_critical(entry, count, X509_REVOKED_get_ext, {})) {
    return refusal("crls: an entry has a critical extension that is not known");
  }
  return check_reason(entry);
}

Result<void> check_entries(const STACK_OF(X509_REVOKED) * entries) noexcept {
  for (int i = 0; i < sk_X509_REVOKED_num(entries); ++i) {
    if (auto valid = check_entry(sk_X509_REVOKED_value(entries, i)); !valid) return valid;
  }
  return {};
}

}  // namespace

Result<void> check_is_whole(const X509_CRL* crl) noexcept {
  if (auto valid = check_extensions(crl); !valid) return valid;
  return check_entries(X509_CRL_get_REVOKED(const_cast<X509_CRL*>(crl)));
}

}  // namespace client_tls
