// What a shared library shows: everything else is hidden (-fvisibility=hidden).
#pragma once

#if defined(__GNUC__)
#define CLIENT_TLS_API __attribute__((visibility("default")))
#else
#define CLIENT_TLS_API
#endif
