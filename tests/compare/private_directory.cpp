#include "private_directory.h"

#include <stdlib.h>

#include <system_error>

namespace p11shim::compare {

PrivateDirectory::PrivateDirectory() {
  std::string name = (std::filesystem::temp_directory_path() / "p11test-XXXXXX").string();
  if (!mkdtemp(name.data())) throw std::system_error(errno, std::generic_category(), name);
  path_ = name;
}

PrivateDirectory::~PrivateDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace p11shim::compare
