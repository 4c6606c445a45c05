// Catch2, 2.13 or 3.
#pragma once

#define CATCH_CONFIG_ENABLE_PAIR_STRINGMAKER

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
#else
#include <catch2/catch.hpp>
#endif
