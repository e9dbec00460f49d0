// A shim whose calls a fake proxyd answers and counts.
#pragma once

#include <atomic>
#include <future>
#include <mutex>
#include <thread>

#include "shim_test.h"

namespace p11shim {

constexpr CK_OBJECT_HANDLE kKey = 77;
constexpr CK_OBJECT_HANDLE kSessionKey = 7 | kSessionObjectBit;
constexpr CK_ULONG kLength = 64;

class Coalesce : public ShimTest {
 protected:
  void SetUp() override { start(); }
  void start(const std::string& more = {}) {
    configure(more);
    for (const auto call : {number_of<&F::C_SignInit>(), number_of<&F::C_EncryptInit>()})
      proxyd_.on(call, [this](const Request& request) { return note(request, {.body = {0xc0}}); });
    for (const auto call : {number_of<&F::C_SignUpdate>(), number_of<&F::C_DestroyObject>(), number_of<&F::C_Logout>()})
      proxyd_.on(call, [this](const Request& request) { return note(request, {}); });
    for (const auto call : {number_of<&F::C_Sign>(), number_of<&F::C_Encrypt>(), number_of<&F::C_SignFinal>()})
      proxyd_.on(call, [this](const Request& request) { return note(request, give_bytes(request)); });
    ASSERT_EQ(C_Initialize(nullptr), CKR_OK);
    session_ = open_session();
  }

  // "C_SignInit+C_Sign 1 77": the calls, and the handles.
  std::optional<FakeProxyd::Answer> note(const Request& request, FakeProxyd::Answer answer) {
    std::string text;
    if (request.init != 0) text += std::string(call_info(request.init)->name) + '+';
    text += call_info(request.call)->name;
    for (std::size_t i = 1; i < request.handles.size(); ++i)
      text += ' ' + std::to_string(request.handles[i] % kSessionObjectBit);
    const std::lock_guard lock(mutex_);
    seen_.push_back(text);
    if (refused_ != CKR_OK && request.init != 0) answer = {.init_rv = refused_};
    else if (refused_ != CKR_OK && call_info(request.call)->policy.effect == Effect::starts) answer = {.rv = refused_};
    return answer;
  }
  static FakeProxyd::Answer give_bytes(const Request& request) {
    In in(request.body);
    if (request.call != number_of<&F::C_SignFinal>()) in.bin();
    const bool is_query = !in.next_is_uint();
    if (is_query) in.array_of(1);
    const CK_ULONG room = in.uint();
    Buffer body;
    Out out(body);
    out.uint(kLength);
    FakeProxyd::Answer answer;
    if (!is_query && room < kLength) answer.rv = CKR_BUFFER_TOO_SMALL;
    else if (!is_query) out.bin(std::vector<std::uint8_t>(kLength, 0x5a));
    answer.body.assign(body.data(), body.data() + body.size());
    return answer;
  }
  std::vector<std::string> seen() {
    const std::lock_guard lock(mutex_);
    return std::exchange(seen_, {});
  }
  void refuse(CK_RV rv) {
    const std::lock_guard lock(mutex_);
    refused_ = rv;
  }

  CK_RV init(CK_OBJECT_HANDLE key = kKey, CK_MECHANISM_TYPE type = CKM_ECDSA) {
    CK_MECHANISM mechanism{type, nullptr, 0};
    return C_SignInit(session_, &mechanism, key);
  }
  CK_RV sign(CK_ULONG room = kLength, bool query = false) {
    CK_BYTE data[32] = {1}, signature[kLength];
    length_ = room;
    return C_Sign(session_, data, sizeof data, query ? nullptr : signature, &length_);
  }
  // As most applications do it.
  void sign_in_three_calls() {
    EXPECT_EQ(init(), CKR_OK);
    EXPECT_EQ(sign(0, true), CKR_OK);
    EXPECT_EQ(length_, kLength);
    EXPECT_EQ(sign(), CKR_OK);
    EXPECT_EQ(length_, kLength);
  }
  CK_RV encrypt(CK_BYTE iv_byte) {
    CK_BYTE iv[16] = {iv_byte}, data[16] = {}, out[kLength];
    CK_MECHANISM mechanism{CKM_AES_CBC, iv, sizeof iv};
    if (const CK_RV rv = C_EncryptInit(session_, &mechanism, kKey); rv != CKR_OK) return rv;
    CK_ULONG size = sizeof out;
    return C_Encrypt(session_, data, sizeof data, out, &size);
  }

  using Seen = std::vector<std::string>;
  CK_SESSION_HANDLE session_ = 0;
  CK_ULONG length_ = 0;

 private:
  std::mutex mutex_;
  Seen seen_;
  CK_RV refused_ = CKR_OK;
};

}  // namespace p11shim
