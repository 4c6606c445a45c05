// What happened to a session of one name that was offered under another, and what that means.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "probe.hpp"

namespace resumption_audit {

enum class Outcome : std::uint8_t {
  own_name,
  full,
  not_resumable,
  refused,
  same_policy,
  nothing_carried,
  hole,
  identity_carried,
  no_session,
  unreachable,
  timed_out,
  garbled,
};

struct OutcomeText {
  Outcome outcome;
  std::string_view id;     // in JSON
  std::string_view label;  // in the table
  std::string_view meaning;
};

inline constexpr std::array outcome_texts{
    OutcomeText{
        Outcome::hole, "hole", "HOLE",
        "resumed into a name with another policy: what a new client is asked for was not asked, or it got in where "
        "a new one does not"},
    OutcomeText{Outcome::identity_carried, "identity_carried", "IDENTITY",
                "resumed into a name that asks nobody, with the certificate that was given under another"},
    OutcomeText{
        Outcome::refused, "refused", "refused",
        "safe, but this client cannot connect, and a new one with the same certificate can, or is told otherwise"},
    OutcomeText{Outcome::full, "full", "full", "right: a full handshake, like a new client's"},
    OutcomeText{Outcome::own_name, "own_name", "own name", "right: resumed under the name that it was made under"},
    OutcomeText{Outcome::same_policy, "same_policy", "same",
                "resumed into a name that asks for the same CA names: the same policy as far as can be seen from here"},
    OutcomeText{Outcome::nothing_carried, "nothing_carried", "harmless",
                "resumed into a name that asks nobody, with no certificate in the session: nothing was carried"},
    OutcomeText{Outcome::not_resumable, "not_resumable", "no reuse",
                "a full handshake, under its own name as well: it shows nothing of other names"},
    OutcomeText{Outcome::no_session, "no_session", "no session", "nothing that could be offered could be had"},
    OutcomeText{Outcome::unreachable, "unreachable", "unreachable",
                "no TCP connection, or none was tried after ten in a row without an answer"},
    OutcomeText{Outcome::timed_out, "timed_out", "timed out", "no answer in time, to a new client or to this one"},
    OutcomeText{Outcome::garbled, "garbled", "garbled",
                "the answer was not TLS, or not HTTP, or none that OpenSSL takes"},
};

constexpr const OutcomeText& text_of(Outcome outcome) {
  for (const OutcomeText& text : outcome_texts) {
    if (text.outcome == outcome) return text;
  }
  return outcome_texts.back();
}

constexpr bool is_finding(Outcome outcome) {
  return outcome == Outcome::hole || outcome == Outcome::identity_carried;
}

// Nothing that could be judged.
constexpr bool is_no_answer(Outcome outcome) {
  return outcome == Outcome::unreachable || outcome == Outcome::timed_out || outcome == Outcome::garbled;
}

// What a name asks of new clients, as far as can be seen from outside.
struct Policy {
  bool asked = false;
  std::vector<std::string> ca_names;

  bool operator==(const Policy&) const = default;
};

// Not let in: an alert, a connection that was closed, or a status that servers have for a certificate which is missing
// or not good enough. Other statuses are the application's business.
bool is_refusal(const Observation& seen);

// "200", "alert 116", "closed", "timed out": how a connection ended, shortly.
std::string ending_text(const Observation& seen);

// "access denied"
std::string_view alert_text(int alert);

struct Attempt {
  bool own_name = false;          // the session is offered under the name that it was made under
  bool own_name_resumes = false;  // and that works
  const Policy& made_under;
  const Policy& offered_under;
  const Observation& made;
  const Observation& fresh;  // a new client under the name where it is offered
  const Observation& offered;
};

// Of a session that was made and offered.
Outcome classify(const Attempt& attempt);

}  // namespace resumption_audit
