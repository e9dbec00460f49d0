#include "toolbox.h"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "schema.h"
#include "tests/places.h"

namespace p11shim {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

fs::path new_folder() {
  std::string name = fs::temp_directory_path() / "toolbox_test.XXXXXX";
  return fs::canonical(::mkdtemp(name.data()));
}

const std::string kShimctl = build_dir() + "/bin/shimctl";

std::string module_path() {
  const char* chosen = std::getenv("SOFTHSM2_MODULE");
  return chosen != nullptr ? chosen : "/usr/lib/softhsm/libsofthsm2.so";
}

}  // namespace

ToolboxTest::ToolboxTest() : folder(new_folder()) {
  fs::create_directory(folder / "tokens");
  std::ofstream(folder / "softhsm2.conf")
      << "directories.tokendir = " << (folder / "tokens").string() << "\nlog.level = ERROR\n";
}

ToolboxTest::~ToolboxTest() {
  if (proxyd_) {
    proxyd_->end_input();
    proxyd_->wait();
  }
  fs::remove_all(folder);
}

void ToolboxTest::SetUp() {
  const auto configured = variables();
  Process init({"softhsm2-util", "--init-token", "--free", "--label", "test", "--pin", "1234", "--so-pin", "5678"},
               configured);
  ASSERT_EQ(init.wait(), 0) << init.err;
  if (GetParam() == Way::kDirect) return;
  proxyd_ = std::make_unique<Process>(Words{kShimctl, "run", "--module", module_path(), "--", "sh", "-c",
                                            "echo \"$P11SHIM_ENDPOINT $P11SHIM_CONTROL;\"; read line"},
                                      configured);
  ASSERT_TRUE(proxyd_->wait_for_output(";")) << proxyd_->err;
  const auto blank = proxyd_->out.find(' ');
  endpoint_ = proxyd_->out.substr(0, blank);
  control_ = proxyd_->out.substr(blank + 1, proxyd_->out.find(';') - blank - 1);
}

Variables ToolboxTest::variables() const {
  Variables all{{"SOFTHSM2_CONF", path("softhsm2.conf")}, {"PIN", "1234"}, {"SOPIN", "5678"}, {"TMPDIR", folder}};
  all["P11SHIM_ENDPOINT"] = endpoint_.empty() ? "unix:" + path("none.sock") : endpoint_;
  all["P11SHIM_CONTROL"] = control_.empty() ? path("none.control") : control_;
  all["P11_MODULE"] = module_path();
  return all;
}

int ToolboxTest::bare(const Words& words, const Variables& more, const std::string& input) {
  Words arguments{kShimctl};
  arguments.insert(arguments.end(), words.begin(), words.end());
  auto all = variables();
  for (const auto& [name, value] : more) all[name] = value;
  Process process(arguments, all);
  if (!input.empty()) process.send(input);
  process.end_input();
  code = process.wait();
  out = process.out;
  err = process.err;
  return code;
}

int ToolboxTest::tool(const Words& words, const std::string& input) {
  Words arguments{"--token", "test", "--pin-from", "env:PIN"};
  if (GetParam() == Way::kDirect) arguments.insert(arguments.begin(), {"--module", module_path()});
  arguments.insert(arguments.end(), words.begin(), words.end());
  return bare(arguments, {}, input);
}

json ToolboxTest::data(Words words) {
  words.insert(words.end(), {"-o", "json"});
  tool(words);
  EXPECT_EQ(err, "");
  const json envelope = json::parse(out, nullptr, false);
  EXPECT_EQ(schema_error(envelope), "") << out;
  return envelope.is_object() ? envelope["data"] : json();
}

json ToolboxTest::error(Words words, int expected) {
  words.insert(words.end(), {"-o", "json"});
  EXPECT_EQ(tool(words), expected) << err;
  EXPECT_EQ(out, "");
  const json envelope = json::parse(err, nullptr, false);
  EXPECT_EQ(schema_error(envelope), "") << err;
  const json found = envelope.is_object() ? envelope["data"] : json::object();
  EXPECT_EQ(found.value("exit_code", -1), expected);
  return found;
}

int ToolboxTest::shell(const std::string& script) {
  Process process({"sh", "-c", "cd '" + folder.string() + "' && " + script}, variables());
  process.end_input();
  code = process.wait();
  out = process.out;
  err = process.err;
  return code;
}

std::string ToolboxTest::write(const std::string& name, const std::string& content) const {
  std::ofstream(folder / name, std::ios::binary) << content;
  return path(name);
}

std::string ToolboxTest::read(const std::string& name) const {
  std::ostringstream text;
  text << std::ifstream(folder / name, std::ios::binary).rdbuf();
  return text.str();
}

std::string name_of(const testing::TestParamInfo<Way>& info) {
  return info.param == Way::kDirect ? "Direct" : "Proxied";
}

}  // namespace p11shim
