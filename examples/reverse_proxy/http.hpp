// The names that this program uses of Boost.Asio and Boost.Beast.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>

namespace reverse_proxy {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;
using ErrorCode = boost::system::error_code;

template <class T>
using Task = asio::awaitable<T>;

// An operation's error comes back as a value: co_await stream.async_read_some(buffer, as_result) is {error, size}.
inline constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

// Every connection is driven by one strand: its handlers never run at the same time.
using TcpStream = beast::tcp_stream;
using TlsStream = beast::ssl_stream<TcpStream>;

using RequestParser = http::request_parser<http::buffer_body>;
using ResponseParser = http::response_parser<http::buffer_body>;

// The longest head of a request or response, and how much of a body is held at a time, in bytes.
inline constexpr std::uint32_t max_head_size = 32 * 1024;
inline constexpr std::size_t body_piece_size = 64 * 1024;

}  // namespace reverse_proxy
