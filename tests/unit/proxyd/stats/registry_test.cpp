#include "proxyd/stats/registry.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <nlohmann/json.hpp>

namespace {
std::atomic<std::size_t> allocations{0};  // replaceable operator new forces it to be global
}

// Counting what the whole program allocates is the only proof that recording allocates nothing.
// Not inlined, or the compiler takes free() for a mistake.
[[gnu::noinline]] void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace p11shim {
namespace {

constexpr std::uint32_t kSign = 44;  // C_Sign in the call table
constexpr std::uint32_t kLogin = 19;

class RegistryTest : public testing::Test {
 protected:
  Registry registry;
  const MemberId member = registry.member("pool", "hsm1");
  const ClientId client = registry.client("uid 0 /usr/bin/nginx");

  Sample sign(CK_RV rv = CKR_OK) const {
    return {.member = member,
            .function = kSign,
            .mechanism = CKM_ECDSA,
            .client = client,
            .rv = rv,
            .times = {.queue = 1000, .hsm = 50'000, .total = 60'000}};
  }
  nlohmann::json function(const std::string& name) const {
    return registry.snapshot()["members"][0]["functions"][name];
  }
};

TEST_F(RegistryTest, CountsCallsAndFailuresByReturnCode) {
  registry.record(sign());
  registry.record(sign(CKR_DEVICE_ERROR));
  registry.record(sign(CKR_DEVICE_ERROR));
  registry.record(sign(CKR_DATA_LEN_RANGE));
  const auto stats = function("C_Sign");
  EXPECT_EQ(stats["calls"], 4);
  EXPECT_EQ(stats["failed"], 3);
  EXPECT_EQ(stats["errors"], (nlohmann::json{{"CKR_DEVICE_ERROR", 2}, {"CKR_DATA_LEN_RANGE", 1}}));
}

TEST_F(RegistryTest, KeepsTheStagesApart) {
  registry.record(sign());
  const auto stats = function("C_Sign");
  EXPECT_EQ(stats["queue"]["p50_ns"], 1000);
  EXPECT_EQ(stats["hsm"]["p50_ns"], 50'000);
  EXPECT_EQ(stats["total"]["p50_ns"], 60'000);
}

TEST_F(RegistryTest, ShowsOnlyFunctionsThatWereCalled) {
  registry.record({.member = member, .function = kLogin, .client = client});
  const auto snapshot = registry.snapshot()["members"][0];
  EXPECT_EQ(snapshot["functions"].size(), 1u);
  EXPECT_TRUE(snapshot["functions"].contains("C_Login"));
  EXPECT_TRUE(snapshot["mechanisms"].empty());
}

TEST_F(RegistryTest, KeepsMembersApart) {
  const auto other = registry.member("pool", "hsm2");
  auto sample = sign();
  registry.record(sample);
  sample.member = other;
  registry.record(sample);
  registry.record(sample);
  const auto members = registry.snapshot()["members"];
  EXPECT_EQ(members[0]["functions"]["C_Sign"]["calls"], 1);
  EXPECT_EQ(members[1]["member"], "hsm2");
  EXPECT_EQ(members[1]["functions"]["C_Sign"]["calls"], 2);
}

TEST_F(RegistryTest, GivesTheSameNamesTheSameNumbers) {
  EXPECT_EQ(registry.member("pool", "hsm1"), member);
  EXPECT_NE(registry.member("other", "hsm1"), member);
  EXPECT_EQ(registry.client("uid 0 /usr/bin/nginx"), client);
  EXPECT_NE(registry.client("uid 1 /usr/bin/nginx"), client);
}

TEST_F(RegistryTest, CountsByMechanism) {
  registry.record(sign(CKR_DEVICE_ERROR));
  auto vendor = sign();
  vendor.mechanism = CKM_VENDOR_DEFINED | 0x1234;
  registry.record(vendor);
  const auto mechanisms = registry.snapshot()["members"][0]["mechanisms"];
  EXPECT_EQ(mechanisms["CKM_ECDSA"]["failed"], 1);
  EXPECT_EQ(mechanisms["CKM_ECDSA"]["total"]["count"], 1);
  EXPECT_EQ(mechanisms.size(), 2u);
}

TEST_F(RegistryTest, CountsByClient) {
  registry.record(sign());
  registry.record(sign(CKR_DEVICE_ERROR));
  const auto clients = registry.snapshot()["clients"];
  ASSERT_EQ(clients.size(), 1u);
  EXPECT_EQ(clients[0]["client"], "uid 0 /usr/bin/nginx");
  EXPECT_EQ(clients[0]["calls"], 2);
  EXPECT_EQ(clients[0]["failed"], 1);
  EXPECT_EQ(clients[0]["total_ns"], 120'000);
}

TEST_F(RegistryTest, CountsMechanismsBeyondTheLimitTogether) {
  auto sample = sign();
  for (CK_ULONG i = 0; i < Registry::kMechanismsPerMember + 10; ++i) {
    sample.mechanism = CKM_VENDOR_DEFINED + i;
    registry.record(sample);
  }
  const auto mechanisms = registry.snapshot()["members"][0]["mechanisms"];
  EXPECT_EQ(mechanisms.size(), Registry::kMechanismsPerMember + 1);
  EXPECT_EQ(mechanisms["other"]["calls"], 10);
}

TEST_F(RegistryTest, CountsClientsBeyondTheLimitTogether) {
  for (int i = 0; i < 2000; ++i) {
    auto sample = sign();
    sample.client = registry.client("client " + std::to_string(i));
    registry.record(sample);
  }
  const auto clients = registry.snapshot()["clients"];
  EXPECT_EQ(clients.size(), Registry::kClients);
  std::uint64_t calls = 0;
  for (const auto& entry : clients) calls += entry["calls"].get<std::uint64_t>();
  EXPECT_EQ(calls, 2000u);
}

TEST_F(RegistryTest, CountsReturnCodesBeyondTheLimitTogether) {
  for (CK_RV rv = 1; rv <= ReturnCodes::kDistinct + 5; ++rv) registry.record(sign(CKR_VENDOR_DEFINED + rv));
  const auto stats = function("C_Sign");
  EXPECT_EQ(stats["failed"], ReturnCodes::kDistinct + 5);
  EXPECT_EQ(stats["errors"]["other"], 5);
}

TEST_F(RegistryTest, RawSnapshotsCarryWholeHistograms) {
  registry.record(sign());
  const auto raw = registry.snapshot(Registry::Detail::kRaw)["members"][0]["functions"]["C_Sign"]["hsm"];
  const auto histogram = Histogram::from_raw(raw);
  EXPECT_EQ(histogram.count(), 1u);
  EXPECT_EQ(histogram.percentile(50), 50'000u);
  EXPECT_FALSE(function("C_Sign")["hsm"].contains("buckets"));
}

TEST_F(RegistryTest, AllocatesNothingForWhatWasSeenBefore) {
  const auto good = sign();
  const auto bad = sign(CKR_DEVICE_ERROR);
  registry.record(good);
  registry.record(bad);
  const std::size_t before = allocations;
  for (int i = 0; i < 1000; ++i) {
    registry.record(good);
    registry.record(bad);
  }
  EXPECT_EQ(allocations, before);
}

TEST_F(RegistryTest, RefusesNumbersThatItDidNotGive) {
  auto sample = sign();
  sample.function = Registry::kFunctions;
  EXPECT_THROW(registry.record(sample), std::out_of_range);
  sample = sign();
  sample.member = MemberId(7);
  EXPECT_THROW(registry.record(sample), std::out_of_range);
}

}  // namespace
}  // namespace p11shim
