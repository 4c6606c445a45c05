#include "outcome.hpp"

#include <algorithm>

namespace resumption_audit {
namespace {

// nginx has 495 and 496 for its own error pages.
bool is_refusing(unsigned status) {
  constexpr std::array statuses{400U, 401U, 403U, 421U, 495U, 496U};
  return std::ranges::find(statuses, status) != statuses.end();
}

bool same_ending(const Observation& a, const Observation& b) {
  return a.ending == b.ending && a.status == b.status && a.alert == b.alert;
}

// Resumed, and served.
Outcome classify_resumed(const Attempt& attempt) {
  if (attempt.own_name) return Outcome::own_name;
  if (is_refusal(attempt.fresh) && !is_refusal(attempt.offered)) return Outcome::hole;
  if (attempt.offered_under.asked) {
    return attempt.made_under == attempt.offered_under ? Outcome::same_policy : Outcome::hole;
  }
  return attempt.made.certificate_sent ? Outcome::identity_carried : Outcome::nothing_carried;
}

}  // namespace

bool is_refusal(const Observation& seen) {
  return seen.ending == Ending::alert || seen.ending == Ending::closed ||
         (seen.ending == Ending::answered && is_refusing(seen.status));
}

std::string ending_text(const Observation& seen) {
  switch (seen.ending) {
    case Ending::answered:
      return seen.status != 0 ? std::to_string(seen.status) : "accepted";
    case Ending::alert:
      return "alert " + std::to_string(seen.alert);
    case Ending::closed:
      return "closed";
    case Ending::timed_out:
      return "timed out";
    case Ending::unreachable:
      return "unreachable";
    case Ending::garbled:
      break;
  }
  return "garbled";
}

// OpenSSL 3.0 has no texts for these three.
std::string_view alert_text(int alert) {
  switch (alert) {
    case TLS13_AD_MISSING_EXTENSION:
      return "missing extension";
    case TLS13_AD_CERTIFICATE_REQUIRED:
      return "certificate required";
    case TLS1_AD_NO_APPLICATION_PROTOCOL:
      return "no application protocol";
    default:
      return SSL_alert_desc_string_long(alert);
  }
}

Outcome classify(const Attempt& attempt) {
  const Observation& offered = attempt.offered;
  switch (offered.ending) {
    case Ending::unreachable:
      return Outcome::unreachable;
    case Ending::timed_out:
      return Outcome::timed_out;
    case Ending::garbled:
      return Outcome::garbled;
    case Ending::answered:
    case Ending::alert:
    case Ending::closed:
      break;
  }
  const bool like_a_new_client = same_ending(offered, attempt.fresh);
  if (is_refusal(offered) && !like_a_new_client) return Outcome::refused;
  if (offered.resumed) return classify_resumed(attempt);
  return attempt.own_name_resumes ? Outcome::full : Outcome::not_resumable;
}

}  // namespace resumption_audit
