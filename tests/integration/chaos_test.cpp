// Applications over TCP while the network is slow, takes messages apart or breaks connections: results stay right, errors are
// honest, and when it is over everything is as before.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "application.h"
#include "configs.h"
#include "tests/relay/relay.h"

namespace p11shim {
namespace {

using std::chrono::microseconds;

std::string tcp_endpoint(const PrivateProxyd& proxyd) {
  const nlohmann::json endpoints = proxyd.status()["endpoints"];
  for (const auto& endpoint : endpoints)
    if (endpoint.get<std::string>().starts_with("tcp:")) return endpoint;
  return {};
}

class Chaos : public testing::Test {
 protected:
  void SetUp() override {
    proxyd.start();
    local.emplace(proxyd);
    local_session = local->open();
    relay.emplace(tcp_endpoint(proxyd), Weather{});
    remote.emplace(relay->endpoint());
  }
  // The mock stamps its result with what it was given.
  static CK_RV digest(const TestApplication& application, CK_SESSION_HANDLE session, std::size_t size, Bytes& out) {
    CK_MECHANISM mechanism{CKM_SHA256, nullptr, 0};
    if (const CK_RV rv = application->C_DigestInit(session, &mechanism); rv != CKR_OK) return rv;
    Bytes data(size);
    for (std::size_t i = 0; i < size; ++i) data[i] = static_cast<CK_BYTE>(i * 13 + size);
    out.assign(64, 0);
    CK_ULONG length = out.size();
    const CK_RV rv = application->C_Digest(session, data.data(), data.size(), out.data(), &length);
    out.resize(rv == CKR_OK ? length : 0);
    return rv;
  }
  Bytes right_answer(std::size_t size) const {
    Bytes out;
    EXPECT_EQ(digest(*local, local_session, size, out), CKR_OK);
    return out;
  }
  void expect_right(CK_SESSION_HANDLE session, std::size_t size) const {
    Bytes out;
    EXPECT_EQ(digest(*remote, session, size, out), CKR_OK) << size;
    EXPECT_EQ(out, right_answer(size)) << size;
  }

  MockModule mock;
  PrivateProxyd proxyd{"listen.tcp = \"127.0.0.1:0\"\n" + mock.config()};
  std::optional<TestApplication> local;
  CK_SESSION_HANDLE local_session = 0;
  std::optional<Relay> relay;
  std::optional<TestApplication> remote;
};

TEST_F(Chaos, DelayAndJitterChangeNothing) {
  relay->change({.latency = microseconds(1000), .jitter = microseconds(2000)});
  const CK_SESSION_HANDLE session = remote->open();
  for (const std::size_t size : {0, 1, 100, 5'000, 200'000}) expect_right(session, size);
}

TEST_F(Chaos, MessagesMayArriveInTheSmallestPieces) {
  relay->change({.largest_write = 1});
  const CK_SESSION_HANDLE session = remote->open();
  for (const std::size_t size : {1, 100, 3'000}) expect_right(session, size);
  relay->change({.jitter = microseconds(50), .largest_write = 1'000});
  for (const std::size_t size : {5'000, 100'000}) expect_right(session, size);
}

TEST_F(Chaos, ANarrowLineIsOnlySlow) {
  relay->change({.bytes_per_second = 2'000'000});
  const CK_SESSION_HANDLE session = remote->open();
  for (const std::size_t size : {10, 100'000, 300'000}) expect_right(session, size);
}

// Each call is answered rightly or with an error that says so. Afterwards everything works, for this application and for others.
TEST_F(Chaos, ConnectionsThatBreakCostWhatWasUnderWay) {
  constexpr int kThreads = 4, kCalls = 100;
  std::vector<CK_SESSION_HANDLE> sessions;
  for (int i = 0; i < kThreads; ++i) sessions.push_back(remote->open());
  const Bytes expected = right_answer(700);
  relay->change({.jitter = microseconds(200), .largest_write = 400, .resets_per_thousand = 20});
  std::atomic<int> good = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i)
    threads.emplace_back([&, i] {
      for (int call = 0; call < kCalls; ++call) {
        Bytes out;
        const CK_RV rv = digest(*remote, sessions[static_cast<std::size_t>(i)], 700, out);
        if (rv == CKR_OK) {
          EXPECT_EQ(out, expected);
          ++good;
        } else {
          EXPECT_TRUE(rv == CKR_DEVICE_ERROR || rv == CKR_OPERATION_ACTIVE || rv == CKR_OPERATION_NOT_INITIALIZED)
              << rv;
        }
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(relay->resets(), 0u);
  EXPECT_GT(good, 0);
  relay->change({});
  CK_BYTE random[8];
  EXPECT_TRUE(eventually([&] { return (*remote)->C_GenerateRandom(sessions[0], random, sizeof random) == CKR_OK; }));
  const CK_SESSION_HANDLE fresh = remote->open();
  for (int i = 0; i < 20; ++i) expect_right(fresh, 700);
  EXPECT_TRUE(proxyd.alive());
}

}  // namespace
}  // namespace p11shim
