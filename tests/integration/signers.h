// Threads of an application that sign with the pool's key without end, while a test does things to the members.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <optional>
#include <thread>

#include "pool_members.h"
#include "proxyd/objects/public_key.h"

namespace p11shim {

// Threads that sign without end; what fails, and what does not verify, is kept.
class Signers {
 public:
  Signers(TestApplication& application, std::size_t count) : application_(application) {
    session_ = application_.open();
    EXPECT_EQ(application_.log_in(session_, compare::kUserPin), CKR_OK);
    key_ = application_.one(session_, CKO_PRIVATE_KEY, "ec");
    read_public_key();
    for (std::size_t i = 0; i < count; ++i)
      threads_.emplace_back([this, session = application_.open()] { run(session); });
  }
  ~Signers() { stop(); }
  void stop() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    if (!errors_.empty())
      ADD_FAILURE() << errors_.size() << " of " << good_ + static_cast<int>(errors_.size())
                    << " failed, the first with 0x" << std::hex << errors_[0];
    EXPECT_EQ(wrong_, 0);
  }
  bool goes_on(int more = 50) {
    const int before = good_;
    return eventually([&] { return good_ > before + more; });
  }
  [[nodiscard]] int good() const { return good_; }
  [[nodiscard]] CK_OBJECT_HANDLE key() const { return key_; }
  [[nodiscard]] CK_SESSION_HANDLE session() const { return session_; }

 private:
  void read_public_key() {
    CK_BYTE curve[64], point[128];
    CK_ATTRIBUTE attributes[] = {{CKA_EC_PARAMS, curve, sizeof curve}, {CKA_EC_POINT, point, sizeof point}};
    ASSERT_EQ(
        application_->C_GetAttributeValue(session_, application_.one(session_, CKO_PUBLIC_KEY, "ec"), attributes, 2),
        CKR_OK);
    Buffer content;
    Out out(content);
    for (const CK_ATTRIBUTE& each : attributes) {
      out.uint(each.type);
      out.bin(each.pValue, each.ulValueLen);
    }
    public_key_ = PublicKey::read(content.bytes());
    ASSERT_TRUE(public_key_);
  }
  void run(CK_SESSION_HANDLE session) {
    CK_MECHANISM mechanism{CKM_ECDSA, nullptr, 0};
    CK_BYTE digest[32] = {};
    for (int i = 0; !stop_; ++i) {
      std::memcpy(digest, &i, sizeof i);
      CK_BYTE signature[64];
      CK_ULONG size = sizeof signature;
      CK_RV rv = application_->C_SignInit(session, &mechanism, key_);
      if (rv == CKR_OK) rv = application_->C_Sign(session, digest, sizeof digest, signature, &size);
      const std::lock_guard lock(mutex_);
      if (rv != CKR_OK) errors_.push_back(rv);
      else if (!public_key_->verifies(digest, {signature, size})) ++wrong_;
      else ++good_;
    }
  }

  TestApplication& application_;
  CK_SESSION_HANDLE session_ = 0;
  CK_OBJECT_HANDLE key_ = 0;
  std::optional<PublicKey> public_key_;
  std::atomic<bool> stop_ = false;
  std::atomic<int> good_ = 0;
  int wrong_ = 0;
  std::mutex mutex_;
  std::vector<CK_RV> errors_;
  std::vector<std::thread> threads_;
};

// Members are given up and tried again soon.
inline constexpr char kQuick[] =
    "attempt_timeout = \"300ms\"\nbreaker = { failures = 3, open_min = \"100ms\", open_max = \"200ms\" }\nprobe = { "
    "interval = \"200ms\", timeout = \"300ms\" }\n";

inline bool is_up(const PrivateProxyd& proxyd, const std::string& member) {
  const auto status = member_status(proxyd, member);
  return status.is_object() && status.value("state", "") == "up";
}

}  // namespace p11shim
