// The mock behind shim and proxyd: whatever it answers reaches the application, and whatever the application
// says reaches it.
#include <gtest/gtest.h>

#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "mock/description.h"
#include "mock/operation.h"
#include "mock/prepared_call.h"
#include "mock/proxied_mock.h"
#include "pkcs11/names.h"

#define CK_PKCS11_3_0 1

namespace p11shim {
namespace {

// The mock numbers its objects the same way in every process: the first slot's AES key is the fifth.
constexpr CK_OBJECT_HANDLE kRealKey = 5;

// What proxyd or the shim answers itself, so that the module's code has no call to come back through: sessions are virtual.
// And what needs a state of its own: ProxiedMockTokens.
bool is_left_out(Function function) {
  static const std::set<Function> own{
      Function::C_Initialize,       Function::C_Finalize,         Function::C_GetInfo,     Function::C_GetFunctionList,
      Function::C_GetInterfaceList, Function::C_GetInterface,     Function::C_GetSlotList, Function::C_GetSlotInfo,
      Function::C_GetTokenInfo,     Function::C_WaitForSlotEvent, Function::C_OpenSession, Function::C_CloseSession,
      Function::C_CloseAllSessions, Function::C_GetSessionInfo,   Function::C_Login,       Function::C_Logout,
      Function::C_GetMechanismList, Function::C_GetMechanismInfo, Function::C_InitToken,   Function::C_LoginUser,
      Function::C_FindObjects,      Function::C_FindObjectsFinal,
  };
  return own.contains(function);
}

// With these C_GetAttributeValue has returned what it could.
bool is_partial(CK_RV rv) {
  return rv == CKR_ATTRIBUTE_SENSITIVE || rv == CKR_ATTRIBUTE_TYPE_INVALID || rv == CKR_BUFFER_TOO_SMALL;
}

std::vector<std::string_view> operations_needed(Function function) {
  const Step step = operation_step(function);
  if (step.kind == Step::Kind::kNeed || step.kind == Step::Kind::kEnd) return {step.operation};
  switch (function) {
    case Function::C_DigestEncryptUpdate: return {"Digest", "Encrypt"};
    case Function::C_DecryptDigestUpdate: return {"Decrypt", "Digest"};
    case Function::C_SignEncryptUpdate: return {"Sign", "Encrypt"};
    case Function::C_DecryptVerifyUpdate: return {"Decrypt", "Verify"};
    default: return {};
  }
}

// Sanitizers see as much in a tenth of them: all codes take the same path.
#ifdef P11SHIM_SANITIZED
constexpr std::size_t kEvery = 10;
#else
constexpr std::size_t kEvery = 1;
#endif

std::vector<CK_RV> every_error() {
  std::vector<CK_RV> values{0x80000001, 0x8fffffff, 0xffffffff};
  std::size_t number = 0;
  for (const Name& name : all(NameKind::ckr)) {
    if (name.value != CKR_OK && number++ % kEvery == 0) values.push_back(name.value);
  }
  return values;
}

class ProxiedMock : public ProxiedMockTest {
 protected:
  // The base session stays, so that the user stays logged in.
  void SetUp() override {
    start();
    const CK_SESSION_HANDLE base = open_session();
    ASSERT_EQ(log_in(base), CKR_OK);
    key_ = find(base, CKO_SECRET_KEY);
    ASSERT_NE(key_, 0U);
  }

  void begin(std::string_view operation, CK_SESSION_HANDLE session) {
    const std::string wanted = std::string(operation);
#define CK_PKCS11_FUNCTION_INFO(name)                                        \
  if constexpr (operation_step(Function::name).kind == Step::Kind::kBegin) { \
    if (operation_step(Function::name).operation == wanted) {                \
      PreparedCall<Function::name, CK_##name> init(session, key_);           \
      EXPECT_EQ(init(list().name), CKR_OK) << #name;                         \
    }                                                                        \
  }
#include <pkcs11f.h>
#undef CK_PKCS11_FUNCTION_INFO
  }

