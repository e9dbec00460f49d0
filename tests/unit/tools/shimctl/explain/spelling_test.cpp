#include "tools/shimctl/explain/spelling.h"

#include <gtest/gtest.h>

namespace p11shim {
namespace {

const KnownName kNames[] = {{"CKR_OK", 0},
                            {"CKR_DEVICE_ERROR", 0x30},
                            {"CKR_PIN_INCORRECT", 0xa0},
                            {"CKR_BUFFER_TOO_SMALL", 0x150},
                            {"CKR_VENDOR_ONE", 0x80000001},
                            {"CKR_VENDOR_TWO", 0x80000001}};
const OtherWords kOthers[] = {{"PIN incorrect", 2}, {"PinIncorrect", 2}};

std::string found(std::string_view asked) {
  std::string text;
  for (const SpelledName& name : find_names(asked, kNames, "CKR_"))
    text += std::string(text.empty() ? "" : " ") + std::string(kNames[name.index].name);
  return text;
}

std::string in_line(std::string_view line) {
  std::string text;
  for (const std::size_t index : find_in_line(line, kNames, kOthers))
    text += std::string(text.empty() ? "" : " ") + std::string(kNames[index].name);
  return text;
}

TEST(Spelling, AcceptsNumbersAndNames) {
  for (const char* asked :
       {"0x150", "0X00000150", "336", "0x150UL", "CKR_BUFFER_TOO_SMALL", "buffer_too_small", "ckr_buffer_too_small",
        "Buffer-Too Small", "BufferTooSmall", "buffer_to_small", "CKR_BUFER_TOO_SMALL"})
    EXPECT_EQ(found(asked), "CKR_BUFFER_TOO_SMALL") << asked;
  EXPECT_EQ(found("ok"), "CKR_OK");
  EXPECT_EQ(found("0"), "CKR_OK");
}

TEST(Spelling, TellsHowItUnderstood) {
  EXPECT_EQ(find_names("CKR_OK", kNames, "CKR_").at(0).how, Spelling::kExact);
  EXPECT_EQ(find_names("0xa0", kNames, "CKR_").at(0).how, Spelling::kNumber);
  EXPECT_EQ(find_names("pin incorrect", kNames, "CKR_").at(0).how, Spelling::kVariant);
  EXPECT_EQ(find_names("pin_incorect", kNames, "CKR_").at(0).how, Spelling::kTypo);
}

TEST(Spelling, GivesAllNamesOfOneNumber) { EXPECT_EQ(found("0x80000001"), "CKR_VENDOR_ONE CKR_VENDOR_TWO"); }

TEST(Spelling, DoesNotGuessWildly) {
  for (const char* asked : {"", "xyzzy", "0x", "0xzz", "99999999999999999999999", "-1", "0x7777"})
    EXPECT_EQ(found(asked), "") << asked;
}

TEST(Spelling, FindsCodesInLogs) {
  EXPECT_EQ(in_line("error: PKCS11 function C_Login failed: rv = CKR_PIN_INCORRECT (0xa0)"), "CKR_PIN_INCORRECT");
  EXPECT_EQ(in_line("C_Sign: rv=0x30, then CKR... "), "CKR_DEVICE_ERROR");
  EXPECT_EQ(in_line("Returned:  160 CKR_PIN_INCORRECT"), "CKR_PIN_INCORRECT");
  EXPECT_EQ(in_line("error:82:PKCS#11 module:pkcs11_login:PIN incorrect:p11_slot.c:206"), "CKR_PIN_INCORRECT");
  EXPECT_EQ(in_line("pkcs11.exceptions.PinIncorrect"), "CKR_PIN_INCORRECT");
  EXPECT_EQ(in_line("unknown error (0x00000150)"), "CKR_BUFFER_TOO_SMALL");
  EXPECT_EQ(in_line("ckr_device_error, CKR_PIN_INCORRECT, CKR_DEVICE_ERROR"), "CKR_DEVICE_ERROR CKR_PIN_INCORRECT");
}

TEST(Spelling, LeavesOtherNumbersOfALogAlone) {
  for (const char* line : {"", "pid 160 took 336 ms", "slot 0x30", "CKR_", "CKR_NONSENSE", "handle (48)"})
    EXPECT_EQ(in_line(line), "") << line;
}

}  // namespace
}  // namespace p11shim
