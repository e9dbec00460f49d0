// Every allocation of a call fails once: that call may say CKR_HOST_MEMORY, and the next one notices nothing. The library's
// sources are linked into this program, whose allocations are ours.
#include <cstring>
#include <new>

#include "shim/application.h"
#include "shim_test.h"

namespace {

// Of this thread, until one fails; negative: none does.
thread_local long allocations_left = -1;

}  // namespace

extern "C" {
void* __real_malloc(std::size_t size);
void* __wrap_malloc(std::size_t size) {
  return allocations_left >= 0 && allocations_left-- == 0 ? nullptr : __real_malloc(size);
}
}

void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return std::malloc(size == 0 ? 1 : size); }
void* operator new(std::size_t size) {
  void* memory = operator new(size, std::nothrow);
  return memory != nullptr ? memory : throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }

namespace p11shim {
namespace {

constexpr std::size_t kRandom = 8;

class NoMemory : public ShimTest {
 protected:
  void SetUp() override {
    configure();
    proxyd_.on(number_of<&F::C_GenerateRandom>(), [this](const Request& request) { return give_random(request); });
    proxyd_.on(number_of<&F::C_Encrypt>(), [](const Request&) {
      Buffer body;
      Out out(body);
      const std::vector<std::uint8_t> bytes(kLarge, 0x33);
      out.uint(bytes.size()), out.bin(bytes);
      FakeProxyd::Answer answer;
      answer.body.assign(body.data(), body.data() + body.size());
      return answer;
    });
    for (const auto call : {number_of<&F::C_SignInit>(), number_of<&F::C_EncryptInit>()})
      proxyd_.on(call, [](const Request&) { return FakeProxyd::Answer{.body = {0xc0}}; });
  }

  // Nothing but what this call says may be in its body.
  FakeProxyd::Answer give_random(const Request& request) {
    Buffer body;
    Out out(body);
    FakeProxyd::Answer answer;
    if (request.body.size() > kRandom) answer.rv = CKR_GENERAL_ERROR;
    else std::memset(out.bin_space(kRandom), 0x5a, kRandom);
    answer.body.assign(body.data(), body.data() + body.size());
    return answer;
  }

  template <class Fn>
  void fail_each_allocation(Fn call) {
    constexpr long kMost = 1000;
    bool has_failed = true;
    for (long i = 0; i < kMost && has_failed; ++i) {
      ASSERT_EQ(C_Initialize(nullptr), CKR_OK);
      const CK_SESSION_HANDLE session = open_session();
      allocations_left = i;
      const CK_RV rv = call(session);
      has_failed = std::exchange(allocations_left, -1) < 0;
      EXPECT_TRUE(rv == CKR_OK || (has_failed && rv == CKR_HOST_MEMORY)) << rv << " when allocation " << i << " failed";
      EXPECT_EQ(random(session), CKR_OK) << "after allocation " << i << " failed";
      EXPECT_EQ(C_Finalize(nullptr), CKR_OK);
    }
    EXPECT_FALSE(has_failed);
  }

  static constexpr std::size_t kLarge = 20'000;
};

TEST_F(NoMemory, ForALogin) {
  std::vector<CK_BYTE> pin(1000, '7');
  fail_each_allocation([&](CK_SESSION_HANDLE session) { return C_Login(session, CKU_USER, pin.data(), pin.size()); });
}

TEST_F(NoMemory, ForAnEncryption) {
  CK_BYTE iv[16] = {};
  std::vector<CK_BYTE> in(kLarge, 1), out(kLarge);
  fail_each_allocation([&](CK_SESSION_HANDLE session) {
    CK_MECHANISM mechanism{CKM_AES_CBC, iv, sizeof iv};
    for (int i = 0; i < 2; ++i) {
      if (const CK_RV rv = C_EncryptInit(session, &mechanism, 77); rv != CKR_OK) return rv;
      CK_ULONG size = out.size();
      if (const CK_RV rv = C_Encrypt(session, in.data(), in.size(), out.data(), &size); rv != CKR_OK) return rv;
    }
    return CK_RV{CKR_OK};
  });
}

TEST_F(NoMemory, ToConnect) {
  fail_each_allocation([this](CK_SESSION_HANDLE session) {
    proxyd_.hang_up();
    EXPECT_TRUE(proxyd_.wait_until([this] { return proxyd_.open_connections() == 0; }));
    return random(session);
  });
}

TEST_F(NoMemory, LeavesNothingOfACallBehind) {
  Application application{ShimConfig{}};
  const CallExchange* used = nullptr;
  try {
    Loan exchange(application);
    used = &*exchange;
    exchange->begin(std::chrono::milliseconds(0));
    exchange->body().mark_secret();
    exchange->body().append("1234", 4);
    throw std::bad_alloc();
  } catch (const std::bad_alloc&) {
  }
  Loan next(application);
  EXPECT_EQ(&*next, used);
  EXPECT_TRUE(next->body().empty());
  EXPECT_EQ(std::memcmp(next->body().data(), "\0\0\0\0", 4), 0);
}

}  // namespace
}  // namespace p11shim
