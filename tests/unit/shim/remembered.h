// What the tests of remembered answers share: a proxyd that answers and counts who was asked.
#pragma once

#include <atomic>
#include <cstring>
#include <mutex>
#include <set>

#include "calls/values.h"
#include "shim_test.h"

namespace p11shim {

inline constexpr CK_SLOT_ID kSlot = 5;  // of ShimTest::open_session()
inline constexpr CK_OBJECT_HANDLE kObject = 11;

class RememberedTest : public ShimTest {
 protected:
  void SetUp() override {
    page_ = &proxyd_.share_generations();
    start();
  }
  void start(const std::string& more = "remember = \"24h\"\n") {
    configure(more);
    proxyd_.on(number_of<&F::C_GetAttributeValue>(), [this](const Request& request) { return read(request); });
    proxyd_.on(number_of<&F::C_FindObjects>(), [this](const Request& request) { return find(request); });
    proxyd_.on(number_of<&F::C_GetSessionInfo>(), [this](const Request& request) {
      note(request);
      CK_SESSION_INFO info{};
      info.slotID = kSlot;
      return answer_with(info);
    });
    proxyd_.on(number_of<&F::C_GetMechanismInfo>(), [this](const Request& request) {
      note(request);
      return answer_with(CK_MECHANISM_INFO{1, 2, 3});
    });
    proxyd_.on(number_of<&F::C_GetTokenInfo>(), [this](const Request& request) {
      note(request);
      CK_TOKEN_INFO info{};
      info.ulSessionCount = sessions_counted_;
      info.ulRwSessionCount = CK_UNAVAILABLE_INFORMATION;
      info.flags = token_flags_;
      return answer_with(info);
    });
    proxyd_.on(number_of<&F::C_GetSlotInfo>(), [this](const Request& request) {
      note(request);
      CK_SLOT_INFO info{};
      info.flags = CKF_TOKEN_PRESENT;
      return answer_with(info);
    });
    for (const auto call : {number_of<&F::C_GetSlotList>(), number_of<&F::C_GetMechanismList>()})
      proxyd_.on(call, [this](const Request& request) { return list_of_two(request); });
    for (const auto call : {number_of<&F::C_SetAttributeValue>(), number_of<&F::C_Login>()})
      proxyd_.on(call, [this](const Request& request) { return note(request), FakeProxyd::Answer{}; });
    ASSERT_EQ(C_Initialize(nullptr), CKR_OK);
    session_ = open_session();
  }
  template <class Info>
  static FakeProxyd::Answer answer_with(const Info& info) {
    Buffer body;
    Out out(body);
    write_info(out, info);
    FakeProxyd::Answer answer;
    answer.body.assign(body.data(), body.data() + body.size());
    return answer;
  }
  FakeProxyd::Answer list_of_two(const Request& request) {
    note(request);
    In in(request.body);
    if (request.call == number_of<&F::C_GetSlotList>()) in.uint();
    FakeProxyd::Answer answer;
    if (in.nil_if()) answer.body = {2};
    else if (in.uint() < 2) answer.rv = CKR_BUFFER_TOO_SMALL, answer.body = {2};
    else answer.body = {2, 0x92, 7, 9};
    return answer;
  }
  // The label is "abc", the class 3, the value "k"; nothing else is known.
  FakeProxyd::Answer read(const Request& request) {
    note(request);
    In in(request.body);
    Buffer body;
    Out out(body);
    FakeProxyd::Answer answer;
    const std::size_t count = in.array(16);
    out.array(count);
    for (std::size_t i = 0; i < count; ++i) {
      in.array_of(2);
      const CK_ATTRIBUTE_TYPE type = in.uint();
      const bool is_query = in.nil_if();
      if (!is_query) in.uint();
      out.array(2);
      if (type == CKA_LABEL || type == CKA_VALUE) {
        out.uint(type == CKA_LABEL ? 3 : 1);
        if (is_query) out.nil();
        else out.bin("abc", type == CKA_LABEL ? 3 : 1);
      } else if (type == CKA_CLASS) {
        out.uint(sizeof(CK_ULONG));
        if (is_query) out.nil();
        else out.uint(3);
      } else {
        out.nil(), out.nil();
        answer.rv = CKR_ATTRIBUTE_TYPE_INVALID;
      }
    }
    answer.body.assign(body.data(), body.data() + body.size());
    answer.values = values_of(request, kObject);
    return answer;
  }
  std::optional<FakeProxyd::Answer> find(const Request& request) {
    note(request);
    FakeProxyd::Answer answer;
    asked_along_ = !request.wanted.empty();
    answer.handles = {kObject};
    answer.body = {0xc3};
    answer.values = values_of(request, kObject);
    return answer;
  }
  static std::vector<std::uint8_t> values_of(const Request& request, CK_OBJECT_HANDLE object) {
    Buffer pairs, values;
    Out to(pairs), out(values);
    In in(request.wanted);
    while (in.remaining() != 0) {
      const CK_ATTRIBUTE_TYPE type = in.uint();
      const CK_ULONG object_class = 3;
      if (type == CKA_LABEL) write_value(to, type, std::span(reinterpret_cast<const std::uint8_t*>("abc"), 3));
      if (type == CKA_CLASS)
        write_value(to, type, {reinterpret_cast<const std::uint8_t*>(&object_class), sizeof object_class});
    }
    if (pairs.empty()) return {};
    out.uint(object);
    out.bin(pairs.bytes());
    return {values.data(), values.data() + values.size()};
  }
  void note(const Request&) {
    const std::lock_guard lock(mutex_);
    ++messages_;
  }
  // Since it was asked last.
  int messages() {
    const std::lock_guard lock(mutex_);
    return std::exchange(messages_, 0);
  }

  CK_RV get(CK_ATTRIBUTE_TYPE type, void* place, CK_ULONG& size) {
    CK_ATTRIBUTE attribute{type, place, size};
    const CK_RV rv = C_GetAttributeValue(session_, kObject, &attribute, 1);
    size = attribute.ulValueLen;
    return rv;
  }
  void expect_label(CK_ULONG room = 10) {
    char label[10] = "";
    CK_ULONG size = room;
    EXPECT_EQ(get(CKA_LABEL, label, size), CKR_OK);
    EXPECT_EQ(std::string(label, std::min<CK_ULONG>(size, sizeof label)), "abc");
  }
  void expect_length() {
    CK_ULONG size = 0;
    EXPECT_EQ(get(CKA_LABEL, nullptr, size), CKR_OK);
    EXPECT_EQ(size, 3u);
  }

  void search() {
    CK_OBJECT_HANDLE object = 0;
    CK_ULONG count = 0;
    EXPECT_EQ(C_FindObjectsInit(session_, nullptr, 0), CKR_OK);
    EXPECT_EQ(C_FindObjects(session_, &object, 1, &count), CKR_OK);
    EXPECT_EQ(C_FindObjectsFinal(session_), CKR_OK);
    EXPECT_EQ(object, kObject);
  }

  std::atomic<CK_ULONG> sessions_counted_{CK_UNAVAILABLE_INFORMATION};
  std::atomic<CK_FLAGS> token_flags_{0};
  std::atomic<bool> asked_along_{false};  // by the last search
  CK_SESSION_HANDLE session_ = 0;
  GenerationPage* page_ = nullptr;

 private:
  std::mutex mutex_;
  int messages_ = 0;
};

}  // namespace p11shim
