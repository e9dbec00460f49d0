// What the recorder notices, on a module that misbehaves.
#include "recorder.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>

#include "handle_names.h"
#include "infos.h"

namespace p11shim::compare {
namespace {

TEST(HandleNames, FollowTheOrderOfFirstSight) {
  HandleNames ours('o'), theirs('o');
  EXPECT_EQ(ours.issue(17), theirs.issue(9000));
  EXPECT_EQ(ours.found(17), theirs.found(9000));
  EXPECT_EQ(ours.found(3), theirs.found(4));
  EXPECT_EQ(ours.of(3), "o2");
}

TEST(HandleNames, AHandleNobodyIssuedShowsAsItsNumber) { EXPECT_EQ(HandleNames('s').of(42), "#42"); }

TEST(HandleNames, AReusedNumberIsANewHandle) {
  HandleNames names('s');
  EXPECT_EQ(names.issue(5), "s1");
  EXPECT_EQ(names.issue(5), "s2");
}

TEST(HandleNames, AfterRenewalFoundHandlesGetNewNames) {
  HandleNames names('o');
  names.issue(5);
  names.renew();
  EXPECT_FALSE(names.current(5));
  EXPECT_EQ(names.of(5), "o1");
  EXPECT_EQ(names.found(5), "o2");
}

// Reports one output argument after `act` played the module.
Json reported(Room room, CK_RV rv, const std::function<void(CK_BYTE*, CK_ULONG*)>& act) {
  OutputArgument output("output", room);
  auto [buffer, length] = output.c();
  act(buffer, length);
  Json out = Json::object();
  Names names;
  Report report{out, rv, false, names};
  output.report(report);
  return out;
}

TEST(OutputArgument, ShowsWhatWasFilled) {
  const Json out = reported(Room::of(4), CKR_OK, [](CK_BYTE* buffer, CK_ULONG* length) {
    std::memcpy(buffer, "\x01\x02", 2);
    *length = 2;
  });
  EXPECT_EQ(out["output"], "0102");
  EXPECT_EQ(out["output.length"], 2u);
  EXPECT_FALSE(out.contains("output.scribbled"));
}

TEST(OutputArgument, SeesBytesBeyondTheLength) {
  const Json out = reported(Room::of(4), CKR_OK, [](CK_BYTE* buffer, CK_ULONG* length) {
    std::memset(buffer, 0, 4);
    *length = 2;
  });
  EXPECT_TRUE(out.contains("output.scribbled"));
}

TEST(OutputArgument, SeesAChangedBufferAfterAnError) {
  const Json out =
      reported(Room::of(4), CKR_DEVICE_ERROR, [](CK_BYTE* buffer, CK_ULONG*) { std::memset(buffer, 0, 4); });
  EXPECT_TRUE(out.contains("output.scribbled"));
  EXPECT_FALSE(out.contains("output"));
}

TEST(OutputArgument, SeesAnOverrun) {
  const Json out = reported(Room::of(4), CKR_OK, [](CK_BYTE* buffer, CK_ULONG*) { std::memset(buffer, 0, 5); });
  EXPECT_TRUE(out.contains("output.overrun"));
}

TEST(OutputArgument, AnInPlaceInputIsNoScribble) {
  OutputArgument output("output", Room::in_place(8));
  const Bytes data = pattern(8, 1);
  const Input moved = output.over(data);
  auto [buffer, length] = output.c();
  EXPECT_EQ(moved.data, buffer);
  EXPECT_EQ(Bytes(buffer, buffer + 8), data);
  Json out = Json::object();
  Names names;
  Report report{out, CKR_DATA_LEN_RANGE, false, names};
  output.report(report);
  EXPECT_FALSE(out.contains("output.scribbled"));
  (void)length;
}

TEST(QueryArgument, ShowsEveryLengthOnItsOwn) {
  QueryArgument query({{CKA_LABEL, 8}, {CKA_VALUE, 8}, {CKA_ID}});
  auto [attributes, count] = query.c();
  ASSERT_EQ(count, 3u);
  std::memcpy(attributes[0].pValue, "ab", 2);
  attributes[0].ulValueLen = 2;
  attributes[1].ulValueLen = CK_UNAVAILABLE_INFORMATION;
  attributes[2].ulValueLen = 5;
  Json out = Json::object();
  Names names;
  Report report{out, CKR_ATTRIBUTE_SENSITIVE, false, names};
  query.report(report);
  EXPECT_EQ(out["0.CKA_LABEL"], "6162");
  EXPECT_EQ(out["1.CKA_VALUE.length"], "unavailable");
  EXPECT_EQ(out["2.CKA_ID.length"], 5u);
}

}  // namespace
}  // namespace p11shim::compare
