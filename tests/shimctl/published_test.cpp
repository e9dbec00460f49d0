// Every form of JSON that shimctl's sources can write has a schema in docs/schemas, and every schema a
// source.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>

#include "tests/places.h"

namespace p11shim {
namespace {

namespace fs = std::filesystem;

std::string contents(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

std::string sources() {
  std::string all;
  for (const auto& entry : fs::recursive_directory_iterator(fs::path(source_dir()) / "tools/shimctl"))
    if (entry.path().extension() == ".cpp") all += contents(entry.path());
  return all;
}

TEST(Published, EveryFormOfJsonHasASchema) {
  std::set<std::string> schemas;
  for (const auto& entry : fs::directory_iterator(fs::path(source_dir()) / "docs/schemas")) {
    const std::string name = entry.path().stem();
    schemas.insert(name);
    const auto schema = nlohmann::json::parse(contents(entry.path()), nullptr, false);
    ASSERT_TRUE(schema.is_object()) << name;
    const std::string id = schema["properties"]["schema"]["const"];
    EXPECT_EQ(id.substr(0, id.find('/')), "p11shim." + name);
    EXPECT_FALSE(schema.value("title", "").empty()) << name;
  }
  const std::string all = sources();
  static const std::regex kName(R"re((?:\.name = |envelope\()"([a-z][a-z.-]*)")re");
  for (std::sregex_iterator name(all.begin(), all.end(), kName), end; name != end; ++name)
    EXPECT_TRUE(schemas.contains((*name)[1])) << "docs/schemas/" << (*name)[1] << ".json is missing";
  for (const auto& name : schemas)
    EXPECT_TRUE(all.find("\"" + name + "\"") != std::string::npos ||
                all.find("\"p11shim." + name + "/") != std::string::npos)
        << "nothing writes " << name;
}

}  // namespace
}  // namespace p11shim