  // With the operations begun that the function needs, and nothing else active in the session.
  template <Function F, class Prototype>
  CK_RV call(Prototype function, CK_SESSION_HANDLE session, PreparedCall<F, Prototype>& prepared) {
    for (const std::string_view operation : operations_needed(F)) begin(operation, session);
    return prepared(function);
  }

  template <Function F, class Prototype>
  void expect_every_code(Prototype function) {
    CK_SESSION_HANDLE session = open_session();
    for (const CK_RV rv : every_error()) {
      control_.set(std::string(function_name(F)) + " rv=" + std::to_string(rv));
      PreparedCall<F, Prototype> prepared(session, key_);
      EXPECT_EQ(call<F>(function, session, prepared), rv) << function_name(F) << ": " << display(NameKind::ckr, rv);
      EXPECT_TRUE(prepared.outputs_are_untouched() || (F == Function::C_GetAttributeValue && is_partial(rv)))
          << function_name(F) << ": " << display(NameKind::ckr, rv);
      if (rv != CKR_BUFFER_TOO_SMALL) continue;
      EXPECT_EQ(list().C_CloseSession(session), CKR_OK);  // its operation goes on
      session = open_session();
    }
    EXPECT_EQ(list().C_CloseSession(session), CKR_OK);
  }

  CK_OBJECT_HANDLE key_ = 0;
};

TEST_F(ProxiedMock, EveryFunctionPassesEveryReturnCodeUnchanged) {
  const auto check = [this]<Function F, class Prototype>(Prototype function) {
    if (!is_left_out(F)) expect_every_code<F>(function);
  };
#define CK_PKCS11_FUNCTION_INFO(name) check.template operator()<Function::name>(list().name);
#include <pkcs11f.h>
#undef CK_PKCS11_FUNCTION_INFO
}

// What is asked of slots, and of tokens that nobody is logged in to. No code that the module gives there makes proxyd answer
// another one, at this call or at the next.
class ProxiedMockTokens : public ProxiedMockTest {
 protected:
  void SetUp() override { start(); }

