// Passes a message's body from one connection on to the other in pieces, which are never held together.
#pragma once

#include <boost/beast/http/error.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/serializer.hpp>
#include <boost/beast/http/write.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "net.hpp"

namespace reverse_proxy {

// How much of a body is held, in bytes.
inline constexpr std::size_t piece_size = 64UL * 1024;

// A message that has come; its body may be still to be read.
template <bool IsRequest>
using Incoming = http::parser<IsRequest, http::buffer_body>;

// A message that is sent: its head, then its body in pieces.
template <bool IsRequest>
struct Outgoing {
  using Message = http::message<IsRequest, http::buffer_body>;

  explicit Outgoing(Message its_message = {}) : message(std::move(its_message)) {}
  Outgoing(const Outgoing&) = delete;
  Outgoing& operator=(const Outgoing&) = delete;
  ~Outgoing() = default;

  Message message;
  http::serializer<IsRequest, http::buffer_body> serializer{message};
};

// Where a body comes from, and where it goes. Each step has the time limit.
template <class Stream, bool IsRequest>
struct BodySource {
  Stream& stream;
  beast::flat_buffer& buffer;  // what has been read and not yet parsed
  Incoming<IsRequest>& message;
  std::chrono::seconds limit;
};
template <class Stream, bool IsRequest>
struct BodySink {
  Stream& stream;
  Outgoing<IsRequest>& message;
  std::chrono::seconds limit;
};

enum class Side : std::uint8_t { source, sink };

struct Broken {
  Side side;
  ErrorCode error;
};

struct Relayed {
  std::uint64_t size = 0;        // of the body that has been written
  std::optional<Broken> broken;  // empty when the whole body is through
};

// Beast's parser and serializer say "need_buffer" when a piece is used up.
inline bool is_failure(const ErrorCode& error) {
  return error && error != http::error::need_buffer;
}

// Reads the body and writes it, piece by piece, each as soon as it has come.
template <class From, class To, bool IsRequest>
Task<Relayed> relay_body(BodySource<From, IsRequest> source, BodySink<To, IsRequest> sink) {
  Relayed relayed;
  std::vector<char> piece(piece_size);
  while (!source.message.is_done()) {
    auto& read = source.message.get().body();
    read = {.data = piece.data(), .size = piece.size(), .more = true};
    beast::get_lowest_layer(source.stream).expires_after(source.limit);
    const auto [read_error, parsed] =
        co_await http::async_read_some(source.stream, source.buffer, source.message, as_result);
    if (is_failure(read_error)) {
      relayed.broken = {Side::source, read_error};
      break;
    }
    const std::size_t size = piece.size() - read.size;
    const bool more = !source.message.is_done();
    if (size == 0 && more) continue;  // the head of a chunk, perhaps; an empty piece would end a chunked body
    sink.message.message.body() = {.data = size > 0 ? piece.data() : nullptr, .size = size, .more = more};
    beast::get_lowest_layer(sink.stream).expires_after(sink.limit);
    const auto [write_error, written] = co_await http::async_write(sink.stream, sink.message.serializer, as_result);
    if (is_failure(write_error)) {
      relayed.broken = {Side::sink, write_error};
      break;
    }
    relayed.size += size;
  }
  co_return relayed;
}

}  // namespace reverse_proxy
