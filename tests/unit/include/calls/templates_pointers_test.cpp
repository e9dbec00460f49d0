// No pointer of one process is ever read in another.
#include <algorithm>
#include <iterator>

#include "templates_decoded.h"

namespace p11shim {
namespace {

// [[type, bytes]]
Buffer one_of_bytes(CK_ATTRIBUTE_TYPE type, std::span<const CK_ULONG> words, std::size_t size) {
  Buffer bytes;
  Out out(bytes);
  out.array(1);
  out.array(2);
  out.uint(type);
  out.bin(words.data(), size);
  return bytes;
}

TEST(InTemplate, BytesAreNeverTakenForATemplate) {
  const CK_ULONG pointers[] = {CKA_LABEL, 0x4141414141414141, 64, CKA_ID, 0x4141414141414141, 64};
  for (const CK_ATTRIBUTE_TYPE type : {CKA_WRAP_TEMPLATE, CKA_UNWRAP_TEMPLATE, CKA_DERIVE_TEMPLATE,
                                       CK_ATTRIBUTE_TYPE{CKA_VENDOR_DEFINED | CKF_ARRAY_ATTRIBUTE | 7}}) {
    for (const std::size_t size : {sizeof pointers, sizeof pointers / 2}) {
      Decoded decoded;
      decode(one_of_bytes(type, pointers, size).bytes(), decoded);
      EXPECT_FALSE(decoded.well_formed) << type << ' ' << size;
    }
  }
  Decoded odd;
  decode(one_of_bytes(CKA_WRAP_TEMPLATE, pointers, sizeof pointers - 1).bytes(), odd);
  ASSERT_TRUE(odd.well_formed) << "a size that the module refuses";
  EXPECT_EQ(odd.attributes[0].ulValueLen, sizeof pointers - 1);
  const auto* inside = static_cast<const std::uint8_t*>(odd.attributes[0].pValue);
  EXPECT_TRUE(std::all_of(inside, inside + sizeof pointers - 1, [](std::uint8_t byte) { return byte == 0; }));
}

TEST(InTemplate, PointersThatCannotBeFollowedAreNotSent) {
  CK_BBOOL yes = CK_TRUE;
  CK_ATTRIBUTE levels[limits::kMaxTemplateDepth + 3];
  levels[0] = attribute(CKA_TOKEN, yes);
  for (std::size_t i = 1; i < std::size(levels); ++i) {
    levels[i] = {CKA_WRAP_TEMPLATE, &levels[i - 1], sizeof(CK_ATTRIBUTE)};
  }
  Decoded decoded;
  decode(encode({&levels[std::size(levels) - 1], 1}).bytes(), decoded);
  ASSERT_TRUE(decoded.well_formed);
  const CK_ATTRIBUTE* inner = decoded.attributes;
  for (std::size_t depth = 0; depth < limits::kMaxTemplateDepth; ++depth) {
    inner = static_cast<const CK_ATTRIBUTE*>(inner->pValue);
    ASSERT_NE(inner, nullptr);
  }
  EXPECT_EQ(inner->pValue, nullptr);
  EXPECT_EQ(inner->ulValueLen, sizeof(CK_ATTRIBUTE));

  CK_ATTRIBUTE vendors[] = {attribute(CKA_TOKEN, yes)};
  const CK_ATTRIBUTE array[] = {attribute(CKA_VENDOR_DEFINED | CKF_ARRAY_ATTRIBUTE | 7, vendors)};
  Decoded second;
  decode(encode(array).bytes(), second);
  ASSERT_TRUE(second.well_formed);
  EXPECT_EQ(second.attributes[0].pValue, nullptr);
  EXPECT_EQ(second.attributes[0].ulValueLen, sizeof vendors);

  CK_ULONG numbers[] = {CKM_AES_GCM, CKM_SHA256, CKM_RSA_PKCS};
  const CK_ATTRIBUTE list[] = {attribute(CKA_VENDOR_DEFINED | CKF_ARRAY_ATTRIBUTE | 7, numbers)};
  Decoded third;
  decode(encode(list).bytes(), third);
  ASSERT_TRUE(third.well_formed);
  EXPECT_EQ(std::memcmp(third.attributes[0].pValue, numbers, sizeof numbers), 0);
}

TEST(QueryTemplate, ABufferIsNeverTakenForATemplate) {
  const auto asked_for = [](CK_ATTRIBUTE_TYPE type, CK_ULONG capacity, Decoded& decoded) {
    std::memset(decoded.arena.allocate(4096), 0x41, 4096);  // an earlier call's
    decoded.arena.clear();
    Buffer bytes;
    Out out(bytes);
    out.array(1);
    out.array(2);
    out.uint(type);
    out.uint(capacity);
    In in(bytes.bytes());
    decode_query(in, decoded.arena, decoded.attributes, decoded.count);
    decoded.well_formed = in.done();
  };
  Decoded whole, odd, vendors;
  asked_for(CKA_WRAP_TEMPLATE, 2 * sizeof(CK_ATTRIBUTE), whole);
  EXPECT_FALSE(whole.well_formed);
  asked_for(CKA_WRAP_TEMPLATE, 2 * sizeof(CK_ATTRIBUTE) + 1, odd);
  asked_for(CKA_VENDOR_DEFINED | CKF_ARRAY_ATTRIBUTE | 7, 2 * sizeof(CK_ATTRIBUTE), vendors);
  for (const Decoded* decoded : {&odd, &vendors}) {
    ASSERT_TRUE(decoded->well_formed);
    const auto* room = static_cast<const std::uint8_t*>(decoded->attributes[0].pValue);
    EXPECT_EQ(std::count(room, room + 2 * sizeof(CK_ATTRIBUTE), 0), 2 * sizeof(CK_ATTRIBUTE));
  }
}

}  // namespace
}  // namespace p11shim
