// bench list, run, stress, mix, suite, sweep, compare, report. What is asked here is whether the figures are
// honest, never whether they are fast.
#include <csignal>
#include <set>
#include <thread>

#include "mock/control_file.h"
#include "schema.h"
#include "tests/places.h"
#include "toolbox.h"

namespace p11shim {
namespace {

using nlohmann::json;

// Until a thread works for it.
bool wait_for_threads(pid_t pid) {
  const auto tasks = std::filesystem::path("/proc") / std::to_string(pid) / "task";
  for (int i = 0; i < 10000; ++i) {
    std::error_code error;
    const std::filesystem::directory_iterator begin(tasks, error);
    if (std::distance(begin, {}) > 1) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return false;
}

class BenchTest : public ToolboxTest {
 protected:
  // A short run of these; short enough to be noisy.
  json bench(const Words& more, int expected = 0) {
    Words words{"bench", "run", "--warmup", "0s"};
    words.insert(words.end(), more.begin(), more.end());
    words.insert(words.end(), {"-o", "json"});
    EXPECT_EQ(tool(words), expected) << err;
    const json envelope = json::parse(out, nullptr, false);
    EXPECT_EQ(schema_error(envelope), "") << out.substr(0, 2000);
    return envelope.is_object() ? envelope["data"] : json();
  }
};
INSTANTIATE_TEST_SUITE_P(Ways, BenchTest, testing::Values(Way::kDirect, Way::kProxied), name_of);

TEST_P(BenchTest, EveryTestRunsOrSaysWhyNot) {
  const json list = data({"bench", "list"});
  EXPECT_GE(list["tests"].size(), 34u);
  std::size_t seen = 0;
  std::size_t measured = 0;
  // In parts, each within a process's patience on a busy machine.
  for (const char* part : {"sign", "verify", "encrypt,decrypt,hash,mac", "wrap,unwrap,derive,random,find", "generate",
                           "attributes,session,login"}) {
    const json run = bench({"--iterations", "4", "--only", part});
    seen += run["tests"].size();
    for (const auto& test : run["tests"]) {
      if (test["status"] == "skipped") {
        EXPECT_NE(test["reason"].get<std::string>().find("token"), std::string::npos) << test;
        EXPECT_FALSE(test.contains("count")) << test;
        continue;
      }
      ++measured;
      EXPECT_EQ(test["status"], "ok") << test["name"] << ": " << test["errors"] << test.value("first_wrong", "");
      EXPECT_EQ(test["count"], 4) << test["name"];
      EXPECT_GE(test["checked"], 1) << test["name"];
      EXPECT_EQ(test["latency"]["percentiles"].size(), 0u) << "four samples support no percentile";
    }
  }
  EXPECT_EQ(seen, list["tests"].size());
  EXPECT_GE(measured, 40u);
  EXPECT_EQ(data({"key", "list"})["keys"].size(), 0u) << "nothing stays on the token";
}

TEST_P(BenchTest, TestsAreChosenByNameGroupAndPattern) {
  const auto names = [&](const std::string& only) {
    std::set<std::string> found;
    const json listed = data({"bench", "list", "--only", only});
    for (const auto& test : listed["tests"]) found.insert(test["name"].get<std::string>());
    return found;
  };
  EXPECT_EQ(names("p256-sign,sha256"), (std::set<std::string>{"p256-sign", "sha256"}));
  EXPECT_EQ(names("sign").size(), 9u);
  EXPECT_EQ(names("aes256-gcm-*").size(), 2u);
  EXPECT_TRUE(names("aes256").contains("aes256-wrap"));
  error({"bench", "run", "--only", "p256-sing"}, 2);
  EXPECT_NE(err.find("did you mean \\\"p256-sign\\\""), std::string::npos) << err;
}

TEST_P(BenchTest, TheKeyIsTheTokensOrSkippedWithTheReason) {
  ASSERT_EQ(tool({"key", "gen", "--type", "ec:P-256", "--label", "k"}), 0) << err;
  ASSERT_EQ(tool({"key", "gen", "--type", "ec:P-256", "--label", "mute", "--attr", "!sign"}), 0) << err;
  const json own = bench({"--only", "p256-sign", "--key", "k", "--iterations", "30", "--threads", "3"});
  EXPECT_EQ(own["tests"][0]["key"], json({{"label", "k"}, {"made_for_the_run", false}}));
  EXPECT_EQ(own["tests"][0]["count"], 30);
  EXPECT_EQ(own["tests"][0]["per_thread"].size(), 3u);
  EXPECT_EQ(own["tests"][0]["latency"]["percentiles"][0]["percent"], 50) << "30 samples support the median";
  EXPECT_EQ(own["tests"][0]["latency"]["percentiles"].size(), 1u);
  const json mute = bench({"--only", "p256-sign", "--key", "mute", "--iterations", "4"}, 1);
  EXPECT_EQ(mute["tests"][0]["status"], "skipped");
  EXPECT_NE(mute["tests"][0]["reason"].get<std::string>().find("CKA_SIGN"), std::string::npos);
  const json other = bench({"--only", "rsa2048-sign", "--key", "k", "--iterations", "4"}, 1);
  EXPECT_NE(other["tests"][0]["reason"].get<std::string>().find("not rsa:2048"), std::string::npos);
  const json none = bench({"--only", "rsa2048-sign", "--no-make-keys", "--iterations", "4"}, 1);
  EXPECT_EQ(none["tests"][0]["status"], "skipped");
  EXPECT_EQ(tool({"bench", "run", "--key", "nobody"}), 7);
}

TEST_P(BenchTest, CostIsFittedOverSizes) {
  const json run = bench({"--only", "sha256", "--iterations", "60", "--data-size", "16,65536"});
  ASSERT_EQ(run["tests"].size(), 2u);
  ASSERT_EQ(run["fits"].size(), 1u);
  EXPECT_EQ(run["fits"][0]["sizes"], json::array({16, 65536}));
  EXPECT_NEAR(run["fits"][0]["r2"].get<double>(), 1, 1e-6) << "two points lie on a line";
}

TEST_P(BenchTest, AnOpenLoopShowsBothFigures) {
  const json run = bench({"--only", "random", "--rate", "2000", "--iterations", "100", "--arrivals", "poisson"});
  const json& test = run["tests"][0];
  EXPECT_EQ(test["response"]["count"], 100);
  EXPECT_EQ(test["latency"]["count"], 100);
  EXPECT_GE(test["response"]["max_ns"], test["latency"]["max_ns"]);
  EXPECT_EQ(test["open_loop"]["arrivals"], "poisson");
}

TEST_P(BenchTest, MixesSuitesSweepsAndStress) {
  const auto measured = [&](Words words) {
    words.insert(words.end(), {"-o", "json"});
    EXPECT_EQ(tool(words), 0) << err;
    const json envelope = json::parse(out, nullptr, false);
    EXPECT_EQ(schema_error(envelope), "") << out.substr(0, 2000);
    return envelope["data"];
  };
  const json mix = measured({"bench", "mix", "sign:50%,verify:30%,hash:20%", "--iterations", "200", "--warmup", "0s"});
  ASSERT_EQ(mix["tests"].size(), 3u);
  EXPECT_EQ(
      mix["tests"][0]["count"].get<int>() + mix["tests"][1]["count"].get<int>() + mix["tests"][2]["count"].get<int>(),
      200);
  EXPECT_GT(mix["tests"][0]["count"], mix["tests"][2]["count"]);
  EXPECT_EQ(tool({"bench", "mix", "sign:much"}), 2);

  const json sweep =
      measured({"bench", "sweep", "--only", "sha256", "--over", "threads=1,2", "--iterations", "20", "--warmup", "0s"});
  EXPECT_EQ(sweep["tests"][0]["threads"], 1);
  EXPECT_EQ(sweep["tests"][1]["threads"], 2);
  EXPECT_EQ(sweep["tests"][1]["run"], "threads 2");

  const auto file = write("suite.toml",
                          "[[run]]\nname = \"hashes\"\nonly = [\"hash\"]\niterations = 10\nwarmup = \"0s\"\n"
                          "[[run]]\nmix = \"sign:1,random:1\"\niterations = 10\nwarmup = \"0s\"\n");
  const json suite = measured({"bench", "suite", file});
  EXPECT_EQ(suite["runs"].size(), 2u);
  EXPECT_EQ(suite["tests"][0]["run"], "hashes");
  const auto bad = write("bad.toml", "[[run]]\nname = \"x\"\ntreads = 2\n");
  error({"bench", "suite", bad}, 3);
  EXPECT_NE(err.find(":3:1"), std::string::npos) << err;
  EXPECT_NE(err.find("did you mean \\\"threads\\\""), std::string::npos) << err;

  const json stress =
      measured({"bench", "stress", "--only", "sha256", "--duration", "400ms", "--interval", "50ms", "--warmup", "0s"});
  EXPECT_GE(stress["stress"]["intervals"].size(), 4u);
  EXPECT_GT(stress["stress"]["intervals"][0]["rss_bytes"], 1e6);
}

TEST_P(BenchTest, OutputsAgree) {
  ASSERT_EQ(tool({"bench", "run", "--only", "sha256,rsa2048-sign,sha3-256", "--iterations", "40", "--warmup", "0s",
                  "--histogram", "--save", path("a.json"), "--prometheus", path("a.prom"), "--report", path("a.html")}),
            0)
      << err;
  EXPECT_NE(out.find("sha256/1024"), std::string::npos) << out;
  EXPECT_NE(out.find("#"), std::string::npos) << out;
  const json saved = json::parse(read("a.json"), nullptr, false);
  EXPECT_EQ(schema_error(saved), "");
  EXPECT_GT(saved["data"]["environment"]["machine"]["median_ns"], 0);
  for (const auto& slice : saved["data"]["tests"][0]["slices"]) EXPECT_GT(slice["machine_ns"], 0);
  EXPECT_NE(read("a.prom").find("p11shim_bench_latency_seconds_count{test=\"sha256\",bytes=\"1024\"} 40"),
            std::string::npos)
      << read("a.prom");
  const std::string page = read("a.html");
  EXPECT_NE(page.find("<svg"), std::string::npos);
  EXPECT_EQ(page.find("http"), std::string::npos) << "nothing from elsewhere";
  EXPECT_EQ(page.find("<script"), std::string::npos);
  ASSERT_EQ(tool({"bench", "run", "--only", "sha256", "--iterations", "4", "--warmup", "0s", "-o", "csv"}), 0) << err;
  EXPECT_EQ(out.substr(0, 10), "name,side,");

  ASSERT_EQ(bare({"bench", "compare", path("a.json"), path("a.json"), "-o", "json"}), 0) << err;
  const json same = json::parse(out, nullptr, false);
  EXPECT_EQ(schema_error(same), "") << out;
  EXPECT_DOUBLE_EQ(same["data"]["geometric_mean"].get<double>(), 1);
  EXPECT_DOUBLE_EQ(same["data"]["machine"]["ratio"].get<double>(), 1);
  EXPECT_EQ(same["data"]["machine"]["differs"], false);
  ASSERT_EQ(bare({"bench", "report", path("a.json"), path("a.json"), "--out", path("two.html")}), 0) << err;
  EXPECT_NE(read("two.html").find("Comparison"), std::string::npos);
}

TEST_P(BenchTest, CapacityIsAnsweredWithItsError) {
  ASSERT_EQ(tool({"bench", "sweep", "--only", "rsa2048-sign", "--over", "threads=1,2", "--iterations", "60", "--warmup",
                  "0s", "--save", path("sweep.json")}),
            0)
      << err;
  const json found = data({"bench", "capacity", "--from", path("sweep.json"), "--rate", "5000", "--p99", "10s"});
  EXPECT_GE(found["hsms"], 1);
  EXPECT_GE(found["choices"].size(), 3u);
  EXPECT_LT(std::abs(found["choices"].back()["error_percent"].get<double>()), 50);
  EXPECT_EQ(
      tool({"bench", "capacity", "--from", path("sweep.json"), "--rate", "5000", "--p99", "1ms"}) == 1 || code == 0,
      true)
      << err;
}

TEST_P(BenchTest, ReportsOfAnotherVersionAreRefused) {
  write("old.json", R"({"schema":"p11shim.bench.run/0","data":{"tests":[]}})");
  write("other.json", R"({"schema":"p11shim.key.list/1","data":{}})");
  EXPECT_EQ(bare({"bench", "compare", path("old.json"), path("old.json")}), 3);
  EXPECT_NE(err.find("another version"), std::string::npos) << err;
  EXPECT_EQ(bare({"bench", "compare", path("other.json"), path("other.json")}), 3);
  EXPECT_EQ(bare({"bench", "compare", path("none.json"), path("none.json")}), 7);
}

TEST_P(BenchTest, ATokenThatFillsUpIsCountedAndNotHidden) {
  ControlFile control(folder);
  control.set("C_GenerateKey rv=CKR_DEVICE_MEMORY after=10");
  const std::string real =
      GetParam() == Way::kDirect ? variables()["P11_MODULE"] : build_dir() + "/lib/libpkcs11-shim.so";
  EXPECT_EQ(bare({"--module", build_dir() + "/tests/libp11fault.so", "--token", "test", "--pin-from", "env:PIN",
                  "bench", "run", "--only", "aes256-generate", "--iterations", "30", "--warmup", "0s", "-o", "json"},
                 {{"P11FAULT_MODULE", real}, {"P11FAULT_CONTROL", control.path().string()}}),
            9)
      << err;
  const json run = json::parse(out, nullptr, false)["data"];
  const json& test = run["tests"][0];
  EXPECT_EQ(test["status"], "errors");
  EXPECT_EQ(test["errors"], json({{"CKR_DEVICE_MEMORY", test["failed"]}}));
  EXPECT_EQ(test["count"].get<int>() + test["failed"].get<int>(), 30);
  EXPECT_EQ(test["latency"]["count"], test["count"]) << "what failed is in no latency";
}

TEST_P(BenchTest, AConnectionIsAProcessOfItsOwn) {
  const json run = bench({"--only", "p256-sign,sha256", "--connections", "3", "--threads", "2", "--iterations", "11"});
  ASSERT_EQ(run["tests"].size(), 2u);
  EXPECT_EQ(run["settings"]["connections"], 3);
  for (const auto& test : run["tests"]) {
    EXPECT_EQ(test["status"], "ok") << test;
    EXPECT_EQ(test["count"], 11) << "of all together";
    EXPECT_EQ(test["connections"], 3);
    EXPECT_EQ(test["per_thread"].size(), 6u);
    EXPECT_GE(test["checked"], 3) << "each verifies its results";
  }
  const json open = bench({"--only", "random", "--connections", "2", "--rate", "2000", "--iterations", "50"});
  EXPECT_EQ(open["tests"][0]["response"]["count"], 50);
  EXPECT_EQ(data({"key", "list"})["keys"].size(), 0u) << "nothing stays on the token";
  error({"bench", "run", "--connections", "0"}, 2);
  error({"bench", "run", "--connections", "2", "--vs", "self"}, 2);
  error({"bench", "run", "--connections", "2", "--pin-from", "fd:0"}, 2);
  error({"bench", "run", "--connections", "2", "--key", "nobody"}, 7);

  Words words{build_dir() + "/bin/shimctl", "--token", "test", "--pin-from", "env:PIN"};
  if (GetParam() == Way::kDirect) words.insert(words.end(), {"--module", variables()["P11_MODULE"]});
  words.insert(words.end(), {"bench", "run", "--only", "sha256", "--connections", "3", "--duration", "50s", "--warmup",
                             "0s", "--save", path("part.json")});
  Process process(words, variables());
  ASSERT_TRUE(wait_for_threads(process.pid()));
  if (GetParam() == Way::kProxied) {
    std::size_t most = 0;
    for (int i = 0; i < 500 && most < 3; ++i) {
      ASSERT_EQ(bare({"status", "-o", "json"}), 0) << err;
      most = json::parse(out)["data"]["applications"].size();
    }
    EXPECT_GE(most, 3u) << "to proxyd each is an application";
  }
  process.signal(SIGINT);
  EXPECT_EQ(process.wait(), 9) << process.err;
  const json saved = json::parse(read("part.json"), nullptr, false);
  EXPECT_EQ(schema_error(saved), "");
  EXPECT_EQ(saved["data"]["complete"], false);
}

TEST_P(BenchTest, AnInterruptedRunSavesWhatItHas) {
  Words words{build_dir() + "/bin/shimctl", "--token", "test", "--pin-from", "env:PIN"};
  if (GetParam() == Way::kDirect) words.insert(words.end(), {"--module", variables()["P11_MODULE"]});
  words.insert(words.end(), {"bench", "run", "--only", "sha256", "--duration", "50s", "--warmup", "0s", "--save",
                             path("part.json")});
  Process process(words, variables());
  ASSERT_TRUE(wait_for_threads(process.pid()));
  process.signal(SIGINT);
  EXPECT_EQ(process.wait(), 9) << process.err;
  const json saved = json::parse(read("part.json"), nullptr, false);
  EXPECT_EQ(schema_error(saved), "");
  EXPECT_EQ(saved["data"]["complete"], false);
  EXPECT_EQ(saved["data"]["interrupted_by"], "SIGINT");
  EXPECT_NE(process.err.find("partial"), std::string::npos) << process.err;
}

}  // namespace
}  // namespace p11shim
