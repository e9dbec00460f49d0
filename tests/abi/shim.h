// The shim as an application loads it, and what such tests share. Each test program has a private folder,
// removed at its end, and a configuration that points to a socket where nobody listens.
//
// These are CMocka tests: they see nothing but the C ABI of the built library.
#pragma once

#include <fstream>  // before cmocka.h, whose macro fail() would break it

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

extern "C" {
#include <cmocka.h>
}

#include <filesystem>
#include <functional>
#include <string>

#include "pkcs11/cryptoki.h"
#include "tests/places.h"

namespace p11shim {

inline const std::string kShimPath = build_dir() + "/lib/libpkcs11-shim.so";

struct Shim {
  void* handle = nullptr;
  CK_FUNCTION_LIST* v2 = nullptr;
  CK_FUNCTION_LIST_3_0* v3 = nullptr;

  void* symbol(const char* name) const;
};

// Fails the running test if the library cannot be loaded. It stays loaded unless the test unloads it.
Shim load_shim(const std::string& path = kShimPath);

// Fixtures of every group: the private folder and a clean environment.
int make_private_folder(void** state);
int remove_private_folder(void** state);
std::filesystem::path private_path(const std::string& name);

// Replaces the shim's configuration file: it names the dead socket, and `lines` besides.
void configure(const std::string& lines);

// Runs `body` in a child process, which then ends by exit(0), within bounded time. The child's exit status,
// or 1000 + the signal that killed it; 1 if it said expect(false). Its standard output and error go to
// private_path("output").
int in_child(const std::function<void()>& body);
void expect(bool condition, const char* what);  // for children: says what, and ends with status 1

std::size_t count_entries(const std::string& folder);  // of /proc/self/task, /proc/self/fd
std::string read_text(const std::filesystem::path& file);

template <class... Arguments>
CK_RV call_with_nothing(CK_RV (*function)(Arguments...)) {
  return function(Arguments{}...);
}

}  // namespace p11shim
