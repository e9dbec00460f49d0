// What the bench says of a token that fails, stalls or is slow: the fault module stands before it.
#include <filesystem>

#include "mock/control_file.h"
#include "schema.h"
#include "tests/places.h"
#include "toolbox.h"

namespace p11shim {
namespace {

using nlohmann::json;

class BenchFaultTest : public ToolboxTest {
 protected:
  // The bench on the token through the fault module with these rules, which count from here.
  int faulty(const std::string& rules, const Words& more) {
    control_.set(rules);
    const std::string real =
        GetParam() == Way::kDirect ? variables()["P11_MODULE"] : build_dir() + "/lib/libpkcs11-shim.so";
    Words words{"--module", build_dir() + "/tests/libp11fault.so", "--token", "test", "--pin-from", "env:PIN", "bench"};
    words.insert(words.end(), more.begin(), more.end());
    return bare(words, {{"P11FAULT_MODULE", real}, {"P11FAULT_CONTROL", control_.path().string()}});
  }
  json saved(const std::string& name) {
    const json document = json::parse(read(name), nullptr, false);
    EXPECT_EQ(schema_error(document), "") << name;
    return document["data"];
  }
  int compare(const std::string& a, const std::string& b) {
    return bare({"bench", "compare", path(a), path(b), "--fail-on-regress", "10%", "-o", "json"});
  }

