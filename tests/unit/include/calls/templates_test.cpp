// Attribute arrays: what goes in arrives, what a module fills in comes back, and what is malformed is
// refused.
#include "templates_decoded.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

namespace p11shim {
namespace {

TEST(InTemplate, KeepsWhateverAModuleMayHaveAnOpinionAbout) {
  CK_BBOOL yes = CK_TRUE;
  CK_ULONG number = 77;
  CK_DATE date{{'2', '0', '2', '6'}, {'1', '1'}, {'2', '0'}};
  CK_MECHANISM_TYPE allowed[] = {CKM_AES_GCM, CKM_VENDOR_DEFINED + 1};
  const std::vector<CK_ATTRIBUTE> sent{
      attribute(CKA_TOKEN, yes),
      attribute(CKA_KEY_TYPE, number),
      attribute(CKA_START_DATE, date),
      attribute(CKA_ALLOWED_MECHANISMS, allowed),
      {CKA_LABEL, &number, 0},         // empty, not NULL
      {CKA_ID, nullptr, 0},            // NULL
      {CKA_VALUE, nullptr, 12},        // NULL that claims a length
      {CKA_MODULUS_BITS, &number, 3},  // a number of the wrong size
      {CKA_VENDOR_DEFINED + 9, &number, sizeof number},
      {CKA_LABEL, nullptr, CK_UNAVAILABLE_INFORMATION},
      attribute(CKA_KEY_TYPE, number),  // twice
  };
  Decoded decoded;
  const Buffer bytes = encode(sent);
  decode(bytes.bytes(), decoded);
  ASSERT_TRUE(decoded.well_formed);
  ASSERT_EQ(decoded.count, sent.size());
  for (std::size_t i = 0; i < sent.size(); ++i) {
    SCOPED_TRACE(i);
    EXPECT_EQ(decoded.attributes[i].type, sent[i].type);
    EXPECT_EQ(decoded.attributes[i].ulValueLen, sent[i].ulValueLen);
    ASSERT_EQ(decoded.attributes[i].pValue == nullptr, sent[i].pValue == nullptr);
    if (sent[i].pValue == nullptr) continue;
    EXPECT_EQ(std::memcmp(decoded.attributes[i].pValue, sent[i].pValue, sent[i].ulValueLen), 0);
  }
}

TEST(InTemplate, KeepsNestedTemplates) {
  CK_BBOOL yes = CK_TRUE;
  CK_ULONG type = CKK_AES;
  CK_ATTRIBUTE inner[] = {attribute(CKA_KEY_TYPE, type)};
  CK_ATTRIBUTE outer[] = {attribute(CKA_SENSITIVE, yes), attribute(CKA_UNWRAP_TEMPLATE, inner)};
  const CK_ATTRIBUTE sent[] = {attribute(CKA_WRAP_TEMPLATE, outer),
                               {CKA_DERIVE_TEMPLATE, nullptr, 2 * sizeof(CK_ATTRIBUTE)}};
  const Buffer bytes = encode(sent);
  Decoded decoded;
  decode(bytes.bytes(), decoded);
  ASSERT_TRUE(decoded.well_formed);
  ASSERT_EQ(decoded.attributes[0].ulValueLen, sizeof outer);
  const auto* middle = static_cast<const CK_ATTRIBUTE*>(decoded.attributes[0].pValue);
  EXPECT_EQ(*static_cast<const CK_BBOOL*>(middle[0].pValue), CK_TRUE);
  ASSERT_EQ(middle[1].ulValueLen, sizeof inner);
  const auto* innermost = static_cast<const CK_ATTRIBUTE*>(middle[1].pValue);
  EXPECT_EQ(*static_cast<const CK_ULONG*>(innermost[0].pValue), CKK_AES);
  EXPECT_EQ(decoded.attributes[1].pValue, nullptr);
  EXPECT_EQ(decoded.attributes[1].ulValueLen, 2 * sizeof(CK_ATTRIBUTE));
}

TEST(InTemplate, ValuesAreAlignedForModulesThatCast) {
  CK_BBOOL yes = CK_TRUE;
  CK_MECHANISM_TYPE allowed[] = {CKM_AES_GCM};
  const CK_ATTRIBUTE sent[] = {attribute(CKA_TOKEN, yes), attribute(CKA_ALLOWED_MECHANISMS, allowed)};
  const Buffer bytes = encode(sent);
  Decoded decoded;
  decode(bytes.bytes(), decoded);
  ASSERT_TRUE(decoded.well_formed);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(decoded.attributes[1].pValue) % alignof(CK_ULONG), 0u);
}

TEST(InTemplate, DeeperNestingThanTheBoundIsMalformed) {
  Buffer bytes;
  Out out(bytes);
  for (std::size_t depth = 0; depth < limits::kMaxTemplateDepth + 1; ++depth) {
    out.array(1);
    out.array(2);
    out.uint(CKA_WRAP_TEMPLATE);
  }
  out.array(0);
  Decoded decoded;
  decode(bytes.bytes(), decoded);
  EXPECT_FALSE(decoded.well_formed);
}

TEST(InTemplate, ANestedTemplateWhereBytesBelongIsMalformed) {
  Buffer bytes;
  Out out(bytes);
  out.array(1);
  out.array(2);
  out.uint(CKA_LABEL);
  out.array(0);
  Decoded decoded;
  decode(bytes.bytes(), decoded);
  EXPECT_FALSE(decoded.well_formed);
}

TEST(InTemplate, MoreAttributesThanTheBoundAreMalformedOrRefused) {
  Buffer bytes;
  Out out(bytes);
  out.array(limits::kMaxAttributes + 1);
  for (std::size_t i = 0; i <= limits::kMaxAttributes; ++i) out.nil();
  Decoded decoded;
  decode(bytes.bytes(), decoded);
  EXPECT_FALSE(decoded.well_formed);
  CK_ATTRIBUTE one{};
  EXPECT_EQ(InTemplate::check(&one, limits::kMaxAttributes + 1), CKR_ARGUMENTS_BAD);
  EXPECT_EQ(InTemplate::check(nullptr, limits::kMaxAttributes + 1), CKR_OK) << "the module says what it thinks of that";
}

// Carries a query to `module` and its answers back.
bool query(std::span<CK_ATTRIBUTE> asked, const std::function<void(CK_ATTRIBUTE*, CK_ULONG)>& module) {
  Buffer request, reply;
  Out to_worker(request), to_shim(reply);
  encode_query(to_worker, asked.data(), asked.size());
  In in(request.bytes());
  Arena arena;
  CK_ATTRIBUTE_PTR attributes = nullptr;
  CK_ULONG count = 0;
  decode_query(in, arena, attributes, count);
  if (!in.done()) return false;
  module(attributes, count);
  encode_answers(to_shim, attributes, count);
  In answers(reply.bytes());
  decode_answers(answers, asked.data(), asked.size());
  return answers.done();
}

TEST(QueryTemplate, LengthsAndValuesComeBackWhateverTheyAre) {
  CK_ULONG type = 0xee;
  CK_BYTE label[8], small[2], odd[8];
  for (auto* bytes : {label, odd}) std::memset(bytes, 0xee, 8);
  std::memset(small, 0xee, sizeof small);
  std::array<CK_ATTRIBUTE, 7> asked{{attribute(CKA_KEY_TYPE, type),
                                     {CKA_LABEL, label, sizeof label},
                                     {CKA_ID, small, sizeof small},
                                     {CKA_SUBJECT, nullptr, 0},
                                     {CKA_VALUE, odd, sizeof odd},
                                     {CKA_MODULUS_BITS, nullptr, 99},
                                     {CKA_EC_POINT, label, 0}}};
  ASSERT_TRUE(query(asked, [&](CK_ATTRIBUTE* seen, CK_ULONG count) {
    ASSERT_EQ(count, 7u);
    EXPECT_EQ(seen[1].ulValueLen, sizeof label);
    EXPECT_EQ(seen[3].pValue, nullptr);
    *static_cast<CK_ULONG*>(seen[0].pValue) = CKK_EC;
    std::memcpy(seen[1].pValue, "abc", 3);
    seen[1].ulValueLen = 3;
    seen[2].ulValueLen = CK_UNAVAILABLE_INFORMATION;  // too small
    seen[3].ulValueLen = 300;
    seen[4].ulValueLen = CK_UNAVAILABLE_INFORMATION;  // sensitive
    seen[5].ulValueLen = sizeof(CK_ULONG);
    seen[6].ulValueLen = 0;
  }));
  EXPECT_EQ(type, CKK_EC);
  EXPECT_EQ(asked[0].ulValueLen, sizeof type);
  EXPECT_EQ(std::string(reinterpret_cast<char*>(label), 4), "abc\xee");
  EXPECT_EQ(asked[1].ulValueLen, 3u);
  EXPECT_EQ(asked[2].ulValueLen, CK_UNAVAILABLE_INFORMATION);
  EXPECT_EQ(small[0], 0xee);
  EXPECT_EQ(asked[3].ulValueLen, 300u);
  EXPECT_EQ(asked[4].ulValueLen, CK_UNAVAILABLE_INFORMATION);
  EXPECT_EQ(odd[0], 0xee);
  EXPECT_EQ(asked[5].ulValueLen, sizeof(CK_ULONG));
  EXPECT_EQ(asked[6].ulValueLen, 0u);
}

TEST(QueryTemplate, ANumberThatAModuleAnswersShorterIsBytes) {
  CK_ULONG type = 0;
  std::array<CK_ATTRIBUTE, 1> asked{{attribute(CKA_KEY_TYPE, type)}};
  ASSERT_TRUE(query(asked, [](CK_ATTRIBUTE* seen, CK_ULONG) {
    *static_cast<CK_BYTE*>(seen[0].pValue) = 5;
    seen[0].ulValueLen = 1;
  }));
  EXPECT_EQ(asked[0].ulValueLen, 1u);
  EXPECT_EQ(*reinterpret_cast<CK_BYTE*>(&type), 5);
}

TEST(QueryTemplate, ALengthThatExceedsTheBufferComesBackWithoutAValue) {
  CK_BYTE label[4] = {1, 2, 3, 4};
  std::array<CK_ATTRIBUTE, 1> asked{{{CKA_LABEL, label, sizeof label}}};
  ASSERT_TRUE(query(asked, [](CK_ATTRIBUTE* seen, CK_ULONG) { seen[0].ulValueLen = 40; }));
  EXPECT_EQ(asked[0].ulValueLen, 40u);
  EXPECT_EQ(label[0], 1);
}

TEST(QueryTemplate, NestedTemplatesAreFilledIn) {
  CK_ULONG number = 0;
  CK_BYTE bytes[4] = {};
  CK_ATTRIBUTE inner[2] = {{0, &number, sizeof number}, {0, bytes, sizeof bytes}};
  std::array<CK_ATTRIBUTE, 1> asked{{{CKA_WRAP_TEMPLATE, inner, sizeof inner}}};
  ASSERT_TRUE(query(asked, [](CK_ATTRIBUTE* seen, CK_ULONG) {
    ASSERT_EQ(seen[0].ulValueLen, 2 * sizeof(CK_ATTRIBUTE));
    auto* nested = static_cast<CK_ATTRIBUTE*>(seen[0].pValue);
    nested[0].type = CKA_KEY_TYPE;
    *static_cast<CK_ULONG*>(nested[0].pValue) = CKK_AES;
    nested[1].type = CKA_LABEL;
    std::memcpy(nested[1].pValue, "xy", 2);
    nested[1].ulValueLen = 2;
  }));
  EXPECT_EQ(inner[0].type, CKA_KEY_TYPE);
  EXPECT_EQ(number, CKK_AES);
  EXPECT_EQ(inner[1].type, CKA_LABEL);
  EXPECT_EQ(inner[1].ulValueLen, 2u);
  EXPECT_EQ(bytes[1], 'y');
}

TEST(QueryTemplate, AnOfferOfMoreThanTheBoundIsCapped) {
  std::vector<CK_BYTE> large(limits::kMaxAttributeCapacity + 1000);
  std::array<CK_ATTRIBUTE, 1> asked{{{CKA_VALUE, large.data(), large.size()}}};
  ASSERT_TRUE(query(asked, [](CK_ATTRIBUTE* seen, CK_ULONG) {
    EXPECT_EQ(seen[0].ulValueLen, limits::kMaxAttributeCapacity) << "and that is what the module is told";
    std::memset(seen[0].pValue, 7, seen[0].ulValueLen);
  }));
  EXPECT_EQ(asked[0].ulValueLen, limits::kMaxAttributeCapacity);
  EXPECT_EQ(large[limits::kMaxAttributeCapacity - 1], 7);
  EXPECT_EQ(large[limits::kMaxAttributeCapacity], 0);
}

// Answers from a peer that lies, for an application that asked for a label of at most 4 bytes.
struct Lie {
  const char* name;
  std::function<void(Out&)> write;
};
class Lies : public ::testing::TestWithParam<Lie> {};

TEST_P(Lies, NeverReachBeyondTheApplicationsBuffer) {
  CK_BYTE place[8];
  std::memset(place, 0xee, sizeof place);
  std::array<CK_ATTRIBUTE, 1> asked{{{CKA_LABEL, place, 4}}};
  Buffer reply;
  Out out(reply);
  GetParam().write(out);
  In in(reply.bytes());
  decode_answers(in, asked.data(), asked.size());
  EXPECT_FALSE(in.done());
  EXPECT_EQ(std::count(place, place + 8, 0xee), 8);
  EXPECT_EQ(asked[0].ulValueLen, 4u);
}
const std::uint8_t kMany[8] = {};
INSTANTIATE_TEST_SUITE_P(QueryTemplate, Lies,
                         ::testing::Values(Lie{"MoreBytesThanAskedFor",
                                               [](Out& out) {
                                                 out.array(1);
                                                 out.array(2);
                                                 out.uint(8);
                                                 out.bin(kMany);
                                               }},
                                           Lie{"OtherLengthThanBytes",
                                               [](Out& out) {
                                                 out.array(1);
                                                 out.array(2);
                                                 out.uint(3);
                                                 out.bin(kMany, 2);
                                               }},
                                           Lie{"ANumberThatDoesNotFit",
                                               [](Out& out) {
                                                 out.array(1);
                                                 out.array(2);
                                                 out.uint(8);
                                                 out.uint(5);
                                               }},
                                           Lie{"ANumberOfAnotherLength",
                                               [](Out& out) {
                                                 out.array(1);
                                                 out.array(2);
                                                 out.uint(4);
                                                 out.uint(5);
                                               }},
                                           Lie{"TooManyAnswers",
                                               [](Out& out) {
                                                 out.array(2);
                                                 out.array(2);
                                                 out.uint(0);
                                                 out.nil();
                                                 out.array(2);
                                                 out.uint(0);
                                                 out.nil();
                                               }},
                                           Lie{"NoAnswers", [](Out& out) { out.array(0); }},
                                           Lie{"AValueWithoutALength",
                                               [](Out& out) {
                                                 out.array(1);
                                                 out.array(2);
                                                 out.nil();
                                                 out.bin(kMany, 2);
                                               }},
                                           Lie{"ATemplateWhereBytesBelong",
                                               [](Out& out) {
                                                 out.array(1);
                                                 out.array(2);
                                                 out.uint(0);
                                                 out.array(0);
                                               }}),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace p11shim
