// Who the client is: the same answer on the connection where it proved itself and on those that resume its session, by
// hand and by policy.
#include "client_tls/verdict.hpp"

#include "support/checks.hpp"
#include "support/external_psk.hpp"

using namespace client_tls;
using namespace test;

using Status = Verdict::Status;
using std::chrono::seconds;

TEST_CASE("verdict: each of the four statuses is the same on a connection that resumes") {
  struct Row {
    const char* name;
    ClientAuth request;
    std::vector<Certificate> chain;
    Status status;
  };
  std::vector<Row> rows;
  rows.push_back({"not asked", ClientAuth::none, chain_of(Pki::get().client1), Status::not_asked});
  rows.push_back({"none", ClientAuth::optional, {}, Status::none});
  rows.push_back(
      {"success", ClientAuth::optional, chain_of(Pki::get().client1, Pki::get().intermediate1), Status::success});
  rows.push_back(
      {"required", ClientAuth::required, chain_of(Pki::get().client1, Pki::get().intermediate1), Status::success});
  rows.push_back({"failed", ClientAuth::optional, chain_of(Pki::get().client1), Status::failed});
  for (const Row& row : rows) {
    const bool asks = row.request != ClientAuth::none;
    for_each_way(row.name, [&](Mechanism mechanism, Way way) {
      const auto server = make_server(mechanism, way, asks ? asking(row.request) : PolicyOptions{});
      const Pair first{*server, showing(row.chain)};
      REQUIRE(first.done());
      const Verdict verdict = verdict_of(first);
      CHECK(verdict.status() == row.status);
      CHECK_FALSE(verdict.resumed());
      CHECK(verdict.success() == (row.status == Status::success));
      CHECK(verdict.reasons().empty() == (row.status != Status::failed));
      const bool presented = row.status == Status::success || row.status == Status::failed;
      CHECK(verdict.authenticated_at().has_value() == presented);
      if (presented) CHECK(verdict.authenticated_at() == seconds_from_now(0));
      advance_time(10);
      const auto next = resume(*server, first);
      REQUIRE(next->resumed());
      CHECK(verdict_of(*next).resumed());
      if (row.status == Status::not_asked && way == Way::by_hand) {
        CHECK(verdict_of(*next).status() == Status::none);  // whether it was asked does not travel
      } else {
        check_all_the_same(verdict_of(*next), verdict);
      }
    });
  }
}

namespace {

// What the log says in this request.
std::string log_in(const Pair& pair, PhaseContext& context) {
  context.enter(Phase::log);
  const auto entry = ClientTls{pair.server(), context}.log_entry();
  return entry ? entry->client_verify : std::string(entry.error().message);
}

}  // namespace

TEST_CASE("verdict: the log has the one that its request was last given, or else the present one") {
  for_each_way("kept", [](Mechanism mechanism, Way way) {
    const auto chain = chain_of(issue({.ends_in = 60}, &Pki::get().intermediate1), Pki::get().intermediate1);
    const auto server = make_server(mechanism, way, asking(ClientAuth::required));
    const Pair pair{*server, showing(chain)};
    PhaseContext early{Phase::access};
    PhaseContext again{Phase::access};
    PhaseContext by_another{Phase::access};
    PhaseContext silent{Phase::access};
    CHECK(ClientTls{pair.server(), early}.verdict()->success());
    CHECK(ClientTls{pair.server(), again}.verdict()->success());
    const PolicyPtr other = make_policy(asking(ClientAuth::optional, {&Pki::get().ca2}));
    CHECK(ClientTls{pair.server(), by_another}.verdict()->success());
    CHECK_FALSE(ClientTls{pair.server(), by_another}.verdict(*other)->success());
    advance_time(60);
    CHECK_FALSE(ClientTls{pair.server(), again}.verdict()->success());
    CHECK(log_in(pair, early) == "SUCCESS");
    CHECK(log_in(pair, again) == "FAILED:authentication has ended");
    CHECK(log_in(pair, by_another) == "FAILED:unable to get local issuer certificate");
    CHECK(log_in(pair, silent) == "FAILED:authentication has ended");
  });
}

