// The fault module before SoftHSM: transparent without rules, and each kind of fault.
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstring>
#include <fstream>

#include "mock/control_file.h"
#include "mock/loaded_module.h"
#include "tests/places.h"

namespace p11shim {
namespace {

const std::string kFaultPath = build_dir() + "/tests/libp11fault.so";
constexpr char kSoftHsmPath[] = "/usr/lib/softhsm/libsofthsm2.so";

class Fault : public ::testing::Test {
 protected:
  Fault() {
    const auto tokens = folder_.path() / "tokens";
    std::filesystem::create_directory(tokens);
    std::ofstream(folder_.path() / "softhsm2.conf")
        << "directories.tokendir = " << tokens.string() << "\nlog.level = ERROR\n";
    ::setenv("SOFTHSM2_CONF", (folder_.path() / "softhsm2.conf").c_str(), 1);
    ::setenv("P11FAULT_MODULE", kSoftHsmPath, 1);
    ::setenv("P11FAULT_CONTROL", control_.path().c_str(), 1);
  }

  void SetUp() override {
    if (!std::filesystem::exists(kSoftHsmPath)) GTEST_SKIP() << "SoftHSM is not installed";
    module_.emplace(kFaultPath);
    prepare_token();
  }
  void TearDown() override {
    if (module_) (*module_)->C_Finalize(nullptr);
  }

