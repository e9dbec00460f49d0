// key import and key export-pub.
#pragma once

#include <string>
#include <vector>

#include "tools/shimctl/invocation.h"

namespace p11shim {

struct ImportOptions {
  std::string file;
  std::string type;  // of a secret key; empty: what the file says
  std::string label;
  std::string id;
  std::vector<std::string> attributes;
  bool allow_duplicate = false;
};
ExitCode import_key(const Invocation& invocation, const ImportOptions& options);

struct ExportOptions {
  std::string key;
  std::string format = "pem";  // or der
  std::string file;
};
ExitCode export_public_key(const Invocation& invocation, const ExportOptions& options);

}  // namespace p11shim
