#include "pkcs11/attributes.h"

#include <gtest/gtest.h>

#include "pkcs11/names.h"

namespace p11shim {
namespace {

TEST(Attributes, EveryNamedAttributeHasAKind) {
  for (const Name& name : all(NameKind::cka)) EXPECT_NE(find_attribute(name.value), nullptr) << name.text;
}

TEST(Attributes, ArrayAttributesAreThoseWithTheArrayFlag) {
  for (const Attribute& attribute : kAttributes) {
    if ((attribute.type & CKA_VENDOR_DEFINED) != 0) continue;
    const bool is_array =
        attribute.kind == AttributeKind::attribute_template || attribute.kind == AttributeKind::mechanism_list;
    EXPECT_EQ(is_array, (attribute.type & CKF_ARRAY_ATTRIBUTE) != 0) << display(NameKind::cka, attribute.type);
  }
}

TEST(Attributes, KeyMaterialIsSecret) {
  for (const CK_ATTRIBUTE_TYPE type : {CKA_VALUE, CKA_PRIVATE_EXPONENT, CKA_PRIME_1, CKA_PRIME_2, CKA_EXPONENT_1,
                                       CKA_EXPONENT_2, CKA_COEFFICIENT, static_cast<CK_ULONG>(CKA_SEED)})
    EXPECT_TRUE(is_secret_attribute(type)) << display(NameKind::cka, type);
  for (const CK_ATTRIBUTE_TYPE type : {CKA_CLASS, CKA_LABEL, CKA_ID, CKA_MODULUS, CKA_EC_POINT, CKA_PRIME})
    EXPECT_FALSE(is_secret_attribute(type)) << display(NameKind::cka, type);
}

TEST(Attributes, FixedAttributesNeverChange) {
  EXPECT_TRUE(is_fixed_attribute(CKA_CLASS));
  EXPECT_TRUE(is_fixed_attribute(CKA_MODULUS));
  EXPECT_TRUE(is_fixed_attribute(CKA_PRIVATE_EXPONENT));
  EXPECT_FALSE(is_fixed_attribute(CKA_LABEL));
  EXPECT_FALSE(is_fixed_attribute(CKA_ID));
  EXPECT_FALSE(is_fixed_attribute(CKA_EXTRACTABLE));
}

TEST(Attributes, UnknownOnesAreSecretBytesThatMayChange) {
  constexpr CK_ATTRIBUTE_TYPE kUnknown = CKA_VENDOR_DEFINED | 0x1234;
  EXPECT_EQ(attribute_kind(kUnknown), AttributeKind::bytes);
  EXPECT_TRUE(is_secret_attribute(kUnknown));
  EXPECT_FALSE(is_fixed_attribute(kUnknown));
}

TEST(Attributes, KindsOfTheUsualOnes) {
  EXPECT_EQ(attribute_kind(CKA_CLASS), AttributeKind::ulong);
  EXPECT_EQ(attribute_kind(CKA_TOKEN), AttributeKind::boolean);
  EXPECT_EQ(attribute_kind(CKA_LABEL), AttributeKind::utf8);
  EXPECT_EQ(attribute_kind(CKA_START_DATE), AttributeKind::date);
  EXPECT_EQ(attribute_kind(CKA_MODULUS), AttributeKind::big_integer);
  EXPECT_EQ(attribute_kind(CKA_WRAP_TEMPLATE), AttributeKind::attribute_template);
  EXPECT_EQ(attribute_kind(CKA_ALLOWED_MECHANISMS), AttributeKind::mechanism_list);
}

}  // namespace
}  // namespace p11shim
