// toml++ as this project uses it, to be included by nothing but the .cpp files that must see it, and instead
// of its own header: two files of one program that disagree about these settings would break each other.
#pragma once

// The shim must not need a shared library, nor its applications an exception.
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0

// toml++ 3.3 asserts (and in release builds tells clang to assume) some things that a broken file refutes
// ("[&]"), right before code that handles them. Neither abort nor undefined behaviour may come of a file.
#pragma push_macro("NDEBUG")
#undef NDEBUG
#define TOML_ASSERT(expression) static_assert(true)
#include <toml++/toml.h>
#pragma pop_macro("NDEBUG")
