// An HSM that applications used directly becomes a member of a pool, and they do not notice: the token and its slot look as
// the module itself shows them.
#include "compare/module.h"
#include "pool_writes.h"

namespace p11shim {
namespace {

template <std::size_t N>
std::string text(const CK_UTF8CHAR (&field)[N]) {
  return {reinterpret_cast<const char*>(field), N};
}

// What a pkcs11: URI may name of a token and its slot.
struct Face {
  std::string label, serial, manufacturer, model, slot_description, slot_manufacturer;
  friend bool operator==(const Face&, const Face&) = default;
};
std::ostream& operator<<(std::ostream& out, const Face& face) {
  return out << face.label << '/' << face.serial << '/' << face.manufacturer << '/' << face.model << '/'
             << face.slot_description << '/' << face.slot_manufacturer;
}
Face face_of(CK_FUNCTION_LIST& functions, CK_SLOT_ID slot) {
  CK_TOKEN_INFO token{};
  CK_SLOT_INFO info{};
  EXPECT_EQ(functions.C_GetTokenInfo(slot, &token), CKR_OK);
  EXPECT_EQ(functions.C_GetSlotInfo(slot, &info), CKR_OK);
  return {text(token.label), text(token.serialNumber),   text(token.manufacturerID),
          text(token.model), text(info.slotDescription), text(info.manufacturerID)};
}

class PoolMigration : public PoolWrites {
 protected:
  // The application as it was before, without proxyd.
  Face directly(std::size_t member) {
    ::setenv("SOFTHSM2_CONF", (members.directory(member) / "softhsm2.conf").c_str(), 1);
    CK_FUNCTION_LIST& functions = compare::Module(compare::SofthsmBackend().module()).functions();
    EXPECT_EQ(functions.C_Initialize(nullptr), CKR_OK);
    CK_SLOT_ID slots[8];
    CK_ULONG count = std::size(slots);
    EXPECT_EQ(functions.C_GetSlotList(CK_TRUE, slots, &count), CKR_OK);
    Face found;
    for (CK_ULONG i = 0; i < count; ++i)
      if (const Face face = face_of(functions, slots[i]); face.label.starts_with("first ")) found = face;
    EXPECT_EQ(functions.C_Finalize(nullptr), CKR_OK);
    ::unsetenv("SOFTHSM2_CONF");
    return found;
  }
  // Two pools, in an order that is not that of their slots.
  std::string config(const std::string& looks_like) {
    std::string text = members.config("looks_like = \"" + looks_like + "\"\n" + kQuick);
    const std::string both = "members = [\"hsm0\", \"hsm1\", \"hsm2\"]\n";
    const std::size_t at = text.find("slot = 0\n" + both);
    EXPECT_NE(at, std::string::npos);
    text.replace(at, both.size() + 9, "slot = 4711\nmembers = [\"hsm0\", \"hsm1\"]\n");
    return "[limits]\ndeadline = \"300ms\"\n" + text +
           "[[pool]]\nname = \"other\"\nslot = 5\nmembers = [\"hsm2\"]\nserial = \"42\"\n";
  }
  PoolMembers members{3};
};

TEST_F(PoolMigration, TheTokenLooksAsTheMemberDidAlsoWithoutIt) {
  const Face before = directly(1);
  ASSERT_TRUE(before.label.starts_with("first "));
  PrivateProxyd proxyd(config("hsm1"));
  // While nobody has ever seen what it is to look like nothing else is shown.
  members.rules(1).set("C_Initialize rv=CKR_DEVICE_ERROR");
  proxyd.start();
  {
    TestApplication application(proxyd);
    EXPECT_EQ(application.slots(), (std::vector<CK_SLOT_ID>{4711, 5}));
    CK_TOKEN_INFO info{};
    EXPECT_EQ(application->C_GetTokenInfo(4711, &info), CKR_DEVICE_ERROR);
    members.rules(1).set("");
    EXPECT_TRUE(eventually([&] { return application->C_GetTokenInfo(4711, &info) == CKR_OK; }));
    EXPECT_EQ(face_of(*application.operator->(), 4711), before);
  }
  proxyd.stop();
  members.rules(1).set("C_Initialize rv=CKR_DEVICE_ERROR");
  proxyd.start();
  TestApplication application(proxyd);
  EXPECT_EQ(application.slots(), (std::vector<CK_SLOT_ID>{4711, 5}));
  CK_SESSION_HANDLE session = application.open(true, 4711);  // waits for the member that is there
  EXPECT_EQ(application.log_in(session, compare::kUserPin), CKR_OK);
  EXPECT_EQ(face_of(*application.operator->(), 4711), before);
  EXPECT_EQ(face_of(*application.operator->(), 5).serial, "42              ");
}

TEST_F(PoolMigration, WhatIsConfiguredIsShownInstead) {
  std::string text = config("hsm0");
  text.replace(text.find("slot = 4711\n"), 12, "slot = 4711\nlabel = \"mine\"\nmodel = \"M\"\n");
  Face expected = directly(0);
  expected.label = "mine" + std::string(28, ' ');
  expected.model = "M" + std::string(15, ' ');
  PrivateProxyd proxyd(text);
  proxyd.start();
  TestApplication application(proxyd);
  CK_TOKEN_INFO info{};
  EXPECT_TRUE(eventually([&] { return application->C_GetTokenInfo(4711, &info) == CKR_OK; }));
  EXPECT_EQ(face_of(*application.operator->(), 4711), expected);
}

}  // namespace
}  // namespace p11shim
