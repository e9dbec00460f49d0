// The mock behind a private proxyd, and the shim in this process: for tests of what lies between.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/process.h"
#include "mock/control_file.h"
#include "mock/loaded_module.h"
#include "tests/places.h"

namespace p11shim {

inline const std::string kMockPath = build_dir() + "/tests/libp11mock.so";
inline const std::string kMock2Path = build_dir() + "/tests/libp11mock-2.so";

class ProxiedMockTest : public ::testing::Test {
 protected:
  ProxiedMockTest() { ::setenv("P11MOCK_CONTROL", control_.path().c_str(), 1); }
  ~ProxiedMockTest() override {
    if (module_) list().C_Finalize(nullptr);
  }

  // Rules that must hold from the start are set before. Throws if proxyd does not start.
  void start(const std::string& module = kMockPath) {
    proxy_ = std::make_unique<Process>(
        std::vector<std::string>{build_dir() + "/bin/shimctl", "run", "--module", module, "--", "/bin/sh", "-c",
                                 "echo \"$P11SHIM_ENDPOINT\"; exec cat"},
        Environment{});
    ::setenv("P11SHIM_ENDPOINT", proxy_->read_line().c_str(), 1);
    module_.emplace(build_dir() + "/lib/libpkcs11-shim.so");
    ASSERT_EQ(list().C_Initialize(nullptr), CKR_OK);
    std::vector<CK_SLOT_ID> slots(8);
    CK_ULONG count = slots.size();
    ASSERT_EQ(list().C_GetSlotList(CK_TRUE, slots.data(), &count), CKR_OK);
    ASSERT_GE(count, 2U);
    slot_ = slots[0];
  }

  const CK_FUNCTION_LIST_3_0& list() const { return *module_->v3(); }

  CK_SESSION_HANDLE open_session() {
    CK_SESSION_HANDLE session = 0;
    EXPECT_EQ(list().C_OpenSession(slot_, CKF_SERIAL_SESSION | CKF_RW_SESSION, nullptr, nullptr, &session), CKR_OK);
    return session;
  }

  CK_RV log_in(CK_SESSION_HANDLE session) {
    CK_UTF8CHAR pin[] = "1234";
    return list().C_Login(session, CKU_USER, pin, 4);
  }

  // The first object of a class; 0 if none is visible.
  CK_OBJECT_HANDLE find(CK_SESSION_HANDLE session, CK_OBJECT_CLASS type) {
    CK_ATTRIBUTE wanted{CKA_CLASS, &type, sizeof type};
    CK_OBJECT_HANDLE object = 0;
    CK_ULONG count = 0;
    EXPECT_EQ(list().C_FindObjectsInit(session, &wanted, 1), CKR_OK);
    EXPECT_EQ(list().C_FindObjects(session, &object, 1, &count), CKR_OK);
    EXPECT_EQ(list().C_FindObjectsFinal(session), CKR_OK);
    return count == 1 ? object : 0;
  }

  PrivateFolder folder_;
  ControlFile control_{folder_.path()};
  std::unique_ptr<Process> proxy_;
  std::optional<LoadedModule> module_;
  CK_SLOT_ID slot_ = 0;
};

}  // namespace p11shim
