// The version of these headers. CMake reads it from here.
#pragma once

#define CLIENT_TLS_VERSION_MAJOR 0
#define CLIENT_TLS_VERSION_MINOR 1
#define CLIENT_TLS_VERSION_PATCH 0
