// Several SoftHSM members that hold the same keys, each with a directory of its own and the fault module before it.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

#include "application.h"
#include "configs.h"
#include "tests/places.h"

namespace p11shim {

// P-256 key pair "ec" (id 0x01) and AES key "aes".
inline void make_pool_keys(TestApplication& application, CK_SESSION_HANDLE session) {
  CK_MECHANISM mechanism{CKM_EC_KEY_PAIR_GEN, nullptr, 0};
  CK_BYTE curve[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
  CK_BYTE id[] = {1};
  char label[] = "ec";
  CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
  CK_ATTRIBUTE public_template[] = {{CKA_EC_PARAMS, curve, sizeof curve},
                                    {CKA_TOKEN, &yes, 1},
                                    {CKA_PRIVATE, &no, 1},
                                    {CKA_VERIFY, &yes, 1},
                                    {CKA_ID, id, 1},
                                    {CKA_LABEL, label, 2}};
  CK_ATTRIBUTE private_template[] = {
      {CKA_TOKEN, &yes, 1}, {CKA_PRIVATE, &yes, 1}, {CKA_SIGN, &yes, 1}, {CKA_ID, id, 1}, {CKA_LABEL, label, 2}};
  CK_OBJECT_HANDLE public_key = 0, private_key = 0;
  ASSERT_EQ(application->C_GenerateKeyPair(session, &mechanism, public_template, std::size(public_template),
                                           private_template, std::size(private_template), &public_key, &private_key),
            CKR_OK);
  application.generate_aes(session, true, "aes");
}

class PoolMembers {
 public:
  static bool installed() { return SofthsmTokens::installed(); }
  // `more_keys`: makes what they hold beside the usual ones.
  using Makes = std::function<void(TestApplication& application, CK_SESSION_HANDLE session)>;
  explicit PoolMembers(std::size_t count, const Makes& more_keys = {}) {
    on_token(seed_.config(), [&](TestApplication& application, CK_SESSION_HANDLE session) {
      make_pool_keys(application, session);
      if (more_keys) more_keys(application, session);
    });
    for (std::size_t i = 0; i < count; ++i) {
      Member& member = members_.emplace_back();
      member.tokens = std::make_unique<SofthsmTokens>();
      member.rules = std::make_unique<ControlFile>(member.tokens->path());
      std::filesystem::remove_all(member.tokens->path() / "tokens");
      std::filesystem::copy(seed_.path() / "tokens", member.tokens->path() / "tokens",
                            std::filesystem::copy_options::recursive);
    }
  }

  [[nodiscard]] std::string config(const std::string& pool_options = {}, const std::string& member_options = {}) const {
    std::string text;
    std::string names;
    for (std::size_t i = 0; i < members_.size(); ++i) {
      const std::string number = std::to_string(i);
      text += "[[module]]\nname = \"m" + number + "\"\npath = \"" + build_dir() +
              "/tests/libp11fault.so\"\ncheck_owner = false\nenvironment = { SOFTHSM2_CONF = \"" +
              (members_[i].tokens->path() / "softhsm2.conf").string() + "\", P11FAULT_MODULE = \"" +
              compare::SofthsmBackend().module() + "\", P11FAULT_CONTROL = \"" + members_[i].rules->path().string() +
              "\" }\n[[member]]\nname = \"hsm" + number + "\"\nmodule = \"m" + number +
              "\"\ntoken_label = \"first\"\nrestart_backoff = { min = \"1ms\", max = \"20ms\" }\n" + member_options +
              "\n";
      names += (i == 0 ? "\"hsm" : ", \"hsm") + number + "\"";
    }
    return text + "[[pool]]\nname = \"pool\"\nslot = 0\nmembers = [" + names + "]\n" + pool_options + "\n";
  }
  ControlFile& rules(std::size_t member) { return *members_[member].rules; }
  [[nodiscard]] std::filesystem::path directory(std::size_t member) const { return members_[member].tokens->path(); }
  // Of one member alone, without the fault module.
  [[nodiscard]] std::string config_of(std::size_t member, const std::string& options = {}) const {
    return members_[member].tokens->config(options);
  }
  // work(application, session) on one member alone, logged in.
  template <class Work>
  void alone(std::size_t member, Work work) const {
    ASSERT_NO_FATAL_FAILURE(on_token(config_of(member), work));
  }

 private:
  struct Member {
    std::unique_ptr<SofthsmTokens> tokens;
    std::unique_ptr<ControlFile> rules;
  };
  template <class Work>
  static void on_token(const std::string& config, Work work) {
    PrivateProxyd proxyd(config);
    proxyd.start();
    TestApplication application(proxyd);
    const auto session = application.open();
    ASSERT_EQ(application.log_in(session, compare::kUserPin), CKR_OK);
    work(application, session);
  }

  SofthsmTokens seed_;
  std::vector<Member> members_;
};

// A member as status shows it.
inline nlohmann::json member_status(const PrivateProxyd& proxyd, const std::string& name) {
  const auto report = proxyd.status();
  if (report.contains("members"))
    for (const auto& member : report["members"])
      if (member["member"] == name) return member;
  return {};
}

// How many members of the first pool are up and logged in.
inline std::size_t members_up(const PrivateProxyd& proxyd) {
  const auto pools = proxyd.ask("{\"command\":\"pools\"}");
  std::size_t count = 0;
  for (const auto& member : pools["result"]["pools"][0]["members"])
    count += member["logged_in"] == true && member["state"] == "up";
  return count;
}

inline pid_t member_worker(const PrivateProxyd& proxyd, const std::string& name, const std::string& domain = "user") {
  const auto member = member_status(proxyd, name);
  if (member.contains("workers"))
    for (const auto& worker : member["workers"])
      if (worker["domain"] == domain) return worker["pid"].get<pid_t>();
  return 0;
}

}  // namespace p11shim
