// What holds for every struct and every mechanism, checked with made-up parameters.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>

#include "calls/mechanism_codec.h"
#include "calls/mechanism_text.h"
#include "example_parameters.h"
#include "pkcs11/names.h"
#include "tests/places.h"

namespace p11shim {
namespace {

using params::FamilyExample;
using params::LayoutExample;
using params::Source;

// One direction of travel, or the way back, as bytes and handles.
struct Sent {
  Buffer buffer;
  Handles handles;
  [[nodiscard]] std::span<const std::uint8_t> bytes() const { return buffer.bytes(); }
  bool operator==(const Sent& other) const {
    return std::ranges::equal(bytes(), other.bytes()) && std::ranges::equal(handles, other.handles);
  }
};

struct Codec {
  decltype(&encode_mechanism) encode;
  decltype(&decode_mechanism) decode;
  decltype(&encode_mechanism_outputs) encode_outputs;
  decltype(&decode_mechanism_outputs) decode_outputs;
};
constexpr Codec kMechanism = {&encode_mechanism, &decode_mechanism, &encode_mechanism_outputs,
                              &decode_mechanism_outputs};
constexpr Codec kMessage = {&encode_message_parameter, &decode_message_parameter, &encode_message_parameter_outputs,
                            &decode_message_parameter_outputs};

Sent encode(decltype(&encode_mechanism) function, const CK_MECHANISM& mechanism) {
  Sent sent;
  Out out(sent.buffer);
  function(out, sent.handles, mechanism);
  return sent;
}

// One made-up parameter of one mechanism.
struct Case {
  const Codec& codec;
  const LayoutExample& layout;
  Source& source;
  CK_MECHANISM mechanism;
};

// Calls visit(Case) a few times for every layout of every mechanism; returns how often.
template <class Visit>
std::size_t visit_everything(Visit visit) {
  std::size_t visited = 0;
  const auto visit_families = [&](const std::vector<FamilyExample>& families, const Codec& codec) {
    for (const FamilyExample& family : families)
      for (const CK_MECHANISM_TYPE type : family.types)
        for (const LayoutExample& layout : family.layouts)
          for (std::uint64_t seed = 0; layout.size != 0 && seed < 4; ++seed) {
            Arena arena;
            Source source{arena, std::mt19937_64(type * 64 + seed)};
            const Case made{codec, layout, source, {type, layout.make(source), layout.size}};
            SCOPED_TRACE(display(NameKind::ckm, type) + " with " + layout.name);
            visit(made);
            ++visited;
          }
  };
  visit_families(params::families(), kMechanism);
  visit_families(params::message_families(), kMessage);
  return visited;
}

TEST(MechanismFamilies, EveryParameterArrivesAsItWasSent) {
  const std::size_t visited = visit_everything([](const Case& made) {
    Sent sent = encode(made.codec.encode, made.mechanism);
    In in(sent.bytes());
    Arena arena;
    CK_MECHANISM received;
    made.codec.decode(in, sent.handles, arena, received);
    ASSERT_TRUE(in.done());
    EXPECT_TRUE(sent.handles.done());
    EXPECT_EQ(received.mechanism, made.mechanism.mechanism);
    EXPECT_EQ(received.ulParameterLen, made.mechanism.ulParameterLen);
    EXPECT_TRUE(encode(made.codec.encode, received) == sent);
    if (made.layout.has_condition || made.layout.size % sizeof(CK_ULONG) != 0) return;
    const std::span words(static_cast<const CK_ULONG*>(received.pParameter), made.layout.size / sizeof(CK_ULONG));
    EXPECT_EQ(std::ranges::count(words, 0UL), 0) << "the description lacks a field";
  });
  EXPECT_GT(visited, 800U);
}

TEST(MechanismFamilies, WhatAModuleWritesReachesTheApplication) {
  visit_everything([](const Case& made) {
    Sent sent = encode(made.codec.encode, made.mechanism);
    In in(sent.bytes());
    Arena arena;
    CK_MECHANISM received;
    made.codec.decode(in, sent.handles, arena, received);
    ASSERT_TRUE(in.done());
    made.layout.write(made.source, received.pParameter);
    Sent back = encode(made.codec.encode_outputs, received);
    In reply(back.bytes());
    made.codec.decode_outputs(reply, back.handles, made.mechanism);
    ASSERT_TRUE(reply.done());
    EXPECT_TRUE(back.handles.done());
    EXPECT_TRUE(encode(made.codec.encode_outputs, made.mechanism) == back);
    EXPECT_EQ(made.layout.writes_back, back.bytes()[0] != 0xc0);
  });
}

TEST(MechanismFamilies, TruncatedParametersAreRefused) {
  visit_everything([](const Case& made) {
    const Sent sent = encode(made.codec.encode, made.mechanism);
    for (std::size_t size = 0; size < sent.bytes().size(); ++size) {
      Handles handles;
      In in(sent.bytes().first(size));
      Arena arena;
      CK_MECHANISM received;
      made.codec.decode(in, handles, arena, received);
      ASSERT_FALSE(in.ok()) << "cut at " << size;
    }
  });
}

// Whatever arrives in a worker: a decoder says no, or gives structs that can be read.
void expect_harmless(const Codec& codec, const Handles& sent, std::span<const std::uint8_t> bytes) {
  Handles handles;
  for (const std::uint64_t handle : sent) handles.add(handle);
  In in(bytes);
  Arena arena;
  CK_MECHANISM received;
  codec.decode(in, handles, arena, received);
  if (!in.ok()) return;
  encode(codec.encode_outputs, received);
  encode(codec.encode, received);
  if (&codec == &kMechanism) describe_mechanism(received);
}

TEST(MechanismFamilies, ChangedParametersDoNoHarm) {
  std::mt19937_64 random(1);
  visit_everything([&](const Case& made) {
    const Sent sent = encode(made.codec.encode, made.mechanism);
    std::vector<std::uint8_t> bytes(sent.bytes().begin(), sent.bytes().end());
    for (int i = 0; i < 40; ++i) {
      std::uint8_t& byte = bytes[random() % std::min<std::size_t>(bytes.size(), 64)];
      const std::uint8_t kept = byte;
      byte = static_cast<std::uint8_t>(random());
      expect_harmless(made.codec, sent.handles, bytes);
      byte = kept;
    }
  });
}

TEST(MechanismFamilies, ChangedResultsNeverWriteBeyondTheApplicationsBuffers) {
  std::mt19937_64 random(2);
  visit_everything([&](const Case& made) {
    if (!made.layout.writes_back) return;
    const Sent sent = encode(made.codec.encode_outputs, made.mechanism);
    std::vector<std::uint8_t> bytes(sent.bytes().begin(), sent.bytes().end());
    for (int i = 0; i < 40; ++i) {
      std::uint8_t& byte = bytes[random() % bytes.size()];
      const std::uint8_t kept = byte;
      byte = static_cast<std::uint8_t>(random());
      Arena arena;
      Source source{arena, std::mt19937_64(1)};
      Handles handles;
      for (const std::uint64_t handle : sent.handles) handles.add(handle);
      In in(bytes);
      made.codec.decode_outputs(in, handles, {made.mechanism.mechanism, made.layout.make(source), made.layout.size});
      byte = kept;
    }
  });
}

TEST(MechanismFamilies, RawBytesOfAKnownStructAreRefused) {
  visit_everything([](const Case& made) {
    for (const bool zeroes : {false, true}) {
      Buffer buffer;
      Out out(buffer);
      out.array(2);
      out.uint(made.mechanism.mechanism);
      if (zeroes) {
        out.array(2);
        out.nil();
        out.uint(made.layout.size);
      } else {
        out.bin(made.mechanism.pParameter, made.layout.size);
      }
      Handles handles;
      In in(buffer.bytes());
      Arena arena;
      CK_MECHANISM received;
      made.codec.decode(in, handles, arena, received);
      EXPECT_FALSE(in.ok());
    }
  });
}

TEST(MechanismFamilies, TheTextIsShortAndShowsNoBytes) {
  visit_everything([](const Case& made) {
    if (&made.codec != &kMechanism) return;
    const std::string text = describe_mechanism(made.mechanism);
    EXPECT_EQ(text.find(display(NameKind::ckm, made.mechanism.mechanism)), 0U) << text;
    EXPECT_LT(text.size(), 400U) << text;
    EXPECT_TRUE(std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; })) << text;
  });
}

