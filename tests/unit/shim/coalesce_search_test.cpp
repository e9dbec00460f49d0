// A search is one message, and active for the application until it ends it.
#include <atomic>
#include <mutex>

#include "shim_test.h"

namespace p11shim {
namespace {

class CoalesceSearch : public ShimTest {
 protected:
  using Seen = std::vector<std::string>;

  void SetUp() override { start(); }
  void start(const std::string& more = {}) {
    configure(more);
    for (const auto call :
         {number_of<&F::C_FindObjectsInit>(), number_of<&F::C_FindObjectsFinal>(), number_of<&F::C_SignInit>(),
          number_of<&F::C_GetObjectSize>(), number_of<&F::C_SessionCancel>()})
      proxyd_.on(call, [this](const Request& request) { return note(request); });
    proxyd_.on(number_of<&F::C_FindObjects>(), [this](const Request& request) {
      auto answer = note(request);
      if (request.init == 0) answer->handles = next_of_many(request);
      return answer;
    });
    ASSERT_EQ(C_Initialize(nullptr), CKR_OK);
    session_ = open_session();
  }
  // proxyd's own book of the search.
  std::vector<std::uint64_t> next_of_many(const Request& request) {
    In in(request.body);
    const std::uint64_t most = in.uint();
    const std::lock_guard lock(mutex_);
    std::vector<std::uint64_t> objects;
    for (; objects.size() < most && given_ < many_; ++given_) objects.push_back(91 + given_);
    return objects;
  }
  std::optional<FakeProxyd::Answer> note(const Request& request) {
    FakeProxyd::Answer answer;
    const std::lock_guard lock(mutex_);
    if (request.init != 0) {
      seen_.push_back(std::string(call_info(request.init)->name) + '+' + std::string(call_info(request.call)->name));
      answer.init_rv = refused_;
      if (refused_ == CKR_OK && is_over_) answer.handles = {11, 12, 13};
      if (refused_ == CKR_OK) answer.body = {static_cast<std::uint8_t>(is_over_ ? 0xc3 : 0xc2)};
      return answer;
    }
    seen_.emplace_back(call_info(request.call)->name);
    if (request.call == number_of<&F::C_GetObjectSize>()) answer.body = {1};
    if (call_info(request.call)->policy.effect == Effect::starts) answer.rv = refused_;
    if (request.call == number_of<&F::C_SignInit>()) answer.body = {0xc0};
    return answer;
  }
  Seen seen() {
    const std::lock_guard lock(mutex_);
    return std::exchange(seen_, {});
  }
  void refuse(CK_RV rv) {
    const std::lock_guard lock(mutex_);
    refused_ = rv;
  }
  void find_too_many(std::uint64_t many) {
    const std::lock_guard lock(mutex_);
    is_over_ = false;
    many_ = many;
    given_ = 0;
  }

  CK_RV init(CK_ATTRIBUTE_TYPE type = CKA_LABEL) {
    char text[] = "label";
    CK_ATTRIBUTE attribute{type, text, 5};
    return C_FindObjectsInit(session_, &attribute, 1);
  }
  // What C_FindObjects gives for at most `most`.
  std::vector<CK_OBJECT_HANDLE> found(CK_ULONG most) {
    std::vector<CK_OBJECT_HANDLE> objects(most + 1);
    CK_ULONG count = 77;
    EXPECT_EQ(C_FindObjects(session_, objects.data(), most, &count), CKR_OK);
    objects.resize(std::min<CK_ULONG>(count, most));
    return objects;
  }
  CK_RV sign_init() {
    CK_MECHANISM mechanism{CKM_ECDSA, nullptr, 0};
    return C_SignInit(session_, &mechanism, 77);
  }

  using Objects = std::vector<CK_OBJECT_HANDLE>;
  CK_SESSION_HANDLE session_ = 0;

