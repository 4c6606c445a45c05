// Bodies go through the proxy in pieces, and are never held whole.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "http.hpp"

namespace reverse_proxy {

enum class Side : std::uint8_t { source, sink };

struct Broken {
  Side side;
  ErrorCode error;
};

// Reads the body that `parser` expects from source(), and writes it to sink() as the body of `message`, whose head
// `serializer` has written; on_piece(size) is called with each piece's size once it is written. source() and sink()
// return the stream with the time limit set for the next operation. Empty when the whole body is through.
template <bool IsRequest, class Source, class Sink, class OnPiece>
Task<std::optional<Broken>> relay_body(Source source, beast::flat_buffer& buffer,
                                       http::parser<IsRequest, http::buffer_body>& parser, Sink sink,
                                       http::serializer<IsRequest, http::buffer_body>& serializer,
                                       http::message<IsRequest, http::buffer_body>& message, OnPiece on_piece) {
  std::vector<char> piece(body_piece_size);
  auto& from = parser.get().body();
  auto& to = message.body();
  while (!parser.is_done()) {
    from.data = piece.data();
    from.size = piece.size();
    const auto [read_error, parsed] = co_await http::async_read_some(source(), buffer, parser, as_result);
    if (read_error && read_error != http::error::need_buffer) co_return Broken{Side::source, read_error};
    const std::size_t size = piece.size() - from.size;
    if (size == 0) continue;  // the head of a chunk, perhaps; an empty piece would end a chunked body
    to.data = piece.data();
    to.size = size;
    to.more = true;
    const auto [write_error, written] = co_await http::async_write(sink(), serializer, as_result);
    if (write_error && write_error != http::error::need_buffer) co_return Broken{Side::sink, write_error};
    on_piece(size);
  }
  to.data = nullptr;
  to.size = 0;
  to.more = false;
  if (serializer.is_done()) co_return std::nullopt;
  const auto [error, written] = co_await http::async_write(sink(), serializer, as_result);
  if (error) co_return Broken{Side::sink, error};
  co_return std::nullopt;
}

}  // namespace reverse_proxy