  template <class Call>
  void expect_every_code(const std::string& function, Call call) {
    for (const CK_RV rv : every_error()) {
      control_.set(function + " rv=" + std::to_string(rv));
      EXPECT_EQ(call(), rv) << function << ": " << display(NameKind::ckr, rv);
    }
    control_.set("");
    EXPECT_EQ(call(), CKR_OK) << function;
  }
};

TEST_F(ProxiedMockTokens, SlotFunctionsPassEveryReturnCodeUnchanged) {
  CK_SLOT_INFO slot{};
  expect_every_code("C_GetSlotInfo", [&] { return list().C_GetSlotInfo(slot_, &slot); });
  CK_TOKEN_INFO token{};
  expect_every_code("C_GetTokenInfo", [&] { return list().C_GetTokenInfo(slot_, &token); });
  CK_MECHANISM_INFO info{};
  expect_every_code("C_GetMechanismInfo", [&] { return list().C_GetMechanismInfo(slot_, kVendorMechanism, &info); });
  std::vector<CK_MECHANISM_TYPE> types(500);
  expect_every_code("C_GetMechanismList", [&] {
    CK_ULONG count = types.size();
    return list().C_GetMechanismList(slot_, types.data(), &count);
  });
}

TEST_F(ProxiedMockTokens, LoginsPassEveryReturnCodeUnchanged) {
  const CK_SESSION_HANDLE session = open_session();
  std::string name = "name";
  std::string pin = "so-1234";
  auto* const bytes = reinterpret_cast<CK_UTF8CHAR*>(pin.data());
  const auto log_in_so = [&] { return list().C_Login(session, CKU_SO, bytes, pin.size()); };
  const auto log_in_user = [&] {
    return list().C_LoginUser(session, CKU_USER, bytes + 3, 4, reinterpret_cast<CK_UTF8CHAR*>(name.data()), 4);
  };
  expect_every_code("C_Login", [&] { return log_in(session); });
  ASSERT_EQ(list().C_Logout(session), CKR_OK);
  expect_every_code("C_Login", log_in_so);
  ASSERT_EQ(list().C_Logout(session), CKR_OK);
  expect_every_code("C_LoginUser", log_in_user);
}

TEST_F(ProxiedMockTokens, InitialisationsPassEveryReturnCodeUnchanged) {
  std::string pin = "so-1234";
  std::string label(32, 'x');
  expect_every_code("C_InitToken", [&] {
    return list().C_InitToken(slot_, reinterpret_cast<CK_UTF8CHAR*>(pin.data()), pin.size(),
                              reinterpret_cast<CK_UTF8CHAR*>(label.data()));
  });
}

// What the mock has recorded of the last call of a function: its arguments, without the session.
std::string last_recorded(const std::string& record, std::string_view function) {
  const std::regex line("\\d+ \\d+ " + std::string(function) + " 0x[0-9a-f]+ ?(.*)");
  std::string last = "(nothing)";
  std::istringstream lines(record);
  std::smatch parts;
  for (std::string text; std::getline(lines, text);) {
    if (std::regex_match(text, parts, line)) last = parts[1];
  }
  return last;
}

// The same by our own reckoning, with the module's handle of the key in place of the application's.
template <Function F, class Prepared>
std::string expected_arguments(const Prepared& prepared, CK_OBJECT_HANDLE key) {
  Description description(kVendorMechanism);
  prepared.describe(description);
  std::string text = description.text();
  const std::size_t after_session = text.find(' ');
  text = after_session == std::string::npos ? "" : text.substr(after_session + 1);
  std::ostringstream virtual_key;
  virtual_key << "0x" << std::hex << key;
  std::ostringstream real_key;
  real_key << "0x" << std::hex << kRealKey;
  return std::regex_replace(text, std::regex(virtual_key.str() + "\\b"), real_key.str());
}

TEST_F(ProxiedMock, EveryArgumentArrivesAsItWasGiven) {
  const auto check = [this]<Function F, class Prototype>(Prototype function) {
    // Of saved states the module gets back only those that it gave out itself.
    if (is_left_out(F) || F == Function::C_SetOperationState) return;
    const CK_SESSION_HANDLE session = open_session();
    control_.forget_record();
    control_.set(control_.record_directive() + std::string(function_name(F)) + " rv=CKR_FUNCTION_REJECTED");
    PreparedCall<F, Prototype> prepared(session, key_);
    const std::string expected = expected_arguments<F>(prepared, key_);
    EXPECT_EQ(call<F>(function, session, prepared), CKR_FUNCTION_REJECTED);
    EXPECT_EQ(last_recorded(control_.recorded(), function_name(F)), expected) << function_name(F);
    EXPECT_EQ(list().C_CloseSession(session), CKR_OK);
  };
#define CK_PKCS11_FUNCTION_INFO(name) check.template operator()<Function::name>(list().name);
#include <pkcs11f.h>
#undef CK_PKCS11_FUNCTION_INFO
}

// Wherever in a search the module fails, the application learns its code.
TEST_F(ProxiedMock, SearchesPassEveryReturnCodeUnchanged) {
  const CK_SESSION_HANDLE session = open_session();
  for (const std::string function : {"C_FindObjectsInit", "C_FindObjects"}) {
    for (const CK_RV rv : every_error()) {
      control_.set(function + " rv=" + std::to_string(rv));
      CK_OBJECT_HANDLE object = 0;
      CK_ULONG count = 0;
      CK_RV given = list().C_FindObjectsInit(session, nullptr, 0);
      if (given == CKR_OK) {
        given = list().C_FindObjects(session, &object, 1, &count);
        list().C_FindObjectsFinal(session);
      }
      ASSERT_EQ(given, rv) << function << ": " << display(NameKind::ckr, rv);
    }
  }
}

}  // namespace
}  // namespace p11shim
