// Owning handles for OpenSSL objects: one line per type. A handle owns one reference (OpenSSL's get1, set1 and new
// functions); what get0 functions return stays a plain pointer.
#pragma once

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>

#include "client_tls/export.hpp"

namespace client_tls {

// Calls the OpenSSL function that releases a T.
template <auto Free>
struct OpensslFree {
  template <class T>
  void operator()(T* object) const noexcept {
    Free(object);
  }
};

template <class T, auto Free>
using OpensslPtr = std::unique_ptr<T, OpensslFree<Free>>;

// A stack of names owns its names.
inline void free_name_stack(STACK_OF(X509_NAME) * names) noexcept {
  sk_X509_NAME_pop_free(names, X509_NAME_free);
}

using SslPtr = OpensslPtr<SSL, SSL_free>;
using SslCtxPtr = OpensslPtr<SSL_CTX, SSL_CTX_free>;
using SslSessionPtr = OpensslPtr<SSL_SESSION, SSL_SESSION_free>;
using BioPtr = OpensslPtr<BIO, BIO_free_all>;
using EvpPkeyPtr = OpensslPtr<EVP_PKEY, EVP_PKEY_free>;
using X509Ptr = OpensslPtr<X509, X509_free>;
using X509CrlPtr = OpensslPtr<X509_CRL, X509_CRL_free>;
using X509StorePtr = OpensslPtr<X509_STORE, X509_STORE_free>;
using X509NameStackPtr = OpensslPtr<STACK_OF(X509_NAME), free_name_stack>;

}  // namespace client_tls
