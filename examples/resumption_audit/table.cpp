#include "table.hpp"

#include <algorithm>
#include <ostream>
#include <set>

namespace resumption_audit {
namespace {

// Of the columns, so that a line of five has 120 characters at most.
constexpr std::size_t client_width = 12;
constexpr std::size_t name_width = 22;
constexpr std::size_t cell_width = 19;

std::string padded(std::string text, std::size_t width) {
  text.resize(std::max(text.size(), width), ' ');
  return text + ' ';
}

// Texts as they stand in the table, or all of them by number where one is too long for it.
class Labels {
 public:
  Labels(std::vector<std::string> texts, char sign, std::size_t width)
      : texts_(std::move(texts)),
        sign_(sign),
        numbered_(std::ranges::any_of(texts_, [width](const std::string& text) { return text.size() > width; })) {}

  [[nodiscard]] std::string label(std::size_t i) const { return numbered_ ? sign_ + std::to_string(i + 1) : texts_[i]; }

  void write_key(std::ostream& out, std::string_view what) const {
    if (!numbered_) return;
    out << what << '\n';
    for (std::size_t i = 0; i < texts_.size(); ++i) out << "  " << padded(label(i), 3) << ' ' << texts_[i] << '\n';
    out << '\n';
  }

 private:
  std::vector<std::string> texts_;
  char sign_;
  bool numbered_;
};

std::vector<std::string> client_labels(const Audit& audit) {
  std::vector<std::string> labels;
  labels.reserve(audit.clients.size());
  for (const Client& client : audit.clients) labels.push_back(client.label);
  return labels;
}

class Table {
 public:
  Table(std::ostream& out, const Audit& audit)
      : out_(out),
        audit_(audit),
        names_(audit.names, 'n', name_width),
        clients_(client_labels(audit), 'c', client_width) {
    for (const Visit& visit : audit.visits) {
      if (visit.seen.asked) ca_lists_.insert(visit.seen.ca_names);
      versions_.insert(visit.version);
      note(visit.seen);
    }
    for (const Pair& pair : audit.pairs) {
      mechanisms_.insert(pair.mechanism);
      note(pair.offered);
    }
  }

  void write() {
    names_.write_key(out_, "Server names");
    clients_.write_key(out_, "Certificates");
    write_visits();
    write_pairs();
    write_legend();
  }

 private:
  void note(const Observation& seen) {
    if (seen.alert != 0) alerts_.insert(seen.alert);
  }

  void write_line(std::string line) {
    while (line.ends_with(' ')) line.pop_back();
    out_ << line << '\n';
  }

  void write_visits() {
    out_ << "What each name asks of a new client, and what that client gets\n";
    std::string head = padded("certificate", client_width) + padded("name", name_width);
    for (const int version : versions_)
      head += padded(std::string("TLS ").append(version_text(version)), cell_width + 8);
    write_line(head);
    for (std::size_t client = 0; client < audit_.clients.size(); ++client) {
      for (std::size_t name = 0; name < audit_.names.size(); ++name) {
        std::string line = padded(clients_.label(client), client_width) + padded(names_.label(name), name_width);
        for (const int version : versions_) {
          line += padded(visit_cell(audit_.fresh(client, name, version)), cell_width + 8);
        }
        write_line(line);
      }
    }
    out_ << '\n';
  }

  [[nodiscard]] std::string visit_cell(const Observation& seen) const {
    std::string asked = "asks nothing, ";
    if (!seen.handshake_done && !seen.asked) asked = "";
    if (seen.asked) asked = "asks [" + ca_list_label(seen.ca_names) + "], ";
    return asked + ending_text(seen);
  }

  [[nodiscard]] std::string ca_list_label(const std::vector<std::string>& names) const {
    return std::to_string(std::distance(ca_lists_.begin(), ca_lists_.find(names)) + 1);
  }

