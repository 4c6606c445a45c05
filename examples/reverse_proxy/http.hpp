// The names that this program uses of Boost.Beast's HTTP.
#pragma once

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <cstdint>

namespace reverse_proxy {

namespace beast = boost::beast;
namespace http = boost::beast::http;

using RequestParser = http::request_parser<http::buffer_body>;
using ResponseParser = http::response_parser<http::buffer_body>;

// A message of our own is its head: its body follows in pieces (message_io.hpp).
using RequestHead = http::request<http::empty_body>;
using ResponseHead = http::response<http::empty_body>;

// The longest head of a request or response, in bytes.
inline constexpr std::uint32_t max_head_size = 32 * 1024;

}  // namespace reverse_proxy