void list_families(const std::vector<FamilyExample>& families, std::ostream& to,
                   std::map<std::string, std::string>& structs) {
  for (const FamilyExample& family : families) {
    std::string names;
    for (const LayoutExample& layout : family.layouts) {
      names += (names.empty() ? "" : " or ") + layout.name;
      if (layout.size != 0) structs[layout.name] = layout.fields;
    }
    to << names << "\n";
    for (const CK_MECHANISM_TYPE type : family.types) to << "  " << display(NameKind::ckm, type) << "\n";
  }
}

// The wire depends on this list: a change of it is a change of the protocol.
TEST(MechanismFamilies, AreThoseOfTheGoldenFile) {
  std::ostringstream list;
  std::map<std::string, std::string> structs;
  list_families(params::families(), list, structs);
  list << "\nParameters of the message functions\n";
  list_families(params::message_families(), list, structs);
  for (const LayoutExample& layout : params::inner_structs()) structs[layout.name] = layout.fields;
  list << "\nStructs on the wire\n";
  for (const auto& [name, fields] : structs) list << name << " = " << fields << "\n";

  const std::string path = source_dir() + "/tests/unit/include/calls/mechanism_families.golden";
  if (std::getenv("P11TEST_UPDATE_GOLDEN") != nullptr) std::ofstream(path) << list.str();
  std::ifstream file(path);
  std::stringstream golden;
  golden << file.rdbuf();
  EXPECT_EQ(list.str(), golden.str()) << "run with P11TEST_UPDATE_GOLDEN=1 if the change is meant";
}

}  // namespace
}  // namespace p11shim
