// What one user of the machine can take from the others: turns, applications, memory. Each is bounded.
#include <csignal>

#include "application.h"
#include "configs.h"
#include "raw_peer.h"

namespace p11shim {
namespace {

using List = CK_FUNCTION_LIST_3_0;

class UserLimits : public testing::Test {
 protected:
  void start(const std::string& limits) {
    proxyd.write_config(mock.config({}, {}, limits));
    proxyd.start();
    bystander.emplace(proxyd);
    session = bystander->open();
  }
  void TearDown() override {
    CK_BYTE random[16];
    EXPECT_EQ((*bystander)->C_GenerateRandom(session, random, sizeof random), CKR_OK);
  }
  bool is_logged(const std::string& text) {
    return eventually([&] { return proxyd.log().find(text) != std::string::npos; });
  }
  // The begin of a frame of twice that size.
  static Buffer half_frame(std::size_t size) {
    Buffer half;
    const auto whole = static_cast<std::uint32_t>(2 * size);
    half.append(&whole, sizeof whole);  // little endian, as the wire is
    std::memset(half.extend(size), 0x91, size);
    return half;
  }
  std::size_t applications() { return proxyd.status()["applications"].size(); }

  MockModule mock;
  PrivateProxyd proxyd{mock.config()};
  std::optional<TestApplication> bystander;
  CK_SESSION_HANDLE session = 0;
};

TEST_F(UserLimits, WhoSendsManyRequestsAtOnceIsServedInTurns) {
  start("");
  RawPeer many(proxyd), one(proxyd);
  ASSERT_TRUE(many.greet(RawPeer::proper_hello(1)));
  ASSERT_TRUE(one.greet(RawPeer::proper_hello(2)));
  const CK_SESSION_HANDLE own = many.open_session();
  Buffer all;
  for (int i = 0; i < 200; ++i) {
    const Buffer request = RawPeer::request(number_of<&List::C_GetSessionInfo>(), {own});
    all.append(request.data(), request.size());
  }
  const std::uint8_t empty[kLengthPrefix] = {};
  all.append(empty, sizeof empty);
  proxyd.signal(SIGSTOP);  // it finds both when it goes on, the many first
  many.send(all);
  one.send(RawPeer::frame(std::array<std::uint8_t, 1>{0xc1}));
  proxyd.signal(SIGCONT);
  EXPECT_TRUE(one.closed());
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(many.answer()) << i;
  EXPECT_TRUE(many.closed());
  const std::string log = proxyd.log();
  EXPECT_LT(log.find("a frame is malformed or out of order"), log.find("a frame is empty or too long")) << log;
}

TEST_F(UserLimits, ApplicationsThatAreGoneMakeRoomForOthersOfTheirUser) {
  start("max_applications_per_user = 3\n");
  for (std::uint8_t i = 1; i <= 9; ++i) {
    RawPeer peer(proxyd);
    const auto greeting = peer.greet(RawPeer::proper_hello(i));
    ASSERT_TRUE(greeting);
    ASSERT_EQ(greeting->rv, CKR_OK) << int{i} << greeting->reason;
    EXPECT_NE(peer.open_session(), CK_INVALID_HANDLE);
    EXPECT_LE(applications(), 3u);
  }  // each goes without a goodbye, and might come back
  EXPECT_TRUE(is_logged("one that has no connection is ended"));
}

TEST_F(UserLimits, OneUserHasHalfOfAllApplications) {
  start("max_applications = 6\n");
  std::vector<std::unique_ptr<RawPeer>> peers;
  const auto join = [&](std::uint8_t i) {
    return peers.emplace_back(std::make_unique<RawPeer>(proxyd))->greet(RawPeer::proper_hello(i));
  };
  for (std::uint8_t i = 1; i <= 2; ++i) EXPECT_EQ(join(i)->rv, CKR_OK);  // the bystander is the third
  const auto refused = join(3);
  EXPECT_EQ(refused->rv, CKR_DEVICE_ERROR);
  EXPECT_NE(refused->reason.find("max_applications_per_user"), std::string::npos) << refused->reason;
  peers.clear();
  EXPECT_TRUE(eventually([&] { return join(4)->rv == CKR_OK; }));
}

TEST_F(UserLimits, HalfFramesOfOneUserDoNotFillTheMemory) {
  start("max_buffered_per_user = \"512KiB\"\n");
  std::vector<std::unique_ptr<RawPeer>> peers;
  for (std::uint8_t i = 1; i <= 3; ++i) {
    ASSERT_TRUE(peers.emplace_back(std::make_unique<RawPeer>(proxyd))->greet(RawPeer::proper_hello(i)));
    peers.back()->send(half_frame(300 << 10));
  }
  EXPECT_TRUE(is_logged("more messages under way than max_buffered_per_user allows"));
  // Small ones are taken as before: the bystander is the same user.
  EXPECT_NE(bystander->open(), CK_INVALID_HANDLE);
  peers.clear();
  EXPECT_TRUE(eventually([&] { return applications() == 1; }));
  // What they held is there for others.
  RawPeer later(proxyd);
  ASSERT_TRUE(later.greet(RawPeer::proper_hello(5)));
  std::vector<std::uint8_t> content(400 << 10, 0);
  later.send(RawPeer::frame(content));
  EXPECT_TRUE(later.closed());
  EXPECT_TRUE(is_logged("a frame is malformed or out of order"));
}

TEST_F(UserLimits, RepliesThatNobodyTakesDoNotFillTheMemory) {
  start("max_buffered_per_user = \"512KiB\"\n");
  RawPeer peer(proxyd);
  ASSERT_TRUE(peer.greet());
  const CK_SESSION_HANDLE own = peer.open_session();
  Buffer body;
  Out out(body);
  out.array(2);
  out.boolean(true);
  out.uint(16 << 20);
  peer.send(RawPeer::request(number_of<&List::C_GenerateRandom>(), {own}, body.bytes()));
  EXPECT_TRUE(is_logged("more replies waiting than max_buffered_per_user allows"));
}

TEST_F(UserLimits, AFrameThatStaysHalfEndsItsConnection) {
  start("deadline = \"300ms\"\n");
  RawPeer peer(proxyd);
  ASSERT_TRUE(peer.greet());
  peer.send(half_frame(1000));
  EXPECT_TRUE(peer.closed());
  EXPECT_TRUE(is_logged("half a frame has come, and no more"));
}

TEST_F(UserLimits, PagesOfGenerationsAreNotGivenWithoutEnd) {
  start("");
  RawPeer peer(proxyd);
  ASSERT_TRUE(peer.greet());
  Buffer question;
  write_generations_request(question);
  int given = 0;
  for (; given < 100; ++given) {
    const int page = peer.ask_for_memory(question);
    if (page < 0) break;
    ::close(page);
  }
  EXPECT_EQ(given, 16);
}

}  // namespace
}  // namespace p11shim
