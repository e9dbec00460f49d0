// Runs shimctl on a fresh SoftHSM token "test" (user PIN 1234, SO PIN 5678), on the module itself or through
// a proxyd of our own.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "process.h"

namespace p11shim {

enum class Way { kDirect, kProxied };

class ToolboxTest : public testing::TestWithParam<Way> {
 protected:
  using Words = std::vector<std::string>;

  ToolboxTest();
  ~ToolboxTest() override;
  void SetUp() override;

  // shimctl with the token's options and these; what it answered is in out, err and code.
  int tool(const Words& words, const std::string& input = "");
  // Its "data", valid by its schema.
  nlohmann::json data(Words words);
  // What stands on stderr with -o json: the data of p11shim.error/1.
  nlohmann::json error(Words words, int code);
  // shimctl without options of ours.
  int bare(const Words& words, const Variables& more = {}, const std::string& input = "");
  // Another program, in our folder.
  int shell(const std::string& script);

  std::string path(const std::string& name) const { return (folder / name).string(); }
  std::string write(const std::string& name, const std::string& content) const;
  std::string read(const std::string& name) const;

  Variables variables() const;

  const std::filesystem::path folder;
  std::string out;
  std::string err;
  int code = -1;

 private:
  std::unique_ptr<Process> proxyd_;
  std::string endpoint_;
  std::string control_;
};

std::string name_of(const testing::TestParamInfo<Way>& info);

}  // namespace p11shim
