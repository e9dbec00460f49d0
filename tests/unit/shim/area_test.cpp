// Shared memory for large data: used when proxyd gives some that fits, done without when not, and no reply leads out of it.
#include <sys/mman.h>
#include <unistd.h>

#include "shim_test.h"
#include "wire/area.h"

namespace p11shim {
namespace {

constexpr CK_ULONG kSize = 20'000;

class SharedArea : public ShimTest {
 protected:
  void SetUp() override {
    ShimTest::SetUp();
    memory_ = Area::create();
    ASSERT_TRUE(theirs_.map(memory_));
    // Says which kind of argument came and gives what the test wants given.
    proxyd_.on(number_of<&F::C_Encrypt>(), [this](const Request& request) {
      const std::lock_guard lock(mutex_);
      In in(request.body);
      Bulk bulk;
      bulk.attach(theirs_.bytes());
      by_reference_ = in.peek() == 0xd7;
      const auto bytes = bulk.bytes(in, limits::kMaxBulk);
      received_.assign(bytes.begin(), bytes.end());
      FakeProxyd::Answer answer;
      answer.body = reply_;
      return answer;
    });
  }
  void TearDown() override {
    ShimTest::TearDown();
    proxyd_.stop();
    ::close(memory_);
  }

  void reply_with(const Buffer& body) {
    const std::lock_guard lock(mutex_);
    reply_.assign(body.data(), body.data() + body.size());
  }
  static Buffer reference(std::uint32_t offset, std::uint32_t size) {
    Buffer body;
    Out out(body);
    out.uint(size), out.reference(offset, size);
    return body;
  }
  static Buffer whole(std::size_t size) {
    Buffer body;
    Out out(body);
    const std::vector<std::uint8_t> bytes(size, 0x33);
    out.uint(size), out.bin(bytes);
    return body;
  }
  CK_RV encrypt(CK_BYTE value = 0x11) {
    std::vector<CK_BYTE> in(kSize, value);
    out_.assign(kSize, 0);
    CK_ULONG size = out_.size();
    return C_Encrypt(session_, in.data(), in.size(), out_.data(), &size);
  }
  // After it, the connection has an area if it can have one.
  void first_call() {
    ASSERT_EQ(C_Initialize(nullptr), CKR_OK);
    session_ = open_session();
    reply_with(whole(kSize));
    EXPECT_EQ(encrypt(), CKR_OK);
    EXPECT_FALSE(by_reference_);
  }

  int memory_ = -1;
  Area theirs_;
  CK_SESSION_HANDLE session_ = 0;
  std::vector<CK_BYTE> out_;
  std::mutex mutex_;  // guards what follows
  std::vector<std::uint8_t> reply_, received_;
  bool by_reference_ = false;
};

TEST_F(SharedArea, CarriesLargeDataInBothDirections) {
  proxyd_.give_area(memory_);
  first_call();
  std::fill_n(theirs_.bytes().data() + 32'768, kSize, 0x44);
  reply_with(reference(32'768, kSize));
  EXPECT_EQ(encrypt(0x22), CKR_OK);
  EXPECT_TRUE(by_reference_);
  EXPECT_EQ(received_, std::vector<std::uint8_t>(kSize, 0x22));
  EXPECT_EQ(out_, std::vector<CK_BYTE>(kSize, 0x44));
  EXPECT_EQ(theirs_.bytes()[0], 0) << "plain text is wiped";
  reply_with(whole(kSize));
  EXPECT_EQ(encrypt(), CKR_OK) << "a result may travel all the same";
  EXPECT_EQ(out_, std::vector<CK_BYTE>(kSize, 0x33));
}

TEST_F(SharedArea, ReferencesOutOfItAreRefused) {
  proxyd_.give_area(memory_);
  first_call();
  for (const auto& [offset, size] :
       {std::pair<std::uint32_t, std::uint32_t>{Area::kSize - 4096, 8192}, {UINT32_MAX, 4096}, {0, kSize + 1}}) {
    reply_with(reference(offset, size));
    EXPECT_EQ(encrypt(), CKR_DEVICE_ERROR) << offset;
    EXPECT_EQ(out_, std::vector<CK_BYTE>(kSize, 0));
    reply_with(whole(kSize));
    EXPECT_EQ(encrypt(), CKR_OK) << "on another connection";
  }
}

TEST_F(SharedArea, WithoutOneEverythingTravels) {
  first_call();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(encrypt(), CKR_OK);
  EXPECT_FALSE(by_reference_);
  EXPECT_EQ(proxyd_.greetings().size(), 1u);
  reply_with(reference(0, kSize));
  EXPECT_EQ(encrypt(), CKR_DEVICE_ERROR) << "there is nowhere to look";
}

TEST_F(SharedArea, MemoryThatIsShorterThanItIsSaidToBeIsNotUsed) {
  const int small = memfd_create("small", MFD_CLOEXEC);
  ASSERT_EQ(ftruncate(small, 4096), 0);
  proxyd_.give_area(small);
  first_call();
  EXPECT_EQ(encrypt(), CKR_OK);
  EXPECT_FALSE(by_reference_);
  proxyd_.stop();
  ::close(small);
}

TEST_F(SharedArea, ABrokenConnectionCostsNothing) {
  proxyd_.give_area(memory_);
  first_call();
  EXPECT_EQ(encrypt(), CKR_OK);
  EXPECT_TRUE(by_reference_);
  proxyd_.hang_up();
  EXPECT_TRUE(proxyd_.wait_until([&] { return proxyd_.open_connections() == 0; }));
  EXPECT_EQ(encrypt(0x55), CKR_OK);
  EXPECT_FALSE(by_reference_) << "the new connection has no area yet";
  EXPECT_EQ(received_, std::vector<std::uint8_t>(kSize, 0x55));
}

TEST_F(SharedArea, CanBeSwitchedOff) {
  configure("shared_memory = \"off\"\n");
  proxyd_.give_area(memory_);
  first_call();
  EXPECT_EQ(encrypt(), CKR_OK);
  EXPECT_FALSE(by_reference_);
}

}  // namespace
}  // namespace p11shim
