// Result: a value or an error, the same type in every dialect of C++.
#include "client_tls/result.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "result_dialect.hpp"
#include "support/catch.hpp"

namespace {

using client_tls::Errc;
using client_tls::Error;
using client_tls::Result;

constexpr Error error{.code = Errc::malformed, .message = "it is malformed", .openssl_reason = 7};

// Whether it ends the program, tried in a process of its own.
template <class Function>
bool aborts(Function function) {
  const pid_t child = fork();
  if (child == 0) {
    std::signal(SIGABRT, SIG_DFL);  // the test framework reports it
    function();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

Result<std::string> fails() {
  return error;
}

// An error is handed on as it is, whatever the value would have been.
Result<std::vector<int>> hands_on() {
  const auto text = fails();
  if (!text) return text.error();
  return std::vector<int>(text->size());
}

struct MoveOnly {
  explicit MoveOnly(int n) : number(std::make_unique<int>(n)) {}
  std::unique_ptr<int> number;
};

Result<MoveOnly> makes_move_only() {
  MoveOnly made{3};
  return made;
}

}  // namespace

TEST_CASE("result: a value is had through * and ->, and there is no error") {
  Result<std::string> result = std::string("text");
  REQUIRE(result);
  CHECK(result.has_value());
  CHECK(*result == "text");
  CHECK(result->size() == 4);
  *result += "s";
  CHECK(std::as_const(result)->size() == 5);
  CHECK(*std::move(result) == "texts");
}

TEST_CASE("result: an error converts to any result, and is had as it was made") {
  const auto result = hands_on();
  CHECK_FALSE(result);
  CHECK_FALSE(result.has_value());
  CHECK(result.error() == error);
}

TEST_CASE("result: value_or has the value, or what is given in its place") {
  CHECK(Result<std::string>("text").value_or("other") == "text");
  CHECK(fails().value_or("other") == "other");
  const Result<std::string> kept = std::string("text");
  CHECK(kept.value_or("other") == "text");
  CHECK(*kept == "text");
}

TEST_CASE("result: a value that can only be moved is moved in and out") {
  auto result = makes_move_only();
  REQUIRE(result);
  const MoveOnly out = *std::move(result);
  CHECK(*out.number == 3);
  CHECK_FALSE(std::is_copy_constructible_v<Result<MoveOnly>>);
  CHECK(std::is_nothrow_move_constructible_v<Result<MoveOnly>>);
}

TEST_CASE("result: the value may be an optional, which is there and empty") {
  const Result<std::optional<std::string_view>> none = std::nullopt;
  REQUIRE(none);
  CHECK_FALSE(*none);
  const Result<std::optional<std::string_view>> some = std::string_view("text");
  REQUIRE(some);
  CHECK(*some == "text");
}

TEST_CASE("result: without a value it is success, or an error") {
  const Result<void> success;
  CHECK(success);
  const Result<void> failure = error;
  CHECK_FALSE(failure);
  CHECK(failure.error() == error);
  CHECK(success != failure);
  CHECK(success == Result<void>{});
}

TEST_CASE("result: equal with equal values or equal errors") {
  CHECK(Result<int>(1) == Result<int>(1));
  CHECK(Result<int>(1) != Result<int>(2));
  CHECK(Result<int>(1) != Result<int>(error));
  CHECK(Result<int>(error) == Result<int>(error));
}

TEST_CASE("result: asking for what is not there ends the program, and is never something else") {
  CHECK(aborts([] { (void)*fails(); }));
  CHECK(aborts([] { (void)fails()->size(); }));
  CHECK(aborts([] { (void)Result<int>(1).error(); }));
  CHECK(aborts([] { (void)Result<void>().error(); }));
  CHECK_FALSE(aborts([] { (void)fails().error(); }));
}

TEST_CASE("result: it passes between files of C++20 and C++23, with exceptions and without") {
  const auto text = dialect::make("text");
  REQUIRE(text);
  CHECK(*text == "text");
  CHECK(dialect::make("").error() == error);
  CHECK(dialect::size(Result<std::string>("text")) == 4);
  CHECK(dialect::size(error) == 0);
  CHECK(dialect::succeeds(Result<void>{}));
  CHECK_FALSE(dialect::succeeds(error));
  CHECK(dialect::standard() > __cplusplus);
}
