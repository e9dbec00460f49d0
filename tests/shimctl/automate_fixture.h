// What the tests of batch, job, rotate and backup share: a journal of their own, and what is on the token.
#pragma once

#include <cstdlib>
#include <set>

#include "schema.h"
#include "toolbox.h"

namespace p11shim {

class AutomateFixture : public ToolboxTest {
 protected:
  AutomateFixture() { ::setenv("SHIMCTL_JOURNAL", path("jobs.db").c_str(), 1); }
  ~AutomateFixture() override { ::unsetenv("SHIMCTL_JOURNAL"); }

  nlohmann::json answered(Words words, int expected = 0) {
    words.insert(words.end(), {"-o", "json"});
    EXPECT_EQ(tool(words), expected) << err;
    const nlohmann::json envelope = nlohmann::json::parse(out, nullptr, false);
    EXPECT_EQ(schema_error(envelope), "") << out;
    return envelope.is_object() ? envelope["data"] : nlohmann::json();
  }
  std::multiset<std::string> labels() {
    std::multiset<std::string> found;
    const nlohmann::json listed = data({"key", "list"});
    for (const auto& key : listed["keys"])
      found.insert(key["class"].get<std::string>() + " " + key["label"].get<std::string>());
    return found;
  }
  std::string fingerprint(const std::string& label) { return data({"key", "show", label})["spki_sha256"].dump(); }
};

}  // namespace p11shim