  // One token with a user who is logged in, and an EC key pair.
  void prepare_token() {
    CK_UTF8CHAR pin[] = "1234";
    CK_UTF8CHAR label[33] = "fault                           ";
    std::array<CK_SLOT_ID, 2> slots{};
    CK_ULONG count = 1;
    ASSERT_EQ(module()->C_Initialize(nullptr), CKR_OK);
    ASSERT_EQ(module()->C_GetSlotList(CK_FALSE, slots.data(), &count), CKR_OK);
    ASSERT_EQ(module()->C_InitToken(slots[0], pin, 4, label), CKR_OK);
    count = slots.size();
    ASSERT_EQ(module()->C_GetSlotList(CK_TRUE, slots.data(), &count), CKR_OK);
    ASSERT_EQ(module()->C_OpenSession(slots[0], CKF_SERIAL_SESSION | CKF_RW_SESSION, nullptr, nullptr, &session_),
              CKR_OK);
    ASSERT_EQ(module()->C_Login(session_, CKU_SO, pin, 4), CKR_OK);
    ASSERT_EQ(module()->C_InitPIN(session_, pin, 4), CKR_OK);
    ASSERT_EQ(module()->C_Logout(session_), CKR_OK);
    ASSERT_EQ(module()->C_Login(session_, CKU_USER, pin, 4), CKR_OK);

    std::array<CK_BYTE, 10> curve{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
    CK_ATTRIBUTE parameters{CKA_EC_PARAMS, curve.data(), curve.size()};
    CK_MECHANISM generate{CKM_EC_KEY_PAIR_GEN, nullptr, 0};
    CK_OBJECT_HANDLE public_key = 0;
    ASSERT_EQ(module()->C_GenerateKeyPair(session_, &generate, &parameters, 1, nullptr, 0, &public_key, &key_), CKR_OK);
  }

  CK_RV sign() {
    std::array<CK_BYTE, 32> data{};
    std::array<CK_BYTE, 64> signature{};
    CK_ULONG size = signature.size();
    if (const CK_RV rv = module()->C_SignInit(session_, &mechanism_, key_); rv != CKR_OK) return rv;
    return module()->C_Sign(session_, data.data(), data.size(), signature.data(), &size);
  }

  CK_ULONG found() {
    std::array<CK_OBJECT_HANDLE, 8> objects{};
    CK_ULONG count = 0;
    EXPECT_EQ(module()->C_FindObjectsInit(session_, nullptr, 0), CKR_OK);
    EXPECT_EQ(module()->C_FindObjects(session_, objects.data(), objects.size(), &count), CKR_OK);
    EXPECT_EQ(module()->C_FindObjectsFinal(session_), CKR_OK);
    return count;
  }

  LoadedModule& module() { return *module_; }

  PrivateFolder folder_;
  ControlFile control_{folder_.path()};
  std::optional<LoadedModule> module_;
  CK_MECHANISM mechanism_{CKM_ECDSA, nullptr, 0};
  CK_SESSION_HANDLE session_ = 0;
  CK_OBJECT_HANDLE key_ = 0;
};

TEST_F(Fault, ForwardsEverythingWithoutRules) {
  EXPECT_EQ(sign(), CKR_OK);
  EXPECT_EQ(found(), 2U);
  CK_INFO info{};
  EXPECT_EQ(module()->C_GetInfo(&info), CKR_OK);
  EXPECT_EQ(std::memcmp(info.manufacturerID, "SoftHSM", 7), 0);
}

TEST_F(Fault, OffersNoMoreThanTheModuleDoes) {
  CK_ULONG count = 0;
  EXPECT_EQ(module().symbol<CK_C_GetInterfaceList>("C_GetInterfaceList")(nullptr, &count), CKR_OK);
  EXPECT_EQ(count, 1U);
  EXPECT_EQ(module()->version.major, 2);
}

TEST_F(Fault, FailsTheCallsThatAreCounted) {
  control_.set("C_Sign rv=CKR_DEVICE_ERROR after=1 times=2");
  EXPECT_EQ(sign(), CKR_OK);
  EXPECT_EQ(sign(), CKR_DEVICE_ERROR);
  // What failed never reached the module: its operation is still there.
  EXPECT_EQ(module()->C_SignInit(session_, &mechanism_, key_), CKR_OPERATION_ACTIVE);
}

TEST_F(Fault, FailsWithAProbability) {
  control_.set("C_GetInfo rv=CKR_DEVICE_ERROR probability=0.5");
  CK_INFO info{};
  int failed = 0;
  for (int i = 0; i < 200; ++i) failed += module()->C_GetInfo(&info) == CKR_DEVICE_ERROR ? 1 : 0;
  EXPECT_GT(failed, 0);  // either is missed once in 2^200 runs
  EXPECT_LT(failed, 200);
}

TEST_F(Fault, AddsLatency) {
  constexpr auto kAdded = std::chrono::milliseconds(30);
  control_.set("C_SignInit latency=30ms");
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(sign(), CKR_OK);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, kAdded);
}

TEST_F(Fault, LosesItsObjectsAndGetsThemBack) {
  control_.set("module objects=lost");
  EXPECT_EQ(found(), 0U);
  EXPECT_EQ(sign(), CKR_KEY_HANDLE_INVALID);
  CK_ULONG size = 0;
  EXPECT_EQ(module()->C_GetObjectSize(session_, key_, &size), CKR_OBJECT_HANDLE_INVALID);
  control_.set("");
  EXPECT_EQ(found(), 2U);
  EXPECT_EQ(sign(), CKR_OK);
}

TEST_F(Fault, OldProcessesLoseSightOfObjects) {
  control_.set("module objects=out-of-sight");
  EXPECT_EQ(found(), 0U);
  EXPECT_EQ(sign(), CKR_KEY_HANDLE_INVALID);
  control_.set("");
  EXPECT_EQ(found(), 2U);
}

TEST_F(Fault, DiesBetweenTwoCallsWhenItIsSignalled) {
  EXPECT_EXIT(::raise(SIGUSR1), ::testing::KilledBySignal(SIGKILL), "");
}

TEST_F(Fault, CrashesWhenTold) {
  control_.set("C_Sign crash=segv");
  EXPECT_EXIT(sign(), ::testing::KilledBySignal(SIGSEGV), "");
}

TEST_F(Fault, SaysThatItHasNothingToWrap) {
  module()->C_Finalize(nullptr);
  module_.reset();
  ::setenv("P11FAULT_MODULE", "/nonexistent.so", 1);
  void* handle = ::dlopen(kFaultPath.c_str(), RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(handle, nullptr);
  CK_FUNCTION_LIST* list = nullptr;
  const auto get = reinterpret_cast<CK_C_GetFunctionList>(::dlsym(handle, "C_GetFunctionList"));
  EXPECT_EQ(get(&list), CKR_GENERAL_ERROR);
  ::dlclose(handle);
}

}  // namespace
}  // namespace p11shim
