#include "verdict.hpp"

#include <algorithm>
#include <ctime>
#include <new>

#include "certificate_list.hpp"
#include "errors.hpp"
#include "openssl_version.hpp"
#include "policy_rules.hpp"
#include "policy_verification.hpp"
#include "session_binding.hpp"

namespace client_tls {
namespace {

using Status = Verdict::Status;
using std::chrono::seconds;
using std::chrono::sys_seconds;

constexpr seconds clock_tolerance{300};

sys_seconds time_of(std::int64_t seconds_since_epoch) noexcept {
  return sys_seconds{seconds{seconds_since_epoch}};
}

sys_seconds now() noexcept {
  return time_of(std::time(nullptr));
}

// Whether the SSL_CTX that the connection has got to has policies, whose part the connection did not take.
bool has_missed_policies(const SSL* ssl, const Connection* connection) noexcept {
  return (connection == nullptr || connection->policy == nullptr) && installed_on(SSL_get_SSL_CTX(ssl)) != nullptr;
}

bool asked_of(SSL* ssl, const Connection* connection) noexcept {
  if (connection != nullptr && connection->policy != nullptr) {
    return connection->policy->options().request != ClientAuth::none;
  }
  // By hand it does not travel whether a certificate was asked for.
  if (SSL_session_reused(ssl) == 1) return true;
  return (connection != nullptr && connection->asked) || (SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER) != 0;
}

}  // namespace

class VerdictBuilder {
 public:
  VerdictBuilder(SSL* ssl, const Connection* connection) noexcept : ssl_(ssl), connection_(connection) {
    verdict_.resumed_ = ssl != nullptr && SSL_session_reused(ssl) == 1;
  }

  // What a verification by another policy's rules found, whatever the time.
  Verdict by_policy(const Verdict& own, const ClientAuthPolicy& policy, const Authentication& found, std::size_t sent,
                    std::int64_t not_after) noexcept {
    const sys_seconds proved = own.authenticated_at().value_or(time_of(session_time(SSL_get_session(ssl_))));
    sys_seconds end = std::min(time_of(not_after), policy.lists_end());
    const auto& max_age = policy.options().max_age;
    if (max_age && proved < sys_seconds::max() - *max_age) end = std::min(end, proved + *max_age);
    verdict_.authenticated_at_ = proved;
    verdict_.ends_at_ = end;
    verdict_.verified_by_ = Verdict::VerifiedBy::policy;
    if (sent > policy.options().limits.max_chain_certificates) add(Reason::chain_too_long, 0);
    add_all(found);
    verdict_.status_ = verdict_.reason_count_ == 0 ? Status::success : Status::failed;
    if (verdict_.status_ == Status::success) warn_of(found);
    return verdict_;
  }

  Verdict as_of_now(const Verdict& verdict, const ClientAuthPolicy& policy) noexcept {
    verdict_ = verdict;
    if (verdict_.status_ != Status::success) return verdict_;
    return ended_now(policy);
  }

  Verdict build_failed() noexcept {
    const Authentication* authentication = connection_ != nullptr ? connection_->authentication.get() : nullptr;
    if (authentication != nullptr) add_all(*authentication);
    if (verdict_.reason_count_ > 0) verdict_.verified_by_ = rules();
    return failed(Reason::handshake_not_completed);
  }

  Verdict build() noexcept {
    const X509* leaf = SSL_get0_peer_certificate(ssl_);
    const bool settled = connection_ != nullptr && connection_->settled;
    if (has_missed_policies(ssl_, connection_)) return failed(Reason::no_policy);
    if (settled && leaf != connection_->leaf.get()) return failed(Reason::certificate_changed);
    if (leaf == nullptr) return without_certificate();
    if (verdict_.resumed_ && !(settled && connection_->carried)) return failed(Reason::chain_not_carried);
    if (connection_ == nullptr || !(connection_->bound || connection_->asked)) return by_the_host();
    if (!settled) return not_settled();
    if (!connection_->authentication) return failed(Reason::out_of_memory);
    return presented();
  }

