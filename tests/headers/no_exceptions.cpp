// What a host sees that is built with -fno-exceptions -fno-rtti.
#include "all_headers.hpp"

namespace {

using client_tls::ClientTls;
using client_tls::ClientVerify;
using client_tls::Phase;

template <class Tls, class Value>
concept SetsClientVerify = requires(const Tls& tls, Value value) { tls.set_client_verify(std::move(value)); };

// The overload that throws is absent, the one that returns a Result is there.
static_assert(!SetsClientVerify<ClientTls, std::string_view>);
static_assert(SetsClientVerify<ClientTls, ClientVerify>);
static_assert(!SetsClientVerify<ClientTls::In<Phase::access>, std::string_view>);
static_assert(SetsClientVerify<ClientTls::In<Phase::access>, ClientVerify>);

}  // namespace
