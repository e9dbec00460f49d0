// Large data in shared memory: that it gets there, what becomes of it when something goes wrong, and what a hostile application
// can do with it.
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "pool_members.h"
#include "raw_peer.h"
#include "wire/area.h"

namespace p11shim {
namespace {

using List = CK_FUNCTION_LIST_3_0;

// How many areas a process has mapped.
std::size_t areas_of(pid_t process) {
  std::ifstream maps("/proc/" + std::to_string(process) + "/maps");
  std::size_t count = 0;
  for (std::string line; std::getline(maps, line);)
    count += line.find("memfd:p11shim-area") != std::string::npos ? 1 : 0;
  return count;
}
std::size_t own_areas() { return areas_of(::getpid()); }

Bytes digest(const TestApplication& application, CK_SESSION_HANDLE session, const Bytes& data, CK_RV* rv = nullptr) {
  CK_MECHANISM mechanism{CKM_SHA256, nullptr, 0};
  EXPECT_EQ(application->C_DigestInit(session, &mechanism), CKR_OK);
  Bytes out(64), input = data;
  CK_ULONG length = out.size();
  const CK_RV got = application->C_Digest(session, input.data(), input.size(), out.data(), &length);
  if (rv != nullptr) *rv = got;
  else EXPECT_EQ(got, CKR_OK);
  out.resize(got == CKR_OK ? length : 0);
  return out;
}

Bytes crypt(const TestApplication& application, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, const Bytes& data,
            bool decrypts) {
  CK_MECHANISM mechanism{CKM_AES_ECB, nullptr, 0};
  Bytes out(data.size()), input = data;
  CK_ULONG length = out.size();
  if (decrypts) {
    EXPECT_EQ(application->C_DecryptInit(session, &mechanism, key), CKR_OK);
    EXPECT_EQ(application->C_Decrypt(session, input.data(), input.size(), out.data(), &length), CKR_OK);
  } else {
    EXPECT_EQ(application->C_EncryptInit(session, &mechanism, key), CKR_OK);
    EXPECT_EQ(application->C_Encrypt(session, input.data(), input.size(), out.data(), &length), CKR_OK);
  }
  EXPECT_EQ(length, out.size());
  return out;
}

Bytes large(std::size_t size, CK_BYTE seed = 1) {
  Bytes data(size);
  for (std::size_t i = 0; i < size; ++i) data[i] = static_cast<CK_BYTE>(i * 31 + i / 256 + seed);
  return data;
}

class Areas : public testing::Test {
 protected:
  void SetUp() override {
    ::unsetenv("P11SHIM_SHARED_MEMORY");
    if (!SofthsmTokens::installed()) GTEST_SKIP() << "SoftHSM is not installed";
    proxyd.emplace(tokens->config("lanes = 2"));
    proxyd->start();
  }
  void open() {
    application.emplace(*proxyd);
    session = application->open();
    ASSERT_EQ(application->log_in(session, compare::kUserPin), CKR_OK);
    key = application->generate_aes(session, false, "k");
  }
  std::optional<SofthsmTokens> tokens{std::in_place};
  std::optional<PrivateProxyd> proxyd;
  std::optional<TestApplication> application;
  CK_SESSION_HANDLE session = 0;
  CK_OBJECT_HANDLE key = 0;
};

TEST_F(Areas, LargeDataIsSharedAndComesBackRight) {
  open();
  for (const std::size_t size : {16, 4096, 8192, 65536, 1 << 20, 3 << 20, 5 << 20, 4096}) {
    const Bytes plain = large(size), sealed = crypt(*application, session, key, plain, false);
    EXPECT_NE(sealed, plain);
    EXPECT_EQ(crypt(*application, session, key, sealed, true), plain) << size;
  }
  EXPECT_EQ(own_areas(), 1u);
  const std::size_t seen_by_root = ::geteuid() == 0 ? 1 : 0;  // a worker hides its memory from others
  EXPECT_EQ(areas_of(proxyd->worker_pid("user")), seen_by_root);
  EXPECT_EQ(areas_of(proxyd->pid()), 0u) << "proxyd keeps out";
  application.reset();
  EXPECT_EQ(own_areas(), 0u);
}

TEST_F(Areas, ThreadsHaveAnAreaEach) {
  open();
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i)
    threads.emplace_back([&, i] {
      const CK_SESSION_HANDLE own = application->open();
      for (int round = 0; round < 20; ++round) {
        const Bytes plain =
            large(5'000 + static_cast<std::size_t>(round) * 1'600 * 16, static_cast<CK_BYTE>(i * 20 + round));
        const Bytes padded(plain.begin(), plain.begin() + static_cast<std::ptrdiff_t>(plain.size() / 16 * 16));
        EXPECT_EQ(crypt(*application, own, key, crypt(*application, own, key, padded, false), true), padded);
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(own_areas(), 7u);
  EXPECT_GE(own_areas(), 1u);
}

TEST_F(Areas, SwitchedOffEverythingTravels) {
  ::setenv("P11SHIM_SHARED_MEMORY", "off", 1);
  open();
  for (int i = 0; i < 3; ++i) crypt(*application, session, key, large(65536), false);
  EXPECT_EQ(own_areas(), 0u);
  ::unsetenv("P11SHIM_SHARED_MEMORY");
}

TEST_F(Areas, AProxydThatWasRestartedGivesAnother) {
  open();
  const CK_OBJECT_HANDLE kept = application->generate_aes(session, true, "kept", false);
  const Bytes plain = large(65536);
  for (int i = 0; i < 3; ++i) crypt(*application, session, kept, plain, false);
  const Bytes sealed = crypt(*application, session, kept, plain, false);
  proxyd->restart();
  ASSERT_EQ(application->log_in(session, compare::kUserPin), CKR_OK);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(crypt(*application, session, kept, plain, false), sealed);
  EXPECT_EQ(own_areas(), 1u);
}

TEST_F(Areas, AWorkerThatWasRestartedIsToldOfIt) {
  open();
  const CK_OBJECT_HANDLE kept = application->generate_aes(session, true, "kept");
  const Bytes plain = large(65536);
  const Bytes sealed = crypt(*application, session, kept, plain, false);
  crypt(*application, session, kept, plain, false);
  const pid_t before = proxyd->worker_pid("user");
  proxyd->kill_worker("user");
  EXPECT_TRUE(eventually([&] { return proxyd->worker_pid("user") != before; }));
  EXPECT_EQ(crypt(*application, session, kept, plain, false), sealed);
  EXPECT_EQ(own_areas(), 1u);
}

// Several members: proxyd copies, since it may have to do it again elsewhere.
TEST(AreasOfPools, LargeDataComesBackRightAndOutlivesAMember) {
  if (!PoolMembers::installed()) GTEST_SKIP() << "SoftHSM is not installed";
  PoolMembers members(2);
  PrivateProxyd proxyd(members.config());
  proxyd.start();
  TestApplication application(proxyd);
  const CK_SESSION_HANDLE session = application.open();
  ASSERT_EQ(application.log_in(session, compare::kUserPin), CKR_OK);
  const CK_OBJECT_HANDLE key = application.one(session, CKO_SECRET_KEY, "aes");
  const Bytes plain = large(65536);
  const Bytes sealed = crypt(application, session, key, plain, false);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(crypt(application, session, key, plain, false), sealed);
  EXPECT_EQ(own_areas(), 1u);

  CK_MECHANISM mechanism{CKM_SHA256, nullptr, 0};
  const auto digest_in_parts = [&](bool one_fails) {
    Bytes part = plain, out(64);
    CK_ULONG length = out.size();
    EXPECT_EQ(application->C_DigestInit(session, &mechanism), CKR_OK);
    EXPECT_EQ(application->C_DigestUpdate(session, part.data(), part.size()), CKR_OK);
    EXPECT_EQ(application->C_DigestUpdate(session, part.data(), part.size()), CKR_OK);
    if (one_fails)
      for (std::size_t i = 0; i < 2; ++i) members.rules(i).set("C_DigestFinal rv=CKR_DEVICE_ERROR times=1");
    EXPECT_EQ(application->C_DigestFinal(session, out.data(), &length), CKR_OK);
    out.resize(length);
    return out;
  };
  const Bytes whole = digest_in_parts(false);
  EXPECT_EQ(digest_in_parts(true), whole);
}

// With the mock, which says what it was given.
class AreasOfMock : public testing::Test {
 protected:
  void SetUp() override {
    ::unsetenv("P11SHIM_SHARED_MEMORY");
    proxyd.start();
    application.emplace(proxyd);
    session = application->open();
  }
  void TearDown() override { std::ofstream{gate}; }
  MockModule mock;
  const std::filesystem::path gate = mock.file("gate");
  PrivateProxyd proxyd{mock.config("lanes = 1\nmax_stuck_lanes = 2\nsessions_rw = 4", "",
                                   "deadline = \"500ms\"\nkeygen_deadline = \"500ms\"")};
  std::optional<TestApplication> application;
  CK_SESSION_HANDLE session = 0;
};

// A call that overran its deadline goes on in the module, with memory that no later call uses.
TEST_F(AreasOfMock, ALateCallDoesNotMeetALaterOnesData) {
  const Bytes one = large(10'000, 1), two = large(10'000, 2);
  const Bytes of_two = digest(*application, session, two);
  digest(*application, session, two);
  EXPECT_EQ(own_areas(), 1u);
  mock.rules.set("C_Digest hang=" + gate.string() + " times=1");
  CK_RV rv = CKR_OK;
  digest(*application, session, one, &rv);
  EXPECT_EQ(rv, CKR_DEVICE_ERROR);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(digest(*application, session, two), of_two);
  std::ofstream{gate};
  EXPECT_TRUE(eventually([&] { return proxyd.worker("public")["stuck_lanes"] == 0; }));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(digest(*application, session, two), of_two);
  EXPECT_EQ(own_areas(), 1u);
}

class HostileArea : public AreasOfMock {
 protected:
  static Buffer reference(std::uint32_t offset, std::uint32_t size, std::uint64_t room = 64) {
    Buffer body;
    Out out(body);
    out.reference(offset, size);
    out.uint(room);
    return body;
  }
  CK_SESSION_HANDLE begin(RawPeer& peer, std::uint8_t instance) {
    EXPECT_TRUE(peer.greet(RawPeer::proper_hello(instance)));
    return peer.open_session();
  }
  static void start_digest(RawPeer& peer, CK_SESSION_HANDLE own) {
    Buffer body;
    Out out(body);
    out.array(2), out.uint(CKM_SHA256), out.nil();
    peer.send(RawPeer::request(number_of<&List::C_DigestInit>(), {own}, body.bytes(), CKM_SHA256));
    const auto answer = peer.answer();
    EXPECT_TRUE(answer && answer->rv == CKR_OK);
  }
};

TEST_F(HostileArea, ReferencesOutOfItOrIntoNoneEndTheConnection) {
  const pid_t worker = proxyd.worker_pid("public");
  constexpr auto kSize = static_cast<std::uint32_t>(Area::kSize);
  std::uint8_t instance = 20;
  for (const bool has_area : {true, false})
    for (const auto& [offset, size] :
         {std::pair{kSize, 4096u}, {0u, kSize + 1}, {UINT32_MAX, 4096u}, {1u, UINT32_MAX}, {0u, 16u}}) {
      RawPeer peer(proxyd);
      const CK_SESSION_HANDLE own = begin(peer, ++instance);
      const int memory = has_area ? peer.ask_for_area() : -1;
      EXPECT_EQ(memory >= 0, has_area);
      start_digest(peer, own);
      peer.send(RawPeer::request(number_of<&List::C_Digest>(), {own}, reference(offset, size).bytes()));
      EXPECT_TRUE(peer.closed()) << offset << ' ' << size;
      if (memory >= 0) ::close(memory);
    }
  EXPECT_EQ(proxyd.worker_pid("public"), worker);
  digest(*application, session, large(10'000));
}

TEST_F(HostileArea, OnlyDataOfOperationsIsTakenFromIt) {
  RawPeer peer(proxyd);
  const CK_SESSION_HANDLE own = begin(peer, 40);
  const int memory = peer.ask_for_area();
  ASSERT_GE(memory, 0);
  ::close(memory);
  Buffer body;
  Out(body).reference(0, 4096);
  peer.send(RawPeer::request(number_of<&List::C_SeedRandom>(), {own}, body.bytes()));
  EXPECT_TRUE(peer.closed());
}

TEST_F(HostileArea, ThereIsOneForEachConnection) {
  RawPeer peer(proxyd);
  begin(peer, 41);
  const int memory = peer.ask_for_area();
  EXPECT_GE(memory, 0);
  EXPECT_NE(::ftruncate(memory, 0), 0);
  EXPECT_LT(peer.ask_for_area(), 0);
  EXPECT_TRUE(peer.closed());
  ::close(memory);
}

// The bytes change while the module reads them: that is the sender's own loss.
TEST_F(HostileArea, BytesMayChangeAtAnyTime) {
  const pid_t worker = proxyd.worker_pid("public");
  RawPeer peer(proxyd);
  const CK_SESSION_HANDLE own = begin(peer, 42);
  const int memory = peer.ask_for_area();
  ASSERT_GE(memory, 0);
  Area area;
  ASSERT_TRUE(area.map(memory));
  ::close(memory);
  std::atomic<bool> goes_on{true};
  std::thread writer([&] {
    for (CK_BYTE value = 0; goes_on; ++value) {
      for (std::size_t i = 0; i < 300'000; i += 61) __atomic_store_n(area.bytes().data() + i, value, __ATOMIC_RELAXED);
      area.trim(value % 2 == 0 ? 0 : 8192);
    }
  });
  for (int i = 0; i < 100; ++i) {
    start_digest(peer, own);
    peer.send(RawPeer::request(number_of<&List::C_Digest>(), {own}, reference(64, 200'000, 100'000).bytes()));
    const auto answer = peer.answer();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->rv, CKR_OK);
  }
  goes_on = false;
  writer.join();
  EXPECT_EQ(proxyd.worker_pid("public"), worker);
}

}  // namespace
}  // namespace p11shim
