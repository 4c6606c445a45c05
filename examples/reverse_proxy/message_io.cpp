#include "message_io.hpp"

#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/http/chunk_encode.hpp>
#include <vector>

namespace reverse_proxy {
namespace {

// How much is read at a time, and how much of a body is held, in bytes.
constexpr std::size_t read_size = 16UL * 1024;
constexpr std::size_t piece_size = 64UL * 1024;

// Parses what is in the buffer, and reads more for as long as the parser can do nothing without.
template <bool IsRequest>
Task<ErrorCode> read_some(Stream& stream, beast::flat_buffer& buffer, http::basic_parser<IsRequest>& parser) {
  while (true) {
    ErrorCode error = http::error::need_more;
    if (buffer.size() > 0) buffer.consume(parser.put(buffer.data(), error));
    if (error != http::error::need_more) co_return error;
    const auto read = co_await stream.read_some(buffer.prepare(read_size));
    buffer.commit(read.size);
    if (read.error == asio::error::eof) {
      if (!parser.got_some()) co_return http::error::end_of_stream;
      error.clear();
      parser.put_eof(error);  // which may be where the message ends
      co_return error;
    }
    if (read.error) co_return read.error;
  }
}

// In one buffer, since TLS makes a record of each write.
Task<ErrorCode> write_chunk(Stream& stream, asio::const_buffer piece) {
  const std::string chunk = beast::buffers_to_string(http::make_chunk(piece));
  co_return co_await stream.write(asio::buffer(chunk));
}

Task<ErrorCode> write_last_chunk(Stream& stream) {
  co_return co_await stream.write(asio::buffer("0\r\n\r\n", 5));
}

}  // namespace

template <bool IsRequest>
Task<ErrorCode> read_head(Stream& stream, beast::flat_buffer& buffer, http::basic_parser<IsRequest>& parser) {
  ErrorCode error;
  while (!error && !parser.is_header_done()) error = co_await read_some(stream, buffer, parser);
  co_return error;
}

std::string text_of(const RequestHead& head) {
  return beast::buffers_to_string(http::fields::writer(head, head.version(), head.method()).get());
}

std::string text_of(const ResponseHead& head) {
  return beast::buffers_to_string(http::fields::writer(head, head.version(), head.result_int()).get());
}

template <bool IsRequest>
Task<Relayed> relay_body(BodySource<IsRequest> source, BodySink sink) {
  Relayed relayed;
  std::vector<char> piece(piece_size);
  auto& parsed = source.parser.get().body();
  while (!source.parser.is_done()) {
    parsed.data = piece.data();
    parsed.size = piece.size();
    ErrorCode error = co_await read_some(source.stream.within(source.limit), source.buffer, source.parser);
    if (error && error != http::error::need_buffer) {
      relayed.broken = Broken{Side::source, error};
      co_return relayed;
    }
    const std::size_t size = piece.size() - parsed.size;
    if (size == 0) continue;  // the head of a chunk, perhaps; an empty piece would end a chunked body
    const asio::const_buffer body(piece.data(), size);
    Stream& to = sink.stream.within(sink.limit);
    if (sink.chunked) {
      error = co_await write_chunk(to, body);
    } else {
      error = co_await to.write(body);
    }
    if (error) {
      relayed.broken = Broken{Side::sink, error};
      co_return relayed;
    }
    relayed.size += size;
  }
  if (sink.chunked) {
    const ErrorCode error = co_await write_last_chunk(sink.stream.within(sink.limit));
    if (error) relayed.broken = Broken{Side::sink, error};
  }
  co_return relayed;
}

template Task<ErrorCode> read_head(Stream&, beast::flat_buffer&, http::basic_parser<true>&);
template Task<ErrorCode> read_head(Stream&, beast::flat_buffer&, http::basic_parser<false>&);
template Task<Relayed> relay_body(BodySource<true>, BodySink);
template Task<Relayed> relay_body(BodySource<false>, BodySink);

}  // namespace reverse_proxy
