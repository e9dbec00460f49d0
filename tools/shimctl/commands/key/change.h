// key copy, rename, set, delete and kcv.
#pragma once

#include <string>
#include <vector>

#include "tools/shimctl/invocation.h"

namespace p11shim {

struct ChangeOptions {
  std::string key;
  std::string object_class;
  std::string label;  // the new one
  std::string id;
  std::vector<std::string> attributes;
  bool allow_duplicate = false;

  // copy to another token: labels of tokens, or URIs
  std::string from{};
  std::string to{};
  std::string to_pin_from{};
};
ExitCode copy_key(const Invocation& invocation, const ChangeOptions& options);
ExitCode rename_key(const Invocation& invocation, const ChangeOptions& options);
ExitCode set_attributes(const Invocation& invocation, const ChangeOptions& options);

struct DeleteOptions {
  std::string key;
  std::string object_class;
};
ExitCode delete_key(const Invocation& invocation, const DeleteOptions& options);

struct KcvOptions {
  std::string key;
  std::string method = "ecb";  // or cmac
};
ExitCode show_kcv(const Invocation& invocation, const KcvOptions& options);

}  // namespace p11shim
