// Names, in the one form in which they are compared.
#include "client_tls/server_name.hpp"

#include <string>

#include "support/catch.hpp"

using client_tls::Errc;
using client_tls::ServerName;

TEST_CASE("server_name: a name has one canonical form") {
  struct Case {
    std::string text;
    std::string canonical;
  };
  const Case cases[] = {
      {"a.test", "a.test"},
      {"A.TeSt", "a.test"},
      {"a.test.", "a.test"},
      {"localhost", "localhost"},
      {"_service.a-b.test", "_service.a-b.test"},
      {"XN--BCHER-KVA.test", "xn--bcher-kva.test"},
      {"1.2.3.example", "1.2.3.example"},
      {"1e1", "1e1"},
      {std::string(255, 'N'), std::string(255, 'n')},
      {std::string(254, 'n') + ".", std::string(254, 'n')},
  };
  for (const Case& one : cases) {
    CAPTURE(one.text);
    const auto name = ServerName::parse(one.text);
    REQUIRE(name);
    CHECK(name->view() == one.canonical);
    CHECK(*name == *ServerName::parse(one.canonical));
  }
  CHECK(ServerName{}.empty());
  CHECK(ServerName{} != *ServerName::parse("a.test"));
}

TEST_CASE("server_name: what is no host name is refused, with the reason") {
  struct Case {
    std::string text;
    std::string_view message;
  };
  const std::string_view byte = "the server name has a byte in it that no host name has";
  const std::string_view label = "the server name has an empty label";
  const std::string_view address = "the server name is an IP address, or ends like one";
  const Case cases[] = {
      {"", "the server name is empty"},
      {std::string(256, 'n'), "the server name is longer than 255 bytes"},
      {std::string(100'000, 'n'), "the server name is longer than 255 bytes"},
      {std::string("a\0.test", 7), byte},
      {"a b.test", byte},
      {"a\r\n.test", byte},
      {"*.test", byte},
      {"b\xC3\xBC"
       "cher.test",
       byte},
      {"a.test:443", byte},
      {"[::1]", byte},
      {"::1", byte},
      {".", label},
      {"..", label},
      {".a.test", label},
      {"a..test", label},
      {"a.test..", label},
      {"127.0.0.1", address},
      {"127.0.0.1.", address},
      {"127.1", address},
      {"2130706433", address},
      {"a.test.1", address},
  };
  for (const Case& one : cases) {
    CAPTURE(one.text.substr(0, 300));
    const auto name = ServerName::parse(one.text);
    REQUIRE_FALSE(name);
    CHECK(name.error().code == Errc::invalid_argument);
    CHECK(name.error().message == one.message);
  }
}
