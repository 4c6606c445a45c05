// Reads and writes HTTP messages on a stream: heads whole, bodies in pieces that are never held together.
//
// Beast parses and formats. It is not asked to read and write as well: each of those operations would be compiled anew
// for both kinds of stream.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "http.hpp"
#include "stream.hpp"

namespace reverse_proxy {

// Reads into the buffer and parses, up to the end of the head. What has been read beyond it stays in the buffer.
template <bool IsRequest>
Task<ErrorCode> read_head(Stream& stream, beast::flat_buffer& buffer, http::basic_parser<IsRequest>& parser);

// A head as it goes over the wire.
std::string text_of(const RequestHead& head);
std::string text_of(const ResponseHead& head);

// Where a body comes from, and where it goes. Each step has the time limit.
template <bool IsRequest>
struct BodySource {
  Stream& stream;
  beast::flat_buffer& buffer;  // what has been read and not yet parsed
  http::parser<IsRequest, http::buffer_body>& parser;
  std::chrono::seconds limit;
};
struct BodySink {
  Stream& stream;
  bool chunked;
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

// Reads the body and writes it, piece by piece.
template <bool IsRequest>
Task<Relayed> relay_body(BodySource<IsRequest> source, BodySink sink);

}  // namespace reverse_proxy