TEST_CASE("verdict: what a client presented that is no success is there, by a name of its own") {
  const auto& pki = Pki::get();
  const std::string pem = pem_of({pki.client1.get()});
  const auto chain = chain_of(pki.client1);  // its issuer is missing
  for (const Refusal refusal : {Refusal::handshake, Refusal::host}) {
    const bool required = refusal == Refusal::host;
    for_each_way(required ? "required, refused by the host" : "optional", [&](Mechanism mechanism, Way way) {
      PolicyOptions options = asking(required ? ClientAuth::required : ClientAuth::optional);
      options.refusal = refusal;
      const auto server = make_server(mechanism, way, std::move(options));
      const Pair first{*server, showing(chain)};
      REQUIRE(first.done());
      CHECK(verdict_of(first).presented() == pem);
      CHECK(verdict_of(first).presented().data() == verdict_of(first).presented().data());  // made once
      CHECK(first.chain() == (required && way == Way::by_policy ? Pair::not_authenticated : pem));
      const auto next = resume(*server, first);
      if (next->resumed()) CHECK(verdict_of(*next).presented() == pem);
      CHECK(next->resumed() == !(required && way == Way::by_policy));
    });
  }
}

TEST_CASE("verdict: a success has presented nothing, and an authentication that has ended has") {
  for_each_way("ends", [](Mechanism mechanism, Way way) {
    const auto chain = chain_of(issue({.ends_in = 3600}, &Pki::get().intermediate1), Pki::get().intermediate1);
    const auto server = make_server(mechanism, way, asking());
    const Pair first{*server, showing(chain)};
    const auto next = resume(*server, first);
    REQUIRE(next->resumed());
    for (const Pair* pair : {&first, static_cast<const Pair*>(next.get())}) {
      CHECK(verdict_of(*pair).presented().empty());
      const ClockRestorer back;
      advance_time(3600);
      CHECK(verdict_of(*pair).presented() == pem_of({chain[0].get(), chain[1].get()}));
    }
    const Pair nobody{*server, ClientOptions{}};
    CHECK(verdict_of(nobody).presented().empty());
  });
}

TEST_CASE("verdict: it says by whose rules a certificate was verified") {
  using By = Verdict::VerifiedBy;
  for_each_way("verified by", [](Mechanism mechanism, Way way) {
    const By own = way == Way::by_policy ? By::policy : By::host;
    const PolicyPtr another = make_policy(asking(ClientAuth::optional, {&Pki::get().ca2}));
    for (const bool trusted : {true, false}) {
      const auto server = make_server(mechanism, way, asking());
      const Pair first{*server, trusted ? client1() : client2()};
      const auto next = resume(*server, first);
      REQUIRE(next->resumed());
      for (const Pair* pair : {&first, static_cast<const Pair*>(next.get())}) {
        CHECK(verdict_of(*pair).verified_by() == own);
        const auto by_another = verdict_by(*pair, *another);
        REQUIRE(by_another);
        CHECK(by_another->verified_by() == By::policy);
        CHECK(by_another->success() == !trusted);
        CHECK(by_another->presented().empty() == !trusted);
        CHECK(verdict_by(*pair, *another)->presented() == by_another->presented());  // which is remembered
      }
    }
    const auto server = make_server(mechanism, way, asking());
    CHECK(verdict_of(Pair(*server, ClientOptions{})).verified_by() == By::nobody);
  });
}

TEST_CASE("verdict: it lives on when its connection is gone") {
  const auto server = make_server(Mechanism::stateless13, Way::by_policy, asking());
  const Verdict verdict = [&] { return verdict_of(Pair{*server, client2()}); }();
  CHECK(reasons_of(verdict) == Reasons{{20, 1}});
  CHECK(verdict.presented() == pem_of({Pki::get().client2.get(), Pki::get().intermediate2.get()}));
  CHECK(verdict.reasons().front().text == "unable to get local issuer certificate");
}

