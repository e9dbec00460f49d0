// Which attributes and searches are answered again without asking, and when no longer.
#include "remembered.h"

namespace p11shim {
namespace {

TEST_F(RememberedTest, OneMessageForALengthAndItsValue) {
  expect_length();
  expect_label();
  EXPECT_EQ(messages(), 1);
}

TEST_F(RememberedTest, WhatWasReadIsNotAskedForAgain) {
  for (int i = 0; i < 3; ++i) expect_label();
  expect_length();
  EXPECT_EQ(messages(), 1);
}

TEST_F(RememberedTest, AnotherApplicationsChangeIsSeenAtOnce) {
  expect_label();
  ++page_->of(kSlot);
  expect_label();
  EXPECT_EQ(messages(), 2);
  ++page_->of(kSlot + 1);
  expect_label();
  EXPECT_EQ(messages(), 0) << "of another slot";
}

TEST_F(RememberedTest, OwnChangesAndLoginsBeginAnew) {
  expect_label();
  CK_ATTRIBUTE attribute{CKA_LABEL, nullptr, 0};
  EXPECT_EQ(C_SetAttributeValue(session_, kObject, &attribute, 1), CKR_OK);
  expect_label();
  EXPECT_EQ(messages(), 3);
  CK_BYTE pin[] = {'1'};
  EXPECT_EQ(C_Login(session_, CKU_USER, pin, sizeof pin), CKR_OK);
  expect_label();
  EXPECT_EQ(messages(), 2);
}

TEST_F(RememberedTest, AChangedSessionObjectIsAskedForAgainAndNoOther) {
  constexpr CK_OBJECT_HANDLE kOwn = 3 | kSessionObjectBit;
  char label[10];
  CK_ATTRIBUTE attribute{CKA_LABEL, label, sizeof label};
  const auto read_own = [&] {
    attribute.ulValueLen = sizeof label;
    EXPECT_EQ(C_GetAttributeValue(session_, kOwn, &attribute, 1), CKR_OK);
  };
  expect_label();
  read_own();
  read_own();
  EXPECT_EQ(messages(), 2);
  EXPECT_EQ(C_SetAttributeValue(session_, kOwn, &attribute, 1), CKR_OK);
  expect_label();
  EXPECT_EQ(messages(), 1);
  read_own();
  EXPECT_EQ(messages(), 1);
}

TEST_F(RememberedTest, WhatDoesNotFitIsTheModulesToJudge) {
  expect_label();
  CK_ULONG size = 8, number = 0;
  EXPECT_EQ(get(CKA_CLASS, &number, size), CKR_OK);
  messages();
  expect_label(4);
  EXPECT_EQ(messages(), 0);
  char large[16];
  size = sizeof large;
  EXPECT_EQ(get(CKA_CLASS, large, size), CKR_OK);
  EXPECT_EQ(messages(), 1) << "some modules refuse a number a buffer that is too large";
  CK_BBOOL unknown = CK_FALSE;
  size = sizeof unknown;
  EXPECT_EQ(get(CKA_SIGN, &unknown, size), CKR_ATTRIBUTE_TYPE_INVALID);
  EXPECT_EQ(get(CKA_SIGN, &unknown, size), CKR_ATTRIBUTE_TYPE_INVALID);
  EXPECT_EQ(messages(), 2);
}

TEST_F(RememberedTest, SecretsAreNeverRemembered) {
  for (int i = 0; i < 2; ++i) {
    char key = 0;
    CK_ULONG size = 1;
    EXPECT_EQ(get(CKA_VALUE, &key, size), CKR_OK);
  }
  EXPECT_EQ(messages(), 2);
}

TEST_F(RememberedTest, ASearchBringsAlongWhatIsUsuallyRead) {
  expect_label();
  CK_ULONG size = 8, number = 0;
  EXPECT_EQ(get(CKA_CLASS, &number, size), CKR_OK);
  ++page_->of(kSlot);
  messages();
  search();
  expect_length();
  expect_label();
  EXPECT_EQ(get(CKA_CLASS, &number, size), CKR_OK);
  EXPECT_EQ(number, 3u);
  EXPECT_EQ(messages(), 1);
}

TEST_F(RememberedTest, SearchesAskForNothingThatNobodyReads) {
  search();
  EXPECT_FALSE(asked_along_) << "nobody has read anything";
  expect_label();
  search();
  EXPECT_TRUE(asked_along_);
  search();
  EXPECT_FALSE(asked_along_);
  expect_label();
  search();
  EXPECT_FALSE(asked_along_) << "it was known";
  ++page_->of(kSlot);
  expect_label();
  ++page_->of(kSlot);
  search();
  EXPECT_TRUE(asked_along_);
  expect_label();
  ++page_->of(kSlot);
  search();
  EXPECT_TRUE(asked_along_) << "it was of use";
}

}  // namespace
}  // namespace p11shim