 private:
  ControlFile control_{folder};
};
INSTANTIATE_TEST_SUITE_P(Ways, BenchFaultTest, testing::Values(Way::kDirect, Way::kProxied), name_of);

TEST_P(BenchFaultTest, AGateIsNotPassedByATokenThatDoesNothing) {
  const Words run{"run", "--only", "p256-sign", "--iterations", "200", "--warmup", "0s", "--save"};
  const auto to = [&](const std::string& name) {
    Words words = run;
    words.push_back(path(name));
    return words;
  };
  ASSERT_EQ(faulty("", to("good.json")), 0) << err;
  ASSERT_EQ(faulty("C_Sign rv=CKR_DEVICE_ERROR", to("dead.json")), 9) << err;
  ASSERT_EQ(
      faulty("", {"run", "--only", "sha256", "--iterations", "4", "--warmup", "0s", "--save", path("other.json")}), 0)
      << err;
  EXPECT_NE(compare("good.json", "good.json"), 1) << "at worst the machine is too noisy to say";
  for (const char* bad : {"dead.json", "other.json"}) {
    EXPECT_EQ(compare("good.json", bad), 1) << bad;
    const json found = json::parse(out, nullptr, false);
    EXPECT_EQ(schema_error(found), "") << out;
    EXPECT_EQ(found["data"]["regressed"], true);
    EXPECT_EQ(found["data"]["tests"][0]["verdict"], "missing");
  }
  EXPECT_EQ(compare("dead.json", "good.json"), 9) << "nothing that can be compared is no success";
  EXPECT_EQ(bare({"bench", "compare", path("good.json"), path("dead.json"), "--report", path("page.html")}), 0) << err;
  EXPECT_NE(read("page.html").find("missing"), std::string::npos);
}

TEST_P(BenchFaultTest, OneErrorIsOneErrorAndNotAllThatFollow) {
  for (const auto& [test, function] : {std::pair{"p256-sign", "C_Sign"}, std::pair{"rsa2048-verify", "C_Verify"},
                                       std::pair{"aes256-gcm-encrypt", "C_Encrypt"},
                                       std::pair{"aes256-cbc-decrypt", "C_Decrypt"}, std::pair{"sha256", "C_Digest"}}) {
    EXPECT_EQ(faulty(std::string(function) + " rv=CKR_DEVICE_ERROR after=20 times=1",
                     {"run", "--only", test, "--iterations", "80", "--warmup", "0s", "--save", path("a.json")}),
              9)
        << err;
    const json run = saved("a.json");
    EXPECT_EQ(run["tests"][0]["failed"], 1) << test << run["tests"][0]["errors"];
    EXPECT_EQ(run["tests"][0]["count"], 79) << test;
  }
}

TEST_P(BenchFaultTest, WhatWasDueAndNeverBeganIsTold) {
  ASSERT_EQ(faulty("C_Sign latency=60ms", {"run", "--only", "p256-sign", "--rate", "500", "--duration", "500ms",
                                           "--warmup", "0s", "--save", path("a.json")}),
            0)
      << err;
  const json test = saved("a.json")["tests"][0];
  const std::uint64_t not_begun = test["open_loop"]["not_begun"];
  EXPECT_NEAR(static_cast<double>(test["count"].get<std::uint64_t>() + not_begun), 250, 2);
  EXPECT_NE(err.find(std::to_string(not_begun) + " operations that were due"), std::string::npos) << err;
}

TEST_P(BenchFaultTest, StressShowsEachIntervalAlsoOfAStall) {
  ASSERT_EQ(faulty("C_Sign latency=400ms after=30 times=1",
                   {"stress", "--only", "p256-sign", "--duration", "1s", "--interval", "100ms", "--warmup", "0s",
                    "--save", path("a.json"), "--report", path("a.html")}),
            0)
      << err;
  const json stress = saved("a.json")["stress"];
  ASSERT_EQ(stress["intervals"].size(), 10u);
  int empty = 0;
  for (const auto& interval : stress["intervals"]) {
    if (interval["count"] != 0) continue;
    ++empty;
    EXPECT_EQ(interval["rate"], 0);
  }
  EXPECT_GE(empty, 2);
  for (const char* part : {"FROM", "MEMORY", "OVER THE RUN", "processors in use", "VERDICT"})
    EXPECT_NE(out.find(part), std::string::npos) << part << '\n' << out;
  const std::string page = read("a.html");
  EXPECT_NE(page.find("class=\"stress\""), std::string::npos);
  EXPECT_NE(page.find("memory over seconds"), std::string::npos);
  EXPECT_EQ(page.find("nan"), std::string::npos);
}

TEST_P(BenchFaultTest, AFileThatCannotBeWrittenIsSaidBeforeMeasuring) {
  for (const char* option : {"--save", "--report", "--prometheus"}) {
    error({"bench", "run", "--only", "sha256", "--iterations", "4", option, "/nonexistent/x"}, 2);
    EXPECT_EQ(out, "") << "nothing was measured";
    error({"bench", "run", "--only", "sha256", "--iterations", "4", option, folder.string()}, 2);
  }
  EXPECT_EQ(tool({"bench", "run", "--only", "sha256", "--iterations", "4", "--warmup", "0s", "--save", "/dev/null"}), 0)
      << err;
}

TEST_P(BenchFaultTest, ADamagedReportIsRefusedWithThePlace) {
  ASSERT_EQ(faulty("", {"run", "--only", "sha256", "--iterations", "40", "--warmup", "0s", "--save", path("a.json")}),
            0)
      << err;
  json document = json::parse(read("a.json"), nullptr, false);
  document["data"]["tests"][0]["rate"] = "fast";
  write("bad.json", document.dump());
  write("cut.json", read("a.json").substr(0, 500));
  for (const Words& words : {Words{"bench", "compare", path("a.json"), path("bad.json")},
                             Words{"bench", "report", path("bad.json"), "--out", path("x.html")}}) {
    EXPECT_EQ(bare(words), 3);
    EXPECT_NE(err.find("data.tests[0].rate"), std::string::npos) << err;
  }
  EXPECT_EQ(bare({"bench", "compare", path("a.json"), path("cut.json")}), 3);
}

TEST_P(BenchFaultTest, WhereTheTimeWentAddsUp) {
  if (GetParam() == Way::kDirect) GTEST_SKIP() << "proxyd tells";
  ASSERT_EQ(tool({"bench", "run", "--only", "p256-sign,aes256-gcm-encrypt", "--iterations", "300", "--warmup", "0s",
                  "--save", path("a.json")}),
            0)
      << err;
  EXPECT_NE(out.find("the whole operation"), std::string::npos) << out;
  const json run = saved("a.json");
  for (const auto& test : run["tests"]) {
    const json& time = test["operation_time"];
    ASSERT_FALSE(time.is_null()) << test["where"];
    EXPECT_EQ(time["operations"], 300);
    EXPECT_GT(time["shim_ns"], 0);
    EXPECT_GT(time["hsm_ns"], 0);
    double sum = 0;
    for (const char* part : {"shim_ns", "proxyd_ns", "queue_ns", "hsm_ns"}) sum += time[part].get<double>();
    EXPECT_NEAR(sum, time["total_ns"].get<double>(), 10);
    EXPECT_NEAR(time["total_ns"].get<double>(), test["latency"]["mean_ns"].get<double>(), 10);
  }
  ASSERT_EQ(
      tool({"bench", "mix", "sign:1,encrypt:1", "--iterations", "100", "--warmup", "0s", "--save", path("mix.json")}),
      0)
      << err;
  for (const auto& test : saved("mix.json")["tests"]) {
    ASSERT_EQ(test["where"].size(), 1u) << "its own function";
    EXPECT_EQ(test["where"][0]["function"], test["group"] == "sign" ? "C_Sign" : "C_Encrypt");
    EXPECT_FALSE(test["operation_time"].is_null());
  }
}

}  // namespace
}  // namespace p11shim
