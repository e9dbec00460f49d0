#include "proxyd/objects/object_directory.h"

#include <set>

#include "tests/unit/proxyd/config/private_directory.h"

namespace p11shim {
namespace {

std::span<const std::uint8_t> bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

// A public key whose content proves what it is, or another object that has nothing but its attributes.
Description described(std::string_view label, std::string_view content = {}) {
  Description description;
  description.readable = description.is_token = true;
  description.object_class = content.empty() ? CKO_SECRET_KEY : CKO_PUBLIC_KEY;
  description.label = bytes(label);
  description.content = bytes(content);
  description.proof = !content.empty();
  return description;
}

class ObjectDirectoryTest : public PrivateDirectory {
 protected:
  void SetUp() override {
    PrivateDirectory::SetUp();
    restart();
  }
  // As a new proxyd on the same state directory sees it.
  void restart() {
    directory.reset();
    state.reset();
    state = std::make_unique<StateDirectory>(path("state"));
    directory = std::make_unique<ObjectDirectory>("pool", *state);
  }
  std::uint64_t see(const Description& description, std::set<std::uint64_t> taken = {}) {
    return directory
        ->identify(description, Origin{"serial"},
                   [&](const TokenObject& object) { return taken.contains(object.handle); })
        .handle;
  }
  std::unique_ptr<StateDirectory> state;
  std::unique_ptr<ObjectDirectory> directory;
};

TEST_F(ObjectDirectoryTest, MembersShareWhatIsProvenAndNothingElse) {
  const auto see_on = [&](const Description& description, std::uint32_t member, std::set<std::uint64_t> taken = {}) {
    const std::string serial = member == 0 ? "serial" : "serial\nb";
    return directory
        ->identify(description, Origin{serial, member, true},
                   [&](const TokenObject& object) { return taken.contains(object.handle); })
        .handle;
  };
  const std::uint64_t key = see_on(described("key", "modulus"), 0);
  EXPECT_EQ(see_on(described("another label", "modulus"), 1), key);
  EXPECT_EQ(directory->find(key)->members, 3u);
  EXPECT_NE(see_on(described("key", "modulus"), 1, {key}), key);  // a twin there is another object
  EXPECT_NE(see_on(described("secret"), 0), see_on(described("secret"), 1));
}

TEST_F(ObjectDirectoryTest, AMemberThatStartsAnewShowsTheSameObjects) {
  const auto see_on = [&](std::string_view label, std::uint32_t member, std::set<std::uint64_t> taken = {}) {
    return directory
        ->identify(described(label, "modulus"), Origin{member == 0 ? "serial" : "serial\nb", member, true},
                   [&](const TokenObject& object) { return taken.contains(object.handle); })
        .handle;
  };
  const std::uint64_t first = see_on("x", 0);
  const std::uint64_t second = see_on("y", 0, {first});
  // The other member calls its twins otherwise.
  const std::uint64_t one = see_on("a", 1);
  const std::uint64_t other = see_on("b", 1, {one});
  EXPECT_EQ((std::set{one, other}), (std::set{first, second}));
  // Its worker was started again: nothing is taken yet, and another order is as good.
  EXPECT_EQ(see_on("b", 1), other);
  EXPECT_EQ(see_on("a", 1, {other}), one);
  // What looks like neither may be a third one: it is not taken for one of them.
  EXPECT_EQ(see_on("a", 1), one);
  const std::uint64_t third = see_on("c", 1, {one});
  EXPECT_FALSE((std::set{one, other}).contains(third));
  EXPECT_EQ(directory->size(), 3u);
}

TEST_F(ObjectDirectoryTest, ATwinThatNoMemberShowsIsForgotten) {
  const auto see_on = [&](std::uint32_t member, std::set<std::uint64_t> taken = {}) {
    return directory
        ->identify(described("key", "modulus"), Origin{"serial", member, true},
                   [&](const TokenObject& object) { return taken.contains(object.handle); })
        .handle;
  };
  const std::uint64_t key = see_on(0);
  const std::uint64_t twin = see_on(0, {key});
  ASSERT_NE(key, twin);
  // Of two that it may be, one is rather what others have too.
  const std::uint64_t shared = see_on(1);
  EXPECT_EQ(see_on(0), shared);
  directory->unseen(shared == key ? twin : key, 0);
  EXPECT_EQ(directory->handles_of(directory->find(shared)->identity), std::vector{shared});
  // The last one is known until it is destroyed.
  directory->unseen(shared, 0);
  directory->unseen(shared, 1);
  EXPECT_NE(directory->find(shared), nullptr);
}

TEST_F(ObjectDirectoryTest, WhatIsProvenToBeAnotherObjectIsNotTakenForIt) {
  const Origin here{"serial", 0, true}, there{"serial\nb", 1, true};
  const auto nothing_taken = [](const TokenObject&) { return false; };
  TokenObject& key = directory->identify(described("key"), here, nothing_taken);
  const std::uint64_t handle = key.handle;
  EXPECT_TRUE(directory->adopt_proof(key, described("key", "first"), here));
  EXPECT_TRUE(directory->adopt_proof(key, described("key", "first"), here));
  EXPECT_FALSE(directory->adopt_proof(key, described("key", "second"), here));
  EXPECT_EQ(key.handle, handle);
  // Another member's object that is the same was seen before anything proved that.
  TokenObject& other = directory->identify(described("key"), there, nothing_taken);
  EXPECT_FALSE(directory->adopt_proof(other, described("key", "first"), there));
}

TEST_F(ObjectDirectoryTest, HandleIsTheSameAfterARestart) {
  const std::uint64_t key = see(described("key", "modulus"));
  const std::uint64_t secret = see(described("secret"));
  EXPECT_NE(key, secret);
  for (const std::uint64_t handle : {key, secret}) {
    EXPECT_NE(handle, CK_INVALID_HANDLE);
    EXPECT_EQ(handle & kSessionObjectBit, 0u);
    EXPECT_LT(handle, kSessionObjectBit);
  }
  EXPECT_EQ(see(described("key", "modulus")), key);
  restart();
  EXPECT_EQ(see(described("secret")), secret);
  EXPECT_EQ(see(described("key", "modulus")), key);
  ObjectDirectory other("another pool", *state);
  EXPECT_NE(
      other.identify(described("key", "modulus"), Origin{"serial"}, [](const TokenObject&) { return false; }).handle,
      key);
}

TEST_F(ObjectDirectoryTest, ChangedObjectKeepsItsHandleAlsoAfterARestart) {
  const std::uint64_t handle = see(described("before"));
  directory->changed(*directory->find(handle), described("after"), "serial");
  EXPECT_EQ(see(described("after")), handle);
  restart();
  EXPECT_EQ(see(described("after")), handle);
  // Whoever takes over the old label is somebody else.
  EXPECT_NE(see(described("before")), handle);
}

TEST_F(ObjectDirectoryTest, TwinsHaveHandlesOfTheirOwn) {
  const std::uint64_t first = see(described("twin", "modulus"));
  const std::uint64_t second = see(described("twin", "modulus"), {first});
  EXPECT_NE(first, second);
  restart();
  const std::uint64_t one = see(described("twin", "modulus"));
  const std::uint64_t other = see(described("twin", "modulus"), {one});
  EXPECT_EQ((std::set{one, other}), (std::set{first, second}));
}

TEST_F(ObjectDirectoryTest, AHandleOfWhatCouldNotBeToldApartIsNeverGivenAgain) {
  const Origin here{"serial", 0, true};
  const auto nothing_taken = [](const TokenObject&) { return false; };
  TokenObject& first = directory->identify(described("twin"), here, nothing_taken);
  const std::uint64_t before = first.handle;
  EXPECT_TRUE(first.has_features(ObjectDirectory::features_of(described("twin")), 0));
  EXPECT_FALSE(first.has_features(ObjectDirectory::features_of(described("another")), 0));
  directory->make_fleeting(first);
  const std::uint64_t second = directory->add_fleeting(described("twin"), here).handle;
  EXPECT_NE(second, before);
  EXPECT_EQ(directory->handles_of(first.identity).size(), 2u);
  // Another process shows one of them: it is neither.
  const std::uint64_t later = directory->identify(described("twin"), here, nothing_taken).handle;
  EXPECT_FALSE((std::set{before, second}).contains(later));
  // They go with their process.
  directory->unseen(before, 0);
  directory->unseen(second, 0);
  EXPECT_EQ(directory->find(before), nullptr);
  EXPECT_EQ(directory->find(second), nullptr);
  restart();
  EXPECT_EQ(see(described("twin")), later);
}

TEST_F(ObjectDirectoryTest, AHandleThatWasGivenBesideTheseIsNotGivenAgain) {
  const Origin here{"serial", 0, true};
  const std::uint64_t first = see(described("twin"));
  directory->add_fleeting(described("twin"), here);
  directory->destroyed(first);
  EXPECT_EQ(directory->find(first), nullptr);
  const std::uint64_t second = see(described("twin"));
  EXPECT_NE(second, first);
  directory->unseen(second, 0);  // recorded, and known by no record afterwards
  directory->retire(directory->identity_from(described("twin"), here));
  restart();
  EXPECT_FALSE((std::set{first, second}).contains(see(described("twin"))));
}

TEST_F(ObjectDirectoryTest, WhatGetsANameOfItsOwnKeepsItsHandle) {
  const Origin here{"serial", 0, true};
  TokenObject& first = directory->add_fleeting(described("twin"), here);
  directory->add_fleeting(described("twin"), here);
  const std::uint64_t handle = first.handle;
  directory->changed(first, described("renamed"), "serial");
  restart();
  EXPECT_EQ(see(described("renamed")), handle);
}

TEST_F(ObjectDirectoryTest, DestroyedObjectIsForgotten) {
  const std::uint64_t handle = see(described("before"));
  directory->changed(*directory->find(handle), described("after"), "serial");
  directory->destroyed(handle);
  EXPECT_EQ(directory->find(handle), nullptr);
  EXPECT_EQ(directory->size(), 0u);
  directory->destroyed(handle);
  restart();
  std::size_t records = 0;
  state->for_each([&](const StateDirectory::Alias&) { ++records; });
  EXPECT_EQ(records, 0u);
}

}  // namespace
}  // namespace p11shim
