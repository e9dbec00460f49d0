// What modules that misbehave, and peers that lie, can do to an application's output arguments: nothing.
#include <gtest/gtest.h>

#include "calls/table.h"

namespace p11shim {
namespace {

// The reply of `Kind` for a Value that a module has left behind.
template <class Kind>
Buffer reply_of(const typename Kind::Value& value, CK_RV rv, Handles& handles) {
  Buffer body;
  Out out(body);
  ReplyWriter to{out, handles, rv};
  Kind::put_reply(to, value);
  return body;
}
template <class Kind, class... C>
bool take(const Buffer& body, Handles& handles, CK_RV rv, C... arguments) {
  In in(body.bytes());
  ReplyReader from{in, handles, rv};
  Kind::take_reply(from, arguments...);
  return in.done() && handles.done();
}

TEST(OutBytes, ACapacityBeyondTheBoundIsCappedAndTheModuleToldSo) {
  Buffer body;
  Out(body).uint(~0ull);
  In in(body.bytes());
  Handles handles;
  Arena arena;
  RequestReader from{in, handles, arena};
  OutBytes::Value value;
  OutBytes::take_request(from, value);
  EXPECT_EQ(value.capacity, limits::kMaxBulk);
  EXPECT_EQ(*std::get<1>(OutBytes::c(value)), limits::kMaxBulk);
}

TEST(OutBytes, AModuleThatClaimsMoreThanItWasGivenSendsWhatThereIs) {
  CK_BYTE module_buffer[4] = {1, 2, 3, 4};
  Handles handles;
  const Buffer body = reply_of<OutBytes>({module_buffer, 1000, 4, 4, false}, CKR_OK, handles);
  CK_BYTE place[8] = {};
  CK_ULONG size = 4;
  EXPECT_TRUE(take<OutBytes>(body, handles, CKR_OK, +place, &size));
  EXPECT_EQ(size, 1000u) << "its claim, truthfully";
  EXPECT_EQ(place[3], 4);
  EXPECT_EQ(place[4], 0);
}

TEST(OutBytes, ALengthThatAModuleLeftAloneIsTheApplicationsOwnAlsoAboveTheBound) {
  CK_BYTE module_buffer[4] = {};
  Handles handles;
  const OutBytes::Value untouched{module_buffer, limits::kMaxBulk, limits::kMaxBulk, ~0ul, false};
  const Buffer body = reply_of<OutBytes>(untouched, CKR_KEY_HANDLE_INVALID, handles);
  CK_BYTE place[1] = {};
  CK_ULONG size = ~0ul;
  EXPECT_TRUE(take<OutBytes>(body, handles, CKR_KEY_HANDLE_INVALID, +place, &size));
  EXPECT_EQ(size, ~0ul);
}

TEST(OutBytes, AnAnswerForWhichNoModuleWasAskedLeavesTheLengthAlone) {
  CK_BYTE place[1] = {};
  CK_ULONG size = 1;
  Handles handles;
  EXPECT_TRUE(take<OutBytes>(Buffer(), handles, CKR_SESSION_HANDLE_INVALID, +place, &size));
  EXPECT_EQ(size, 1u);
  EXPECT_FALSE(take<OutBytes>(Buffer(), handles, CKR_OK, +place, &size)) << "but with CKR_OK there must be one";
}

TEST(OutBytes, MoreBytesThanTheBufferHoldsAreMalformed) {
  Buffer body;
  Out out(body);
  out.uint(8);
  const std::uint8_t eight[8] = {9};
  out.bin(eight);
  CK_BYTE place[8] = {};
  CK_ULONG size = 4;
  Handles handles;
  EXPECT_FALSE(take<OutBytes>(body, handles, CKR_OK, +place, &size));
  EXPECT_EQ(size, 4u);
  EXPECT_EQ(place[0], 0);
}

TEST(OutList, AModuleThatClaimsMoreThanItWasGivenSendsWhatThereIs) {
  CK_ULONG items[2] = {7, 8};
  Handles handles;
  const Buffer body = reply_of<OutList>({items, 100, 2}, CKR_OK, handles);
  CK_ULONG places[3] = {};
  CK_ULONG count = 2;
  EXPECT_TRUE(take<OutList>(body, handles, CKR_OK, +places, &count));
  EXPECT_EQ(count, 100u);
  EXPECT_EQ(places[1], 8u);
  EXPECT_EQ(places[2], 0u);
}

TEST(OutList, MoreItemsThanTheListHoldsAreMalformed) {
  Buffer body;
  Out out(body);
  out.uint(3);
  out.array(3);
  for (int i = 0; i < 3; ++i) out.uint(9);
  CK_ULONG places[3] = {};
  CK_ULONG count = 2;
  Handles handles;
  EXPECT_FALSE(take<OutList>(body, handles, CKR_OK, +places, &count));
  EXPECT_EQ(count, 2u);
  EXPECT_EQ(places[0], 0u);
}

TEST(FoundObjects, MoreHandlesThanAskedForAreMalformed) {
  Handles handles;
  for (int i = 0; i < 3; ++i) handles.add(5);
  CK_ULONG objects[2] = {}, count = 0;
  EXPECT_FALSE(take<FoundObjects>(Buffer(), handles, CKR_OK, +objects, CK_ULONG{2}, &count));
  EXPECT_EQ(objects[0], 0u);
}

TEST(FillBytes, OtherThanTheWantedNumberOfBytesIsMalformed) {
  for (const std::size_t given : {3, 5}) {
    Buffer body;
    std::memset(Out(body).bin_space(given), 9, given);
    CK_BYTE place[4] = {};
    Handles handles;
    EXPECT_FALSE(take<FillBytes>(body, handles, CKR_OK, +place, CK_ULONG{4}));
    EXPECT_EQ(place[0], 0);
  }
}

TEST(OutInfo, AnInfoWithATextOfAnotherLengthIsMalformed) {
  Buffer body;
  Out out(body);
  out.bin("short", 5);
  CK_SLOT_INFO info{};
  Handles handles;
  EXPECT_FALSE(take<OutInfo<CK_SLOT_INFO>>(body, handles, CKR_OK, &info));
}

TEST(Checks, RefuseTheNullPointersThatWouldCrashAModule) {
  CK_BYTE bytes[4] = {};
  CK_ULONG number = 0;
  EXPECT_EQ(OutBytes::check(bytes, nullptr), CKR_ARGUMENTS_BAD);
  EXPECT_EQ(OutBytesOptional::check(bytes, nullptr), CKR_OK);
  EXPECT_EQ(OutList::check(&number, nullptr), CKR_ARGUMENTS_BAD);
  EXPECT_EQ(FoundObjects::check(nullptr, 1, &number), CKR_ARGUMENTS_BAD);
  EXPECT_EQ(FoundObjects::check(&number, 1, nullptr), CKR_ARGUMENTS_BAD);
  EXPECT_EQ(OutHandle::check(nullptr), CKR_ARGUMENTS_BAD);
  EXPECT_EQ(OutUlong::check(nullptr), CKR_ARGUMENTS_BAD);
  EXPECT_EQ(OutInfo<CK_TOKEN_INFO>::check(nullptr), CKR_ARGUMENTS_BAD);
  EXPECT_EQ(Label::check(nullptr), CKR_ARGUMENTS_BAD);
}

TEST(Checks, RefuseWhatNoFrameHolds) {
  CK_BYTE byte = 0;
  EXPECT_EQ(InBytes::check(&byte, limits::kMaxBulk), CKR_OK);
  EXPECT_EQ(InBytes::check(&byte, limits::kMaxBulk + 1), CKR_DATA_LEN_RANGE);
  EXPECT_EQ(InBytes::check(nullptr, ~0ul), CKR_OK) << "no bytes, no problem";
  EXPECT_EQ(FillBytes::check(&byte, limits::kMaxBulk + 1), CKR_DATA_LEN_RANGE);
  EXPECT_EQ(Pin::check(&byte, limits::kMaxPin + 1), CKR_PIN_LEN_RANGE);
}

}  // namespace
}  // namespace p11shim
