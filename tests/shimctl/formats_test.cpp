// The same answer in every format.
#include <sstream>

#include "schema.h"
#include "toolbox.h"

namespace p11shim {
namespace {

using nlohmann::json;

class FormatsTest : public ToolboxTest {
 protected:
  void SetUp() override {
    ToolboxTest::SetUp();
    ASSERT_EQ(tool({"key", "gen-secret", "--label", "a, \"b\"", "--id", "01"}), 0) << err;
    ASSERT_EQ(tool({"key", "gen-secret", "--label", "c", "--id", "02"}), 0) << err;
  }
};
INSTANTIATE_TEST_SUITE_P(Ways, FormatsTest, testing::Values(Way::kDirect), name_of);

TEST_P(FormatsTest, NdjsonHasARowPerLine) {
  ASSERT_EQ(tool({"key", "list", "-o", "ndjson"}), 0) << err;
  std::istringstream lines(out);
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const json row = json::parse(line, nullptr, false);
    EXPECT_EQ(row.value("schema", ""), "p11shim.key.list.row/1");
    EXPECT_EQ(schema_error(row), "") << line;
  }
  EXPECT_EQ(count, 2);
}

TEST_P(FormatsTest, CsvQuotesWhatNeedsIt) {
  ASSERT_EQ(tool({"-o", "csv", "key", "list"}), 0) << err;
  EXPECT_TRUE(out.starts_with("label,id,class,type,size,usage,extractable\n")) << out;
  EXPECT_NE(out.find("\"a, \"\"b\"\"\",01,secret,aes,256,"), std::string::npos) << out;
}

TEST_P(FormatsTest, PlainHasTabs) {
  ASSERT_EQ(tool({"key", "list", "-o", "plain"}), 0) << err;
  EXPECT_NE(out.find("c\t02\tsecret\taes\t256\t"), std::string::npos) << out;
}

TEST_P(FormatsTest, YamlIsTheEnvelope) {
  ASSERT_EQ(tool({"key", "list", "-o", "yaml"}), 0) << err;
  EXPECT_TRUE(out.starts_with("schema: \"p11shim.key.list/1\"\ndata:\n  keys:\n    - label: ")) << out;
}

TEST_P(FormatsTest, PagesAddUpToTheWhole) {
  const json first = data({"key", "list", "--limit", "1"});
  const json second = data({"key", "list", "--limit", "1", "--cursor", first["next"].get<std::string>()});
  EXPECT_EQ(first["keys"].size(), 1u);
  EXPECT_EQ(second["keys"].size(), 1u);
  EXPECT_NE(first["keys"][0]["id"], second["keys"][0]["id"]);
  EXPECT_FALSE(second.contains("next"));
}

TEST_P(FormatsTest, NothingIsColouredForAPipe) {
  ASSERT_EQ(tool({"key", "list"}), 0) << err;
  EXPECT_EQ(out.find('\x1b'), std::string::npos);
  EXPECT_TRUE(out.starts_with("LABEL ")) << out;
}

}  // namespace
}  // namespace p11shim
