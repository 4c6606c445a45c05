// The two kinds of connection, to a client over TLS and to an upstream over TCP, as one: HTTP is written once for both.
//
// Asio's operations are templates over the stream and over what comes after them, and slow to compile. All of them on
// connections are in stream.cpp; the rest of the program awaits these functions.
#pragma once

#include <openssl/ssl.h>

#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <chrono>
#include <cstddef>

#include "asio.hpp"

namespace reverse_proxy {

struct Transfer {
  ErrorCode error;
  std::size_t size = 0;
};

// A stream is driven by one strand: its operations never run at the same time.
class Stream {
 public:
  Stream() = default;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  virtual ~Stream() = default;

  // The stream, with a time limit for what comes next on it. When it passes the socket is closed, and the operation
  // ends with beast::error::timeout.
  Stream& within(std::chrono::seconds limit) {
    tcp().expires_after(limit);
    return *this;
  }

  // At least one byte, or an error.
  virtual Task<Transfer> read_some(asio::mutable_buffer buffer) = 0;
  virtual Task<Transfer> write_some(asio::const_buffer buffer) = 0;

  // All of it, or an error.
  Task<ErrorCode> write(asio::const_buffer buffer);

  // Says that nothing more will be sent, then reads what still comes and drops it, up to the end.
  Task<void> drain();

  virtual boost::beast::tcp_stream& tcp() = 0;
};

class TcpStream final : public Stream {
 public:
  explicit TcpStream(asio::any_io_executor executor);

  Task<ErrorCode> connect(const tcp::endpoint& endpoint);
  Task<Transfer> read_some(asio::mutable_buffer buffer) override;
  Task<Transfer> write_some(asio::const_buffer buffer) override;
  boost::beast::tcp_stream& tcp() override { return stream_; }

 private:
  boost::beast::tcp_stream stream_;
};

// The server's side of TLS.
class TlsStream final : public Stream {
 public:
  TlsStream(tcp::socket socket, asio::ssl::context& context);

  Task<ErrorCode> handshake();
  Task<ErrorCode> shutdown();  // sends close_notify and waits for the client's
  Task<Transfer> read_some(asio::mutable_buffer buffer) override;
  Task<Transfer> write_some(asio::const_buffer buffer) override;
  boost::beast::tcp_stream& tcp() override { return stream_.next_layer(); }
  SSL* ssl() { return stream_.native_handle(); }

 private:
  asio::ssl::stream<boost::beast::tcp_stream> stream_;
};

}  // namespace reverse_proxy