 private:
  std::mutex mutex_;
  Seen seen_;
  CK_RV refused_ = CKR_OK;
  bool is_over_ = true;
  std::uint64_t many_ = 1;
  std::uint64_t given_ = 0;
};

TEST_F(CoalesceSearch, OneMessageForAWholeSearch) {
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(init(), CKR_OK);
    EXPECT_EQ(found(2), (Objects{11, 12}));
    EXPECT_EQ(found(2), (Objects{13}));
    EXPECT_EQ(found(2), Objects{});
    EXPECT_EQ(C_FindObjectsFinal(session_), CKR_OK);
    EXPECT_EQ(seen(), (Seen{"C_FindObjectsInit+C_FindObjects"}));
  }
}

TEST_F(CoalesceSearch, AnInitThatFailsFailsAtOnce) {
  refuse(CKR_ATTRIBUTE_VALUE_INVALID);
  EXPECT_EQ(init(), CKR_ATTRIBUTE_VALUE_INVALID);
  CK_OBJECT_HANDLE object = 0;
  CK_ULONG count = 0;
  seen();
  EXPECT_EQ(C_FindObjects(session_, &object, 1, &count), CKR_OK);
  EXPECT_EQ(seen(), (Seen{"C_FindObjects"})) << "proxyd says what that is";
}

TEST_F(CoalesceSearch, AfterItsEndProxydIsAsked) {
  EXPECT_EQ(init(), CKR_OK);
  EXPECT_EQ(C_FindObjectsFinal(session_), CKR_OK);
  seen();
  EXPECT_EQ(C_FindObjectsFinal(session_), CKR_OK);
  EXPECT_EQ(found(1), (Objects{91}));
  EXPECT_EQ(seen(), (Seen{"C_FindObjectsFinal", "C_FindObjects"}));
}

TEST_F(CoalesceSearch, WhatCouldTellTheDifferenceBeginsItInTheModule) {
  EXPECT_EQ(init(), CKR_OK);
  EXPECT_EQ(found(1), (Objects{11}));
  EXPECT_EQ(sign_init(), CKR_OK);
  EXPECT_EQ(found(1), (Objects{12}));
  EXPECT_EQ(C_FindObjectsFinal(session_), CKR_OK);
  EXPECT_EQ(seen(), (Seen{"C_FindObjectsInit+C_FindObjects", "C_FindObjectsInit", "C_SignInit", "C_FindObjectsFinal"}));
}

TEST_F(CoalesceSearch, ASecondSearchIsTheModulesToJudge) {
  EXPECT_EQ(init(), CKR_OK);
  seen();
  std::atomic<bool> is_active{false};
  proxyd_.on(number_of<&F::C_FindObjectsInit>(), [&](const Request& request) {
    auto answer = note(request);
    if (is_active.exchange(true)) answer->rv = CKR_OPERATION_ACTIVE;
    return answer;
  });
  EXPECT_EQ(init(), CKR_OPERATION_ACTIVE);
  EXPECT_EQ(seen(), (Seen{"C_FindObjectsInit", "C_FindObjectsInit"}));
  EXPECT_EQ(found(3), (Objects{11, 12, 13})) << "the first one goes on";
}

TEST_F(CoalesceSearch, ReadingDoesNotMind) {
  EXPECT_EQ(init(), CKR_OK);
  CK_ULONG size = 0;
  EXPECT_EQ(C_GetObjectSize(session_, 11, &size), CKR_OK);
  EXPECT_EQ(random(session_), CKR_OK);
  EXPECT_EQ(C_FindObjectsFinal(session_), CKR_OK);
  EXPECT_EQ(seen(), (Seen{"C_FindObjectsInit+C_FindObjects", "C_GetObjectSize"}));
}

TEST_F(CoalesceSearch, WhileAnotherOperationIsActiveTheModuleJudges) {
  EXPECT_EQ(sign_init(), CKR_OK);
  EXPECT_EQ(init(), CKR_OK);
  EXPECT_EQ(seen(), (Seen{"C_SignInit", "C_FindObjectsInit"}));
}

TEST_F(CoalesceSearch, ResultsThatAreTooLargeStayInProxyd) {
  find_too_many(1);
  EXPECT_EQ(init(), CKR_OK);
  EXPECT_EQ(found(1), (Objects{91}));
  EXPECT_EQ(C_FindObjectsFinal(session_), CKR_OK);
  EXPECT_EQ(seen(), (Seen{"C_FindObjectsInit+C_FindObjects", "C_FindObjects", "C_FindObjectsFinal"}));
}

TEST_F(CoalesceSearch, ManyResultsAreReadInPages) {
  constexpr CK_ULONG kMany = 20'000;
  find_too_many(kMany);
  EXPECT_EQ(init(), CKR_OK);
  CK_ULONG next = 91;
  for (CK_ULONG most : {1, 0, 100, 8'192, 9'000}) {
    const Objects objects = found(most);
    ASSERT_EQ(objects.size(), most) << "never fewer than there are";
    for (const CK_OBJECT_HANDLE object : objects) EXPECT_EQ(object, next++);
  }
  EXPECT_EQ(found(kMany).size(), kMany + 91 - next) << "what is left";
  EXPECT_EQ(found(10), Objects{});
  EXPECT_EQ(C_FindObjectsFinal(session_), CKR_OK);
  const Seen messages = seen();
  EXPECT_LE(messages.size(), 6u);
  EXPECT_EQ(messages.back(), "C_FindObjectsFinal");
  EXPECT_EQ(C_FindObjectsFinal(session_), CKR_OK);
  EXPECT_EQ(seen(), (Seen{"C_FindObjectsFinal"})) << "proxyd says what that is";
}

TEST_F(CoalesceSearch, PagesEndWithTheSearch) {
  find_too_many(20'000);
  EXPECT_EQ(init(), CKR_OK);
  EXPECT_EQ(found(1), (Objects{91}));
  EXPECT_EQ(C_FindObjectsFinal(session_), CKR_OK);
  find_too_many(1);
  EXPECT_EQ(init(), CKR_OK);
  EXPECT_EQ(found(5), (Objects{91}));
}

TEST_F(CoalesceSearch, TemplatesWithSecretsAreNotKept) {
  EXPECT_EQ(init(CKA_VALUE), CKR_OK);
  EXPECT_EQ(seen(), (Seen{"C_FindObjectsInit"}));
}

TEST_F(CoalesceSearch, CancellingEndsIt) {
  EXPECT_EQ(init(), CKR_OK);
  EXPECT_EQ(C_SessionCancel(session_, CKF_FIND_OBJECTS), CKR_OK);
  EXPECT_EQ(found(1), (Objects{91}));
  EXPECT_EQ(seen(), (Seen{"C_FindObjectsInit+C_FindObjects", "C_FindObjectsInit", "C_SessionCancel", "C_FindObjects"}));
}

TEST_F(CoalesceSearch, OffSendsEveryCall) {
  C_Finalize(nullptr);
  start("coalesce = \"off\"\n");
  EXPECT_EQ(init(), CKR_OK);
  EXPECT_EQ(found(1), (Objects{91}));
  EXPECT_EQ(C_FindObjectsFinal(session_), CKR_OK);
  EXPECT_EQ(seen(), (Seen{"C_FindObjectsInit", "C_FindObjects", "C_FindObjectsFinal"}));
}

}  // namespace
}  // namespace p11shim
