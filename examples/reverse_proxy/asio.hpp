// The names that this program uses of Boost.Asio.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace reverse_proxy {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;
using ErrorCode = boost::system::error_code;

template <class T>
using Task = asio::awaitable<T>;

// An operation's error comes back as a value: co_await timer.async_wait(as_result) is {error}.
inline constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

}  // namespace reverse_proxy
