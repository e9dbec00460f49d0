// What the built library asks of its guest process: names, libraries, versions, constructors.
#include <cstdio>
#include <cstdlib>

#include "elf_image.h"
#include "shim.h"

#define CK_PKCS11_3_0 1

namespace p11shim {
namespace {

// The ABI floor: Debian 12 has glibc 2.36. docs/shim.md states the exact figure.
constexpr int kHighestGlibcMinor = 35;

const ElfImage& image() {
  static const ElfImage read = read_elf(kShimPath);
  return read;
}

void exports_the_functions_of_the_standard_and_nothing_else(void**) {
  std::set<std::string> expected;
#define CK_PKCS11_FUNCTION_INFO(name) expected.insert(#name);
#include <pkcs11f.h>
#undef CK_PKCS11_FUNCTION_INFO
  for (const std::string& name : image().exported) {
    if (!expected.contains(name)) fail_msg("exported besides: %s", name.c_str());
  }
  for (const std::string& name : expected) {
    if (!image().exported.contains(name)) fail_msg("not exported: %s", name.c_str());
  }
}

void needs_the_c_library_and_nothing_else(void**) {
  for (const std::string& name : image().needed) {
    if (!name.starts_with("libc.so.") && !name.starts_with("ld-linux")) fail_msg("needs %s", name.c_str());
  }
}

// GLIBC_2.N or GLIBC_2.N.M. Anything else (GLIBC_ABI_DT_RELR, GLIBC_PRIVATE) is of a glibc that nobody promised.
bool is_promised(const std::string& version) {
  int minor = 0;
  int patch = 0;
  int used = 0;
  const int size = static_cast<int>(version.size());
  const bool is_plain = std::sscanf(version.c_str(), "GLIBC_2.%d%n", &minor, &used) == 1 && used == size;
  const bool is_patch = std::sscanf(version.c_str(), "GLIBC_2.%d.%d%n", &minor, &patch, &used) == 2 && used == size;
  return (is_plain || is_patch) && minor <= kHighestGlibcMinor;
}

void runs_on_the_glibc_that_is_promised(void**) {
  for (const std::string& version : image().versions) {
    if (!is_promised(version)) fail_msg("needs %s", version.c_str());
  }
  assert_true(is_promised("GLIBC_2.35"));
  assert_true(is_promised("GLIBC_2.2.5"));
  for (const char* version : {"GLIBC_2.36", "GLIBC_ABI_DT_RELR", "GLIBC_PRIVATE", "GLIBC_3.0", "GCC_3.0"})
    assert_false(is_promised(version));
}

// The runtime library that is linked statically has a few of its own (locales, the exception pool).
void constructs_nothing_of_ours_when_loaded(void**) {
  if (!image().has_symbol_table) skip();
  constexpr std::size_t kFrameSetup = 1;
  assert_int_equal(image().init_entries, image().constructors.size() + kFrameSetup);
  for (const std::string& name : image().constructors) {
    const bool is_runtime = name.ends_with(".cc");  // our sources end in .cpp, libstdc++'s in .cc
    if (!is_runtime) fail_msg("runs when loaded: %s", name.c_str());
  }
}

void is_hardened(void**) {
  assert_false(image().has_text_relocations);
  assert_false(image().has_executable_stack);
  assert_true(image().binds_at_load);
}

}  // namespace
}  // namespace p11shim

int main() {
  using namespace p11shim;
  const char* sanitize = std::getenv("P11TEST_SANITIZE");
  if (sanitize != nullptr && std::string(sanitize) != "none") return 77;  // that library is not the one we ship
  const CMUnitTest tests[] = {
      cmocka_unit_test(exports_the_functions_of_the_standard_and_nothing_else),
      cmocka_unit_test(needs_the_c_library_and_nothing_else),
      cmocka_unit_test(runs_on_the_glibc_that_is_promised),
      cmocka_unit_test(constructs_nothing_of_ours_when_loaded),
      cmocka_unit_test(is_hardened),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