 private:
  Verdict failed(int code) noexcept {
    add(code, 0);
    verdict_.status_ = Status::failed;
    return verdict_;
  }

  void add(int code, int depth) noexcept {
    if (verdict_.reason_count_ == verdict_.reasons_.size()) return;
    verdict_.reasons_[verdict_.reason_count_++] = {.code = code, .depth = depth, .text = text_of_reason(code)};
  }

  void warn(int code) noexcept {
    verdict_.warnings_[verdict_.warning_count_++] = {.code = code, .depth = 0, .text = text_of_reason(code)};
  }

  Verdict without_certificate() noexcept {
    // OpenSSL asks nobody for a certificate who has an external PSK, and calls it a resumption.
    if (verdict_.resumed_ && connection_ != nullptr && connection_->required) return failed(Reason::unproved_session);
    const bool asked = asked_of(ssl_, connection_) || presented_raw_public_key(ssl_);
    verdict_.status_ = asked ? Status::none : Status::not_asked;
    return verdict_;
  }

  // A host that asks by itself, without this library: its own store and callback decide.
  Verdict by_the_host() noexcept {
    const long result = SSL_get_verify_result(ssl_);
    if (result == X509_V_OK && SSL_get0_verified_chain(ssl_) == nullptr) return failed(Reason::not_verified);
    verdict_.verified_by_ = Verdict::VerifiedBy::host;
    if (result != X509_V_OK) return failed(static_cast<int>(result));
    verdict_.status_ = Status::success;
    return verdict_;
  }

  // The host took the info callback away. By hand its own rules are there still; a policy says nothing it has not seen.
  Verdict not_settled() noexcept {
    if (connection_->policy != nullptr) return failed(Reason::not_settled);
    return verified() ? by_the_host() : failed(Reason::not_verified);
  }

  Verdict presented() noexcept {
    const Authentication& authentication = *connection_->authentication;
    verdict_.authenticated_at_ = time_of(authentication.authenticated_at);
    const auto lists_end = connection_->policy != nullptr ? connection_->policy->lists_end() : sys_seconds::max();
    verdict_.ends_at_ = std::min(time_of(connection_->not_after), lists_end);
    if (!verdict_.resumed_ && !verified()) return failed(Reason::not_verified);
    verdict_.verified_by_ = rules();
    add_all(authentication);
    verdict_.status_ = verdict_.reason_count_ == 0 ? Status::success : Status::failed;
    if (verdict_.status_ == Status::failed) return verdict_;
    warn_of(authentication);
    if (connection_->policy != nullptr) return ended_now(*connection_->policy);
    return ended_now();
  }

  // Success, unless its time is up.
  Verdict ended_now(const ClientAuthPolicy& policy) noexcept {
    return lists_have_ended(policy) ? failed(X509_V_ERR_CRL_HAS_EXPIRED) : ended_now();
  }
  Verdict ended_now() noexcept {
    if (verdict_.status_at(now()) == Status::success) return verdict_;
    const bool later = now() >= verdict_.ends_at_.value_or(sys_seconds::max());
    return failed(later ? Reason::authentication_ended : Reason::authentication_in_future);
  }

  void add_all(const Authentication& found) noexcept {
    for (std::size_t i = 0; i < found.reason_count; ++i) add(found.reasons[i].code, found.reasons[i].depth);
  }

  void warn_of(const Authentication& found) noexcept {
    if ((found.leniency & expired_tolerated) != 0) warn(X509_V_ERR_CERT_HAS_EXPIRED);
    if ((found.leniency & server_purpose_tolerated) != 0) warn(X509_V_ERR_INVALID_PURPOSE);
  }

  [[nodiscard]] Verdict::VerifiedBy rules() const noexcept {
    return connection_->policy != nullptr ? Verdict::VerifiedBy::policy : Verdict::VerifiedBy::host;
  }

  [[nodiscard]] bool verified() const noexcept {
    return connection_->asked ? connection_->verified : SSL_get0_verified_chain(ssl_) != nullptr;
  }