  void write_pairs() {
    out_ << "What happens to a session of one name under another\n";
    std::string head =
        padded("certificate", client_width) + padded("made under", name_width) + padded("offered under", name_width);
    for (const Mechanism mechanism : mechanisms_) head += padded(std::string(to_string(mechanism)), cell_width);
    write_line(head);
    for (std::size_t client = 0; client < audit_.clients.size(); ++client) {
      for (std::size_t made = 0; made < audit_.names.size(); ++made) {
        for (std::size_t offered = 0; offered < audit_.names.size(); ++offered) write_pair(client, made, offered);
      }
    }
    out_ << '\n';
  }

  void write_pair(std::size_t client, std::size_t made, std::size_t offered) {
    std::string line = padded(clients_.label(client), client_width) + padded(names_.label(made), name_width) +
                       padded(names_.label(offered), name_width);
    for (const Mechanism mechanism : mechanisms_) {
      const auto found = std::ranges::find_if(audit_.pairs, [&](const Pair& pair) {
        return pair.client == client && pair.made_under == made && pair.offered_under == offered &&
               pair.mechanism == mechanism;
      });
      if (found != audit_.pairs.end()) line += padded(pair_cell(*found), cell_width);
    }
    write_line(line);
  }

  static std::string pair_cell(const Pair& pair) {
    std::string label(text_of(pair.outcome).label);
    const std::string ending = ending_text(pair.offered);
    if (pair.outcome == Outcome::no_session || label == ending || pair.offered.ending == Ending::unreachable) {
      return label;
    }
    return label + ", " + ending;
  }

  void write_legend() {
    const auto counts = audit_.count();
    for (const OutcomeText& text : outcome_texts) {
      if (!counts.contains(text.outcome)) continue;
      write_wrapped(padded(std::string(text.label), 11), text.meaning);
    }
    for (const int alert : alerts_) {
      write_wrapped(padded("alert " + std::to_string(alert), 11), alert_text(alert));
    }
    std::size_t number = 0;
    for (const auto& names : ca_lists_)
      write_wrapped(padded(std::string("[").append(std::to_string(++number)).append("]"), 11), listed(names));
    out_ << '\n';
  }

  static std::string listed(const std::vector<std::string>& names) {
    if (names.empty()) return "a certificate of any CA: no names are sent";
    std::string text = "CA names: ";
    for (const std::string& name : names) text += (&name == &names.front() ? "" : "; ") + name;
    return text;
  }

  // In lines of 120 characters, the second and later ones under the first's text.
  void write_wrapped(const std::string& head, std::string_view text) {
    const std::size_t width = 120 - head.size();
    std::string_view rest = text;
    for (std::string lead = head; !rest.empty(); lead = std::string(head.size(), ' ')) {
      std::size_t end = rest.size() <= width ? rest.size() : rest.rfind(' ', width);
      if (end == std::string_view::npos) end = width;
      write_line(lead + std::string(rest.substr(0, end)));
      rest.remove_prefix(std::min(rest.size(), end + (end < rest.size() && rest[end] == ' ' ? 1 : 0)));
    }
  }

  std::ostream& out_;
  const Audit& audit_;
  Labels names_;
  Labels clients_;
  std::set<std::vector<std::string>> ca_lists_;
  std::set<int> versions_;
  std::set<int> alerts_;
  std::set<Mechanism> mechanisms_;
};

}  // namespace

void write_table(std::ostream& out, const Audit& audit) {
  Table(out, audit).write();
  out << summary(audit) << '\n';
}

std::string summary(const Audit& audit) {
  auto counts = audit.count();
  std::string text = std::to_string(audit.pairs.size()) + " sessions: " + std::to_string(counts[Outcome::hole]) +
                     " into a hole, " + std::to_string(counts[Outcome::identity_carried]) +
                     " with an identity into an open name, " + std::to_string(counts[Outcome::refused]) + " refused, " +
                     std::to_string(audit.count_if(is_no_answer)) + " without an answer.";
  if (counts[Outcome::own_name] == 0) text += " None was resumed under its own name: this says nothing of other names.";
  return text;
}

}  // namespace resumption_audit
