// A kind of HSM that tests run on: where its module is and how a private, fresh token of it is made.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>

namespace p11shim::compare {

using Environment = std::map<std::string, std::string>;

inline constexpr char kSoPin[] = "so-pin-1234";
inline constexpr char kUserPin[] = "user-pin-5678";

class Backend {
 public:
  // "softhsm" or "nss"; null for any other name.
  static std::unique_ptr<Backend> named(const std::string& name);
  virtual ~Backend() = default;

  virtual std::string name() const = 0;
  // Whether the module crashes where the standard forbids NULL.
  virtual bool fragile() const { return false; }
  // Where the distribution puts it, empty if it is not installed.
  virtual std::string module() const = 0;
  // What its process needs to find the tokens in `directory`, and nothing else.
  virtual Environment environment(const std::filesystem::path& directory) const = 0;
  // For C_Initialize; empty where the module wants none.
  virtual std::string library_parameters(const std::filesystem::path& directory) const = 0;
  // Makes the directory usable after it was created or copied to another place.
  virtual void settle(const std::filesystem::path& directory) const = 0;
  // Makes fresh tokens; calls the module, so only in a process of its own that has environment().
  virtual void populate(const std::filesystem::path& directory, const std::string& module) const = 0;

  // Labels of the token that cases use, of another one, and of one that needs no login for session objects.
  virtual std::string token() const = 0;
  virtual std::string other_token() const = 0;
  virtual std::string crypto_token() const = 0;
};

}  // namespace p11shim::compare
