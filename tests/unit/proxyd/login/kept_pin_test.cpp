#include "proxyd/login/kept_pin.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "wire/in.h"

namespace p11shim {
namespace {

std::span<const std::uint8_t> bytes(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

TEST(KeptPin, MatchesTheSamePinOnly) {
  KeptPin pin;
  EXPECT_FALSE(pin.matches(bytes("")));
  ASSERT_TRUE(pin.keep(bytes("1234"), 7));
  EXPECT_TRUE(pin.present());
  EXPECT_EQ(pin.kept_since_ms(), 7u);
  EXPECT_TRUE(pin.matches(bytes("1234")));
  for (const char* other : {"", "123", "12345", "1235", "4321"}) EXPECT_FALSE(pin.matches(bytes(other))) << other;
  EXPECT_FALSE(pin.matches(bytes(std::string("1234\0", 5))));
}

TEST(KeptPin, ReplacesAndForgets) {
  KeptPin pin;
  ASSERT_TRUE(pin.keep(bytes("old"), 1));
  ASSERT_TRUE(pin.keep(bytes("new"), 2));
  EXPECT_FALSE(pin.matches(bytes("old")));
  EXPECT_TRUE(pin.matches(bytes("new")));
  pin.wipe_and_release();
  EXPECT_FALSE(pin.present());
  EXPECT_FALSE(pin.matches(bytes("new")));
  EXPECT_FALSE(pin.matches(bytes("")));
}

TEST(KeptPin, EmptyPinIsAPin) {
  KeptPin pin;
  ASSERT_TRUE(pin.keep({}, 1));
  EXPECT_TRUE(pin.present());
  EXPECT_TRUE(pin.matches({}));
  EXPECT_FALSE(pin.matches(bytes(std::string(1, '\0'))));
}

TEST(KeptPin, OneThatDoesNotFitIsNotKept) {
  KeptPin pin;
  ASSERT_TRUE(pin.keep(bytes("1234"), 1));
  EXPECT_FALSE(pin.keep(bytes(std::string(1 << 20, '1')), 2));
  EXPECT_FALSE(pin.present());  // not the old one either
}

TEST(KeptPin, IsHandedOnAsAnArgument) {
  KeptPin pin;
  ASSERT_TRUE(pin.keep(bytes("1234"), 1));
  Buffer body;
  pin.hand_to(body);
  In in(body.bytes());
  const auto argument = in.bin();
  EXPECT_TRUE(in.done());
  EXPECT_EQ(std::string(argument.begin(), argument.end()), "1234");
}

// A sanitizer's runtime makes mlock do nothing.
#ifdef P11SHIM_SANITIZED
constexpr bool kLocks = false;
#else
constexpr bool kLocks = true;
#endif

// Locked, left out of dumps, not passed to children: as the kernel lists this process's memory.
TEST(KeptPin, LivesInGuardedMemory) {
  if (!kLocks) GTEST_SKIP() << "mlock does nothing here";
  const auto guarded = [] {
    std::ifstream maps("/proc/self/smaps");
    std::size_t count = 0;
    for (std::string line; std::getline(maps, line);)
      count += line.starts_with("VmFlags:") && line.find(" lo") != std::string::npos &&
               line.find(" dd") != std::string::npos && line.find(" dc") != std::string::npos;
    return count;
  };
  const std::size_t before = guarded();
  KeptPin pin;
  ASSERT_TRUE(pin.keep(bytes("1234"), 1));
  EXPECT_EQ(guarded(), before + 1);
  pin.wipe_and_release();
  EXPECT_EQ(guarded(), before);
}

TEST(KeptPin, NothingIsKeptWhereNothingCanBeLocked) {
  if (!kLocks) GTEST_SKIP() << "mlock does nothing here";
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_MEMLOCK, &none);
    if (::geteuid() == 0 && ::setuid(65534) != 0) ::_exit(2);  // root may lock all the same
    KeptPin pin;
    const bool kept = pin.keep(bytes("1234"), 1);
    ::_exit(!kept && !pin.present() ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace p11shim
