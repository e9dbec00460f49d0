// A test's hand on the mock and on the fault module: writes their control file, atomically, and starts their
// counters anew. Give path() to the module by P11MOCK_CONTROL or P11FAULT_CONTROL.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

namespace p11shim {

class ControlFile {
 public:
  // `folder` is a private one, owned by the test.
  explicit ControlFile(const std::filesystem::path& folder, std::string_view rules = {})
      : path_(folder / "control"), record_(folder / "calls") {
    set(rules);
  }

  const std::filesystem::path& path() const { return path_; }

  void set(std::string_view rules) {
    const std::filesystem::path fresh = path_.string() + ".new";
    std::ofstream(fresh) << rules << '\n';
    std::filesystem::remove(path_.string() + ".state");
    std::filesystem::rename(fresh, path_);
  }

  // A directive that makes the mock record its calls, and what it has recorded since.
  std::string record_directive() const { return "module record=" + record_.string() + '\n'; }
  std::string recorded() const {
    std::ifstream stream(record_);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  void forget_record() const { std::filesystem::remove(record_); }

 private:
  std::filesystem::path path_;
  std::filesystem::path record_;
};

}  // namespace p11shim