TEST_CASE("verdict: a verification that the host bypassed is none, and it says so") {
  for_each_way("bypassed", [](Mechanism mechanism, Way way) {
    const auto server = make_server(mechanism, way, asking());
    SSL_CTX_set_cert_verify_callback(server->ssl_ctx(), say_yes, nullptr);
    const Pair pair{*server, showing(first_chain())};
    CHECK(reasons_of(verdict_of(pair)) == Reasons{{Reason::not_verified, 0}});
    CHECK(verdict_of(pair).verified_by() == Verdict::VerifiedBy::nobody);
    CHECK(verdict_of(pair).presented() == pem_of({first_chain()[0].get(), first_chain()[1].get()}));
    CHECK_FALSE(resume(*server, pair)->resumed());
    // Another policy's own verification can still be made, since the key is proved.
    CHECK(verdict_by(pair, *make_policy(asking()))->success());
  });
}

TEST_CASE("verdict: of a client that resumes a session without its chain nobody knows who it is") {
  for (const Mechanism mechanism : all_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};  // whose host asks by itself, and does not bind
      server.on_client_hello = [](SSL*) { return SSL_CLIENT_HELLO_SUCCESS; };
      SSL_CTX_set_verify(server.ssl_ctx(), SSL_VERIFY_PEER, nullptr);
      SSL_CTX_set_session_id_context(server.ssl_ctx(), reinterpret_cast<const unsigned char*>("host"), 4);
      const Pair first{server, showing(first_chain())};
      CHECK(verdict_of(first).success());
      const auto next = resume(server, first);
      REQUIRE(next->resumed());
      CHECK(reasons_of(verdict_of(*next)) == Reasons{{Reason::chain_not_carried, 0}});
      CHECK(verdict_of(*next).verified_by() == Verdict::VerifiedBy::nobody);
      CHECK(verdict_of(*next).presented().empty());
      CHECK(reasons_of(*verdict_by(*next, *make_policy(asking()))) == Reasons{{Reason::chain_not_carried, 0}});
    }
  }
}

TEST_CASE("verdict: an external PSK is no proof where a certificate is required, and elsewhere it is none") {
  for (const ClientAuth request : {ClientAuth::optional, ClientAuth::required}) {
    for (const Mechanism mechanism : tls13_mechanisms) {
      DYNAMIC_SECTION(to_string(request) << ", " << to_string(mechanism)) {
        Server server{mechanism};
        Hooks hooks;
        hooks.client_hello = [](Handshake& handshake) {
          SSL_set_psk_find_session_callback(handshake.ssl(), find_psk);
          return Decision::proceed;
        };
        REQUIRE(install(server.ssl_ctx(), make_policies({{"a.test", make_policy(asking(request))}}), std::move(hooks)));
        const Pair pair{server, client_with_psk()};
        REQUIRE(pair.done());
        const Verdict verdict = verdict_of(pair);
        const bool failed = request == ClientAuth::required;
        CHECK(verdict.status() == (failed ? Status::failed : Status::none));
        CHECK(reasons_of(verdict) == (failed ? Reasons{{Reason::unproved_session, 0}} : Reasons{}));
        CHECK(pair.chain() == (failed ? Pair::not_authenticated : "none"));
      }
    }
  }
}

TEST_CASE("verdict: a connection that came to an SSL_CTX with policies without one is failed") {
  for (const Mechanism mechanism : tls13_mechanisms) {
    for (const bool presents : {false, true}) {
      DYNAMIC_SECTION(to_string(mechanism) << (presents ? ", with a certificate" : ", without one")) {
        const auto with = make_server(mechanism, Way::by_policy, asking());
        Server server{mechanism};
        SSL_CTX_set_client_hello_cb(server.ssl_ctx(), nullptr, nullptr);
        SSL_CTX_set_cert_cb(server.ssl_ctx(), nullptr, nullptr);
        SSL_CTX_set_verify(server.ssl_ctx(), SSL_VERIFY_PEER, nullptr);
        const Pair pair{server, presents ? showing(first_chain()) : ClientOptions{}};
        REQUIRE(pair.done());
        CHECK(verdict_of(pair).success() == presents);  // as the host says
        SSL_set_SSL_CTX(pair.server(), with->ssl_ctx());
        CHECK(reasons_of(verdict_of(pair)) == Reasons{{Reason::no_policy, 0}});
      }
    }
  }
}
