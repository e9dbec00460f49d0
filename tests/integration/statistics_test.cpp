// What the statistics say of calls that the shim sends together.
#include <gtest/gtest.h>

#include "application.h"
#include "configs.h"

namespace p11shim {
namespace {

TEST(Statistics, InitThatTravelsAlongIsCountedUnderItsOwnName) {
  MockModule mock;
  PrivateProxyd proxyd(mock.config());
  proxyd.start();
  TestApplication application(proxyd);
  const auto session = application.open();
  CK_MECHANISM mechanism{CKM_SHA256, nullptr, 0};
  CK_BYTE data[8] = {}, out[64];
  const auto digest = [&] {
    CK_ULONG size = sizeof out;
    EXPECT_EQ(application->C_DigestInit(session, &mechanism), CKR_OK);
    return application->C_Digest(session, data, sizeof data, out, &size);
  };
  for (int i = 0; i < 3; ++i) ASSERT_EQ(digest(), CKR_OK);  // from the second on with its Init
  mock.rules.set("C_DigestInit rv=CKR_DEVICE_MEMORY times=1");
  ASSERT_EQ(digest(), CKR_DEVICE_MEMORY);
  const auto stats = proxyd.ask("{\"command\":\"stats\"}")["result"];
  for (const auto& member : stats["members"]) {
    if (member["member"] != "hsm") continue;
    const auto& functions = member["functions"];
    EXPECT_EQ(functions["C_DigestInit"]["calls"], 4);
    EXPECT_EQ(functions["C_DigestInit"]["errors"], (nlohmann::json{{"CKR_DEVICE_MEMORY", 1}}));
    EXPECT_EQ(functions["C_Digest"]["calls"], 3);
    EXPECT_EQ(functions["C_Digest"]["failed"], 0);
    EXPECT_EQ(functions["C_Digest"]["total"]["count"], 3);
    EXPECT_EQ(member["mechanisms"]["CKM_SHA256"]["calls"], 4);
    return;
  }
  FAIL() << stats;
}

}  // namespace
}  // namespace p11shim
