// The names of the CAs that the facade sends in a CertificateRequest.
#include "client_tls/client_tls.hpp"

#include "support/catch.hpp"
#include "support/pair.hpp"

using namespace client_tls;
using namespace test;

namespace {

// Has the server ask with these hints, and says why that was refused.
void ask_with(Server& server, const std::vector<X509*>& hints, std::optional<Errc>& code) {
  server.on_certificate = [&](SSL* ssl) {
    PhaseContext context{Phase::certificate};
    const auto asked = ClientTls{ssl, context}.request_client_certificate(hints);
    if (!asked) code = asked.error().code;
    return 1;
  };
}

}  // namespace

TEST_CASE("client_tls: hints are sent, each once, and a bad one is an error and no broken handshake") {
  const Pki& pki = Pki::get();
  const Certificate nameless = issue({.common_name = ""});
  for (const Mechanism mechanism : both_versions) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};
      std::vector<X509*> hints;
      std::optional<Errc> code;
      ask_with(server, hints, code);
      using Names = std::vector<std::string>;
      SECTION("each once, in order") {
        hints = {pki.ca2.get(), pki.ca1.get(), pki.ca2.get()};
        Pair pair{server, client1()};
        CHECK(pair.seen().ca_names == Names{"/CN=CA 2", "/CN=CA 1"});
        CHECK_FALSE(code);
      }
      SECTION("none leaves the host's list") {
        SSL_CTX_add_client_CA(server.ssl_ctx(), pki.ca1.get());
        Pair pair{server, client1()};
        CHECK(pair.seen().ca_names == Names{"/CN=CA 1"});
      }
      SECTION("they take the place of the host's list") {
        SSL_CTX_add_client_CA(server.ssl_ctx(), pki.ca1.get());
        hints = {pki.ca2.get()};
        Pair pair{server, client1()};
        CHECK(pair.seen().ca_names == Names{"/CN=CA 2"});
      }
      SECTION("hints are not trust") {
        const Certificate other_ca = issue({.common_name = "other CA", .usage = Usage::ca});
        const Certificate leaf = issue({}, &other_ca);
        hints = {other_ca.get()};
        Pair pair{server, {.chain = {leaf.get()}, .key = leaf.key.get()}};
        CHECK(pair.verify().starts_with("FAILED:"));
      }
      SECTION("a null one") {
        hints = {pki.ca1.get(), nullptr};
      }
      SECTION("a nameless one") {
        hints = {pki.ca1.get(), nameless.get()};
      }
      if (hints.size() == 2 && !code) {
        Pair pair{server, client1()};
        CHECK(pair.done());
        CHECK(code == Errc::invalid_argument);
        CHECK(pair.seen().certificate_requests == 0);
        CHECK(pair.verify() == "NONE");
      }
    }
  }
}

TEST_CASE("client_tls: hints up to the size that fits into a CertificateRequest work, and beyond it are an error") {
  for (const Mechanism mechanism : both_versions) {
    for (const int count : {280, 300}) {  // of about 223 bytes each: 62,400 and 66,900
      DYNAMIC_SECTION(to_string(mechanism) << ", " << count << " hints") {
        std::vector<client_tls::X509Ptr> certificates;
        std::vector<X509*> hints;
        for (int i = 0; i < count; ++i) {
          certificates.emplace_back(X509_dup(Pki::get().ca1.get()));
          X509_NAME* name = X509_NAME_new();
          for (int part = 0; part < 3; ++part) {
            const std::string text = std::to_string(i) + std::string(59, 'n');
            X509_NAME_add_entry_by_txt(name, "OU", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(text.data()),
                                       62, -1, 0);
          }
          X509_set_subject_name(certificates.back().get(), name);
          X509_NAME_free(name);
          hints.push_back(certificates.back().get());
        }
        Server server{mechanism};
        std::optional<Errc> code;
        ask_with(server, hints, code);
        ClientOptions options = client1();
        options.adjust = [](SSL* ssl) { SSL_set_max_cert_list(ssl, 200'000); };
        Pair pair{server, options};
        REQUIRE(pair.done());
        CHECK(pair.seen().certificate_requests == (count == 280 ? 1 : 0));
        CHECK(code == (count == 280 ? std::nullopt : std::optional(Errc::invalid_argument)));
      }
    }
  }
}