  SSL* ssl_;
  const Connection* connection_;
  Verdict verdict_;
};

namespace {

// The certificates that the client sent beside its leaf: its own, or those that the session carries.
Result<X509StackPtr> other_certificates(SSL* ssl, const Connection& connection) noexcept {
  if (SSL_session_reused(ssl) != 1) return X509StackPtr{X509_chain_up_ref(SSL_get_peer_cert_chain(ssl))};
  auto carried = carried_certificates(ssl, &connection);
  if (!carried) return carried.error();
  X509StackPtr others{sk_X509_new_null()};
  if (!others) return failure(Errc::out_of_memory, "out of memory");
  for (ByteView der = take_certificate(*carried); !der.empty(); der = take_certificate(*carried)) {
    const unsigned char* in = der.data();
    X509* certificate = d2i_X509(nullptr, &in, static_cast<long>(der.size()));
    if (certificate == nullptr || sk_X509_push(others.get(), certificate) <= 0) {
      X509_free(certificate);
      return openssl_failure("a certificate that the session carries does not decode");
    }
  }
  return others;
}

}  // namespace

bool is_proved(const Verdict& verdict) noexcept {
  if (verdict.status() == Status::success) return true;
  if (verdict.status() != Status::failed) return false;
  const int code = verdict.reasons().back().code;
  // A verification that was bypassed, or whose time is up, by one policy's rules says nothing of another's.
  return code < Reason::first_code || code == Reason::authentication_ended || code == Reason::not_verified;
}

Result<Verdict> judge_by(SSL* ssl, Connection& connection, const Verdict& own,
                         const ClientAuthPolicy& policy) noexcept {
  X509* leaf = SSL_get0_peer_certificate(ssl);
  Answers* answers = make_answers(connection);
  if (answers == nullptr) return failure(Errc::out_of_memory, "out of memory");
  auto& judgements = answers->judgements;
  if (!judgements || judgements->leaf.get() != leaf) {
    judgements.reset(new (std::nothrow) Judgements);
    if (!judgements || X509_up_ref(leaf) != 1) return failure(Errc::out_of_memory, "out of memory");
    judgements->leaf.reset(leaf);
  }
  auto& all = judgements->all;
  auto* const end = all.begin() + static_cast<std::ptrdiff_t>(std::min(judgements->count, all.size()));
  auto* const known = std::find_if(all.begin(), end, [&](const auto& one) { return one.policy == policy.digest(); });
  if (known != end) return VerdictBuilder(ssl, &connection).as_of_now(known->verdict, policy);
  const auto others = other_certificates(ssl, connection);
  if (!others) return others.error();
  Verification verification{ssl, policy, leaf, others->get()};
  if (!verification.run()) return openssl_failure("the chain could not be verified");
  const auto sent = static_cast<std::size_t>(std::max(sk_X509_num(others->get()), 0)) + 1;
  // As in verdict(): what was sent beside the chain that verifies shortens only the session that carries it.
  const STACK_OF(X509)* carried = connection.carried ? others->get() : nullptr;
  const std::int64_t not_after = first_not_after(leaf, {carried, verification.chain()}, &policy);
  const Verdict verdict =
      VerdictBuilder(ssl, &connection).by_policy(own, policy, verification.found(), sent, not_after);
  all[judgements->count++ % all.size()] = {.policy = policy.digest(), .verdict = verdict};
  return VerdictBuilder(ssl, &connection).as_of_now(verdict, policy);
}

Verdict judge_failed(const Connection* connection) noexcept {
  return VerdictBuilder(nullptr, connection).build_failed();
}

Verdict judge(SSL* ssl, const Connection* connection) noexcept {
  return VerdictBuilder(ssl, connection).build();
}

Verdict::Status Verdict::status_at(sys_seconds time) const noexcept {
  if (status_ != Status::success) return status_;
  const bool ended = time >= ends_at_.value_or(sys_seconds::max());
  // Any time can be asked about, and a session can say any: nothing is added to the last one.
  const bool in_future = authenticated_at_ && time < *authenticated_at_ &&
                         time < sys_seconds::max() - clock_tolerance && time + clock_tolerance < *authenticated_at_;
  return ended || in_future ? Status::failed : status_;
}

}  // namespace client_tls
