// A pool "pool" of mock members "mock0", "mock1", …, each steered by rules of its own.
#pragma once

#include <memory>
#include <vector>

#include "configs.h"

namespace p11shim {

class MockMembers {
 public:
  explicit MockMembers(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      auto& member = members_.emplace_back(std::make_unique<Member>());
      member->rules.set("module serial=SERIAL" + std::to_string(i));
    }
  }
  // Replaces what it was told before; each keeps a serial number of its own.
  void set(std::size_t member, const std::string& rules) {
    members_[member]->rules.set("module serial=SERIAL" + std::to_string(member) + '\n' + rules);
  }
  ControlFile& rules(std::size_t member) { return members_[member]->rules; }
  [[nodiscard]] std::string config(const std::string& pool_options = {}, const std::string& member_options = {}) const {
    std::string text, names;
    for (std::size_t i = 0; i < members_.size(); ++i) {
      const std::string number = std::to_string(i);
      text += "[[module]]\nname = \"m" + number + "\"\npath = \"" + build_dir() +
              "/tests/libp11mock.so\"\ncheck_owner = false\n" + module_options +
              "\nenvironment = { P11MOCK_CONTROL = \"" + members_[i]->rules.path().string() +
              "\" }\n[[member]]\nname = \"mock" + number + "\"\nmodule = \"m" + number +
              "\"\ntoken_label = \"mock-0\"\nrestart_backoff = { min = \"1ms\", max = \"20ms\" }\n" + member_options +
              "\n";
      names += (i == 0 ? "\"mock" : ", \"mock") + number + "\"";
    }
    return text + "[[pool]]\nname = \"pool\"\nslot = 0\nmembers = [" + names + "]\n" + pool_options + "\n";
  }

  std::string module_options;  // of each member's module

 private:
  struct Member {
    compare::PrivateDirectory directory;
    ControlFile rules{directory.path()};
  };
  std::vector<std::unique_ptr<Member>> members_;
};

}  // namespace p11shim
