// What a hostile or broken peer gets: its connection is closed, and nobody else notices.
#include <array>
#include <random>

#include "application.h"
#include "configs.h"
#include "raw_peer.h"

namespace p11shim {
namespace {

using List = CK_FUNCTION_LIST_3_0;

class HostilePeer : public testing::Test {
 protected:
  MockModule mock;
  PrivateProxyd proxyd{mock.config()};
  std::optional<TestApplication> bystander;
  CK_SESSION_HANDLE session = 0;
  pid_t worker = 0;

  void SetUp() override {
    proxyd.start();
    bystander.emplace(proxyd);
    session = bystander->open();
    worker = proxyd.worker_pid("public");
    ASSERT_NE(worker, 0);
  }
  // Another application works as before, in the same worker.
  void TearDown() override {
    CK_BYTE random[16];
    EXPECT_EQ((*bystander)->C_GenerateRandom(session, random, sizeof random), CKR_OK);
    EXPECT_EQ(proxyd.worker_pid("public"), worker);
    EXPECT_TRUE(proxyd.alive());
  }
};

TEST_F(HostilePeer, HelloOfAnotherVersionIsRefusedWithAReason) {
  const auto refused = [&](Hello hello) {
    RawPeer peer(proxyd);
    const auto greeting = peer.greet(hello);
    ASSERT_TRUE(greeting);
    EXPECT_EQ(greeting->rv, CKR_DEVICE_ERROR);
    EXPECT_FALSE(greeting->reason.empty());
    EXPECT_TRUE(peer.closed());
  };
  Hello hello = RawPeer::proper_hello();
  hello.version += 1;
  refused(hello);
  hello = RawPeer::proper_hello();
  hello.fingerprint ^= 1;
  refused(hello);
  hello = RawPeer::proper_hello();
  hello.word_size = 4;
  refused(hello);
  hello = RawPeer::proper_hello(0);
  refused(hello);
}

TEST_F(HostilePeer, MalformedFirstFramesEndTheConnection) {
  std::mt19937 random(20261121);
  const std::vector<std::vector<std::uint8_t>> contents{{0xc1},    {0x99, 3}, {0x90},
                                                        {0x91, 5}, {0x91, 1}, {0xdd, 0xff, 0xff, 0xff, 0xff}};
  for (const auto& content : contents) {
    RawPeer peer(proxyd);
    peer.send(RawPeer::frame(content));
    EXPECT_TRUE(peer.closed());
  }
  for (int i = 0; i < 50; ++i) {
    std::vector<std::uint8_t> content(random() % 200 + 1);
    for (auto& byte : content) byte = static_cast<std::uint8_t>(random());
    content[0] = 0x99;
    RawPeer peer(proxyd);
    peer.send(RawPeer::frame(content));
    EXPECT_TRUE(peer.closed());
  }
}

TEST_F(HostilePeer, LengthsThatNobodyMaySendEndTheConnection) {
  for (const std::uint32_t length : {0u, 1025u, 0x7fffffffu, 0xffffffffu}) {
    RawPeer peer(proxyd);
    const std::uint8_t prefix[] = {static_cast<std::uint8_t>(length), static_cast<std::uint8_t>(length >> 8),
                                   static_cast<std::uint8_t>(length >> 16), static_cast<std::uint8_t>(length >> 24)};
    peer.send(prefix);
    EXPECT_TRUE(peer.closed()) << length;
  }
  RawPeer peer(proxyd);
  ASSERT_TRUE(peer.greet());
  peer.send(std::array<std::uint8_t, 4>{0, 0, 0, 0x10});  // 256 MiB
  EXPECT_TRUE(peer.closed());
}

TEST_F(HostilePeer, RequestBeforeHelloAndSecondHelloEndTheConnection) {
  RawPeer early(proxyd);
  early.send(RawPeer::request(number_of<&List::C_GetSlotList>(), {}));
  EXPECT_TRUE(early.closed());
  RawPeer twice(proxyd);
  ASSERT_TRUE(twice.greet());
  EXPECT_FALSE(twice.greet());
}

// Nobody occupies a connection without saying who he is; who has said so may be silent as long as he likes.
TEST_F(HostilePeer, SilenceEndsAConnectionThatHasNotSaidHello) {
  RawPeer silent(proxyd), slow(proxyd), known(proxyd);
  ASSERT_TRUE(known.greet());
  Buffer hello;
  write_hello(hello, RawPeer::proper_hello(2));
  slow.send(hello.bytes().first(hello.size() - 1));
  EXPECT_TRUE(silent.closed());
  EXPECT_TRUE(slow.closed());
  EXPECT_NE(proxyd.log().find("it does not say who it is"), std::string::npos);
  known.send(RawPeer::request(number_of<&List::C_GetSlotInfo>(), {0}));
  EXPECT_TRUE(known.answer());
}

TEST_F(HostilePeer, TheLogDoesNotGrowWithEachConnectionThatIsClosed) {
  constexpr std::size_t kConnections = 300;
  for (std::size_t i = 0; i < kConnections; ++i) {
    RawPeer peer(proxyd);
    peer.send(RawPeer::frame(std::array<std::uint8_t, 1>{0xc1}));
    ASSERT_TRUE(peer.closed());
  }
  EXPECT_TRUE(eventually([&] { return proxyd.log().find("more like this were not logged") != std::string::npos; }));
  const std::string log = proxyd.log();
  std::size_t lines = 0;
  for (std::size_t at = 0; (at = log.find("closed the connection", at)) != std::string::npos; ++at) ++lines;
  EXPECT_LT(lines, kConnections);
}

TEST_F(HostilePeer, TruncatedFrameAndGoneIsForgotten) {
  for (int i = 0; i < 20; ++i) {
    RawPeer peer(proxyd);
    ASSERT_TRUE(peer.greet());
    const Buffer request = RawPeer::request(number_of<&List::C_GetTokenInfo>(), {0});
    peer.send(request.bytes().first(request.size() / 2));
  }
  EXPECT_TRUE(eventually([&] { return proxyd.status()["applications"].size() == 1; }));
}

TEST_F(HostilePeer, NumbersThatAreNoCallsOfTheShimEndTheConnection) {
  for (const std::uint32_t call : {0u, 1u, 2u, 3u, 4u, 68u, 69u, 70u, 93u, 999u, 1000u, 1001u, 1002u, 0xffffffffu}) {
    RawPeer peer(proxyd);
    ASSERT_TRUE(peer.greet());
    peer.send(RawPeer::request(call, {0}));
    EXPECT_TRUE(peer.closed()) << call;
  }
}

TEST_F(HostilePeer, TooManyHandlesEndTheConnection) {
  RawPeer peer(proxyd);
  ASSERT_TRUE(peer.greet());
  Request request;
  request.call = number_of<&List::C_EncryptInit>();
  for (std::size_t i = 0; i <= limits::kMaxRequestHandles; ++i) request.handles.add(i);
  Buffer out;
  write_request_head(out, request);
  peer.send(out);
  EXPECT_TRUE(peer.closed());
}

TEST_F(HostilePeer, ReplayedRequestsAreAnsweredEachOnItsOwn) {
  RawPeer peer(proxyd);
  ASSERT_TRUE(peer.greet());
  const CK_SESSION_HANDLE own = peer.open_session();
  const Buffer close = RawPeer::request(number_of<&List::C_CloseSession>(), {own});
  peer.send(close);
  peer.send(close);
  EXPECT_EQ(peer.answer()->rv, CKR_OK);
  EXPECT_EQ(peer.answer()->rv, CKR_SESSION_HANDLE_INVALID);
}

// The argument of C_GenerateRandom.
Buffer buffer_to_fill(std::size_t size) {
  Buffer body;
  Out out(body);
  out.array(2);
  out.boolean(true);
  out.uint(size);
  return body;
}

// What the worker's module would take for CK_ATTRIBUTEs, with pointers of the sender's choice.
TEST_F(HostilePeer, PointersInsideOfAttributesEndTheConnection) {
  const CK_ULONG pointers[] = {CKA_LABEL, 0x4141414141414141, 64};
  Buffer in_template, in_query;
  Out create(in_template), query(in_query);
  create.array(1);
  create.array(2);
  create.uint(CKA_WRAP_TEMPLATE);
  create.bin(pointers, sizeof pointers);
  query.array(1);
  query.array(2);
  query.uint(CKA_WRAP_TEMPLATE);
  query.uint(sizeof pointers);
  for (const bool asking : {false, true}) {
    RawPeer peer(proxyd);
    ASSERT_TRUE(peer.greet());
    const CK_SESSION_HANDLE own = peer.open_session();
    peer.send(asking ? RawPeer::request(number_of<&List::C_GetAttributeValue>(), {own, 1}, in_query.bytes())
                     : RawPeer::request(number_of<&List::C_CreateObject>(), {own}, in_template.bytes()));
    const auto answer = peer.answer();
    EXPECT_TRUE(!answer || answer->rv == CKR_OBJECT_HANDLE_INVALID) << asking;
  }
}

TEST_F(HostilePeer, PipelinedRequestsAreAnsweredInOrder) {
  RawPeer peer(proxyd);
  ASSERT_TRUE(peer.greet());
  const CK_SESSION_HANDLE own = peer.open_session();
  const Buffer body = buffer_to_fill(32);
  Buffer all;
  constexpr int kMany = 300;
  for (int i = 0; i < kMany; ++i) {
    const Buffer one = i % 2 == 0 ? RawPeer::request(number_of<&List::C_GetSessionInfo>(), {own})
                                  : RawPeer::request(number_of<&List::C_GenerateRandom>(), {own}, body.bytes());
    all.append(one.data(), one.size());
  }
  peer.send(all);
  for (int i = 0; i < kMany; ++i) {
    const auto answer = peer.answer();
    ASSERT_TRUE(answer) << i;
    EXPECT_EQ(answer->rv, CKR_OK) << i;
  }
}

// Nobody reads the replies: proxyd must not collect them without end.
TEST_F(HostilePeer, RepliesThatNobodyTakesStopItsService) {
  RawPeer peer(proxyd);
  ASSERT_TRUE(peer.greet());
  const CK_SESSION_HANDLE own = peer.open_session();
  const Buffer body = buffer_to_fill(4 << 20);
  for (int i = 0; i < 64; ++i) peer.send(RawPeer::request(number_of<&List::C_GenerateRandom>(), {own}, body.bytes()));
  const auto served = [&] {
    for (const auto& application : nlohmann::json(proxyd.status()["applications"]))
      if (application["program"] == "raw peer") return application["calls"].get<std::uint64_t>();
    return std::uint64_t{0};
  };
  ASSERT_TRUE(eventually([&] { return served() >= 2; }));
  // Whoever is asked meanwhile answers: no turn of the loop was lost, and still only a reply or two were made.
  for (int i = 0; i < 50; ++i) EXPECT_LT(served(), 20u);
  for (int i = 0; i < 64; ++i) ASSERT_TRUE(peer.answer()) << i;
}

TEST_F(HostilePeer, GarbageBodiesOfEveryCallCostOnlyTheirConnection) {
  std::mt19937 random(1);
  std::size_t closed = 0;
  for (std::uint32_t call = 0; call < kCallCount; ++call) {
    const CallInfo* info = call_info(call);
    if (info == nullptr || info->policy.where == Where::shim) continue;
    for (int variant = 0; variant < 6; ++variant) {
      RawPeer peer(proxyd);
      Hello hello = RawPeer::proper_hello();
      hello.instance[0] = static_cast<std::uint8_t>(call);
      hello.instance[1] = static_cast<std::uint8_t>(variant);
      ASSERT_TRUE(peer.greet(hello));
      const CK_SESSION_HANDLE own = peer.open_session();
      ASSERT_NE(own, CK_INVALID_HANDLE) << info->name << variant;
      std::vector<std::uint8_t> body(variant == 0 ? 0 : random() % 64);
      for (auto& byte : body) byte = static_cast<std::uint8_t>(random());
      // Half of them get past proxyd's own look at the mechanism.
      std::optional<CK_MECHANISM_TYPE> mechanism;
      if (variant >= 3) {
        const std::uint8_t start[] = {0x92, 0x01};
        body.insert(body.begin(), std::begin(start), std::end(start));
        mechanism = 1;
      }
      peer.send(RawPeer::request(call, {info->policy.slot ? 0 : own}, body, mechanism));
      closed += !peer.answer();
    }
  }
  EXPECT_GT(closed, 100u);
}

TEST_F(HostilePeer, MechanismInTheHeaderMustBeTheOneInTheBody) {
  Buffer body;
  Out out(body);
  out.array(2);
  out.uint(CKM_SHA256);
  out.nil();
  RawPeer peer(proxyd);
  ASSERT_TRUE(peer.greet());
  peer.send(RawPeer::request(number_of<&List::C_DigestInit>(), {peer.open_session()}, body.bytes()));
  EXPECT_TRUE(peer.closed());
}

TEST_F(HostilePeer, InstanceOfSomebodyElseNeedsItsSecret) {
  RawPeer owner(proxyd);
  const auto first = owner.greet();
  ASSERT_TRUE(first);
  Hello hello = RawPeer::proper_hello();
  hello.secret.fill(9);
  RawPeer thief(proxyd);
  const auto refused = thief.greet(hello);
  ASSERT_TRUE(refused);
  EXPECT_NE(refused->rv, CKR_OK);
  EXPECT_TRUE(thief.closed());
  // A child that cannot prove its descent inherits nothing.
  Hello orphan = RawPeer::proper_hello(2);
  orphan.parent.fill(1);
  orphan.secret.fill(9);
  RawPeer child(proxyd);
  const auto strange = child.greet(orphan);
  ASSERT_TRUE(strange);
  EXPECT_EQ(strange->rv, CKR_OK);
  EXPECT_FALSE(strange->resumed);
  hello.secret = first->secret;
  RawPeer second(proxyd);
  const auto joined = second.greet(hello);
  ASSERT_TRUE(joined);
  EXPECT_EQ(joined->rv, CKR_OK);
  EXPECT_TRUE(joined->resumed);
}

TEST_F(HostilePeer, HandlesOfAnotherApplicationAreInvalid) {
  const CK_OBJECT_HANDLE object = bystander->create_data(session, false, "own", "value");
  RawPeer peer(proxyd);
  ASSERT_TRUE(peer.greet());
  const CK_SESSION_HANDLE own = peer.open_session();
  peer.send(RawPeer::request(number_of<&List::C_DestroyObject>(), {own, object}));
  EXPECT_EQ(peer.answer()->rv, CKR_OBJECT_HANDLE_INVALID);
  peer.send(RawPeer::request(number_of<&List::C_GetSessionInfo>(), {own + 1000}));
  EXPECT_EQ(peer.answer()->rv, CKR_SESSION_HANDLE_INVALID);
  CK_ULONG size = 0;
  EXPECT_EQ((*bystander)->C_GetObjectSize(session, object, &size), CKR_OK);
}

}  // namespace
}  // namespace p11shim
