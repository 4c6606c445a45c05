// What every other header begins with: the compiler that is needed, and what a shared library shows.
#pragma once

#if !defined(__cplusplus) || __cplusplus < 202002L || (defined(__clang_major__) && __clang_major__ < 14) || \
    (defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 11)
#error "client-tls needs C++20: g++ 11, clang 14 or newer, with -std=c++20 or a later standard"
#include "client_tls/stops_here"  // there is no such file: the compiler goes no further, and this is all it says
#endif

// Everything without it is hidden (-fvisibility=hidden).
#if defined(__GNUC__)
#define CLIENT_TLS_API __attribute__((visibility("default")))
#else
#define CLIENT_TLS_API
#endif
