// The names that this program uses of Boost.Asio and Boost.Beast.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/stream_traits.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <cstddef>
#include <cstdint>

namespace reverse_proxy {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;
using ErrorCode = boost::system::error_code;

// To a client, and to an upstream. Either is driven by one strand: its operations never run at the same time.
using TlsStream = asio::ssl::stream<beast::tcp_stream>;
using TcpStream = beast::tcp_stream;

template <class T>
using Task = asio::awaitable<T>;

// An operation's error comes back as a value: co_await timer.async_wait(as_result) is {error}.
inline constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

// In bytes: the longest head of a request or response, and what is read at a time. Beast reads as much as its buffer
// has room for: who has one reserves it.
inline constexpr std::uint32_t max_head_size = 32 * 1024;
inline constexpr std::size_t read_size = 16UL * 1024;

}  // namespace reverse_proxy
