#include "message_io.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/http/chunk_encode.hpp>
#include <boost/beast/http/error.hpp>
#include <span>
#include <string_view>
#include <vector>

namespace reverse_proxy {
namespace {

// How much is read at a time, and how much of a body is held, in bytes.
constexpr std::size_t read_size = 16UL * 1024;
constexpr std::size_t piece_size = 64UL * 1024;

constexpr std::string_view last_chunk = "0\r\n\r\n";

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

// As much of the body as there is at once, which may be nothing: the head of a chunk, perhaps.
template <bool IsRequest>
Task<Transfer> read_piece(const BodySource<IsRequest>& source, std::span<char> piece) {
  auto& body = source.parser.get().body();
  body.data = piece.data();
  body.size = piece.size();
  const ErrorCode error = co_await read_some(source.stream.within(source.limit), source.buffer, source.parser);
  const bool is_full = error == http::error::need_buffer;
  co_return Transfer{is_full ? ErrorCode{} : error, piece.size() - body.size};
}

Task<ErrorCode> write_piece(const BodySink& sink, asio::const_buffer piece) {
  Stream& stream = sink.stream.within(sink.limit);
  if (!sink.chunked) co_return co_await stream.write(piece);
  // In one buffer, since TLS makes a record of each write.
  const std::string chunk = beast::buffers_to_string(http::make_chunk(piece));
  co_return co_await stream.write(asio::buffer(chunk));
}

Task<ErrorCode> write_end(const BodySink& sink) {
  if (!sink.chunked) co_return ErrorCode{};
  co_return co_await sink.stream.within(sink.limit).write(asio::buffer(last_chunk));
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
  std::uint64_t written = 0;
  std::vector<char> piece(piece_size);
  while (!source.parser.is_done()) {
    const auto [read_error, size] = co_await read_piece(source, piece);
    if (read_error) co_return Relayed{written, Broken{Side::source, read_error}};
    if (size == 0) continue;  // an empty piece would end a chunked body
    const ErrorCode error = co_await write_piece(sink, asio::buffer(piece.data(), size));
    if (error) co_return Relayed{written, Broken{Side::sink, error}};
    written += size;
  }
  const ErrorCode error = co_await write_end(sink);
  if (error) co_return Relayed{written, Broken{Side::sink, error}};
  co_return Relayed{written, std::nullopt};
}

template Task<ErrorCode> read_head(Stream&, beast::flat_buffer&, http::basic_parser<true>&);
template Task<ErrorCode> read_head(Stream&, beast::flat_buffer&, http::basic_parser<false>&);
template Task<Relayed> relay_body(BodySource<true>, BodySink);
template Task<Relayed> relay_body(BodySource<false>, BodySink);

}  // namespace reverse_proxy
