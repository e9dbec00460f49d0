// trace and trace analyze.
#include <algorithm>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "schema.h"
#include "tests/places.h"
#include "tests/system_library.h"
#include "toolbox.h"

namespace p11shim {
namespace {

using nlohmann::json;

constexpr char kSpyLog[] = R"(

*************** OpenSC PKCS#11 spy *****************
Loaded: "/usr/lib/softhsm/libsofthsm2.so"

0: C_Initialize
2026-11-21 06:46:54.868
[in] pInitArgs = (nil)
Returned:  0 CKR_OK

1: C_Login
2026-11-21 06:46:54.875
[in] hSession = 0x1
[in] userType = CKU_USER
[in] pPin[ulPinLen] 00007ffce0f4f9d2 / 4
    00000000  53 45 43 52                                      SECR            
Returned:  160 CKR_PIN_INCORRECT

2: C_GenerateKeyPair
2026-11-21 06:46:54.880
[in] hSession = 0x1
[in] pMechanism->type = CKM_EC_KEY_PAIR_GEN          
Returned:  0 CKR_OK

3: C_Finalize
P:4711; T:0x7f00 2026-11-21 06:46:55.380
Returned:  0 CKR_OK
)";

constexpr char kAuditLog[] =
    R"({"v":1,"time":"2026-11-20T23:57:32.123456Z","class":"use","application":"9f1c","uid":33,"pid":4711,"program":"/usr/sbin/nginx","pool":"p","member":"m","function":"C_Sign","mechanism":"CKM_ECDSA","rv":"CKR_OK","rv_number":0,"attempts":1,"us":{"queue":3,"hsm":812,"total":841}}
{"v":1,"time":"2026-11-20T23:57:33.000000Z","class":"use","application":"9f1c","uid":33,"pid":4711,"program":"/usr/sbin/nginx","pool":"p","member":"m","function":"C_Sign","mechanism":"CKM_ECDSA","rv":"CKR_DEVICE_ERROR","rv_number":48,"attempts":1,"us":{"total":2000}}
half a li)";

class TraceTest : public ToolboxTest {
 protected:
  // Runs shimctl with these words, its module being traced.
  int traced(const std::string& words, const std::string& file, int expected = 0) {
    const std::string shimctl = build_dir() + "/bin/shimctl";
    Words all{"trace"};
    if (GetParam() == Way::kDirect) all.insert(all.end(), {"--module", "/usr/lib/softhsm/libsofthsm2.so"});
    if (!file.empty()) all.insert(all.end(), {"--out", file});
    all.insert(all.end(),
               {"--", "sh", "-c", shimctl + " --module \"$P11_MODULE\" --token test --pin-from env:PIN " + words});
    EXPECT_EQ(bare(all), expected) << err;
    return code;
  }
  json analyzed(const std::string& file) {
    EXPECT_EQ(bare({"trace", "analyze", file, "-o", "json"}), 0) << err;
    const json envelope = json::parse(out, nullptr, false);
    EXPECT_EQ(schema_error(envelope), "") << out;
    return envelope.value("data", json());
  }
  static std::set<std::string> functions(const json& analysis) {
    std::set<std::string> names;
    for (const json& each : analysis["functions"]) names.insert(each["function"]);
    return names;
  }
};
INSTANTIATE_TEST_SUITE_P(Ways, TraceTest, testing::Values(Way::kDirect, Way::kProxied), name_of);

TEST_P(TraceTest, RecordsCallsAndNothingSecret) {
  traced("key gen --label k", path("calls"));
  std::istringstream lines(read("calls"));
  for (std::string line; std::getline(lines, line);) {
    EXPECT_EQ(schema_error(json::parse(line, nullptr, false), "trace"), "") << line;  // it describes all that may be
  }
  EXPECT_NE(schema_error({{"pid", 1}, {"pin", "1234"}}, "trace"), "");
  const json found = analyzed(path("calls"));
  EXPECT_EQ(found["source"], "trace");
  EXPECT_EQ(found["durations"], "measured");
  EXPECT_EQ(found["skipped_lines"], 0);
  for (const char* name : {"C_Initialize", "C_Login", "C_GenerateKeyPair", "C_CloseSession", "C_Finalize"})
    EXPECT_TRUE(functions(found).contains(name)) << name;
  EXPECT_EQ(found["mechanisms"][0]["mechanism"], "CKM_EC_KEY_PAIR_GEN");
  const auto& took = found["took"];
  EXPECT_EQ(took["count"], found["calls"]);
  EXPECT_LE(took["min_ns"], took["p50_ns"]);
  EXPECT_LE(took["p50_ns"], took["p999_ns"]);
  EXPECT_LE(took["p999_ns"], took["max_ns"]);
  EXPECT_EQ(found["slowest"][0]["took_ns"], took["max_ns"]);
  EXPECT_EQ(data({"key", "show", "k"})["label"], "k");  // the calls came to the token
}

TEST_P(TraceTest, ErrorsAndExitCodesAreTheCommandsOwn) {
  traced("--pin-from file:" + write("wrong", "9999") + " key list", path("calls"), 6);
  const json found = analyzed(path("calls"));
  EXPECT_EQ(found["errors"][0]["function"], "C_Login");
  EXPECT_EQ(found["errors"][0]["rv"], "CKR_PIN_INCORRECT");
  EXPECT_EQ(bare({"trace", "--", "sh", "-c", "exit 7"}), 7);
  EXPECT_EQ(bare({"trace", "--", "/none/at/all"}), 127);
  EXPECT_EQ(bare({"trace"}), 2);
  EXPECT_EQ(bare({"trace", "--out", path("calls"), "--", "true"}), 3);  // it is there
  EXPECT_EQ(bare({"trace", "--module", "/none", "--", "true"}), 3);
}

TEST_P(TraceTest, WithoutAFileTheSumIsShownAtTheEnd) {
  traced("token info", "");
  EXPECT_NE(err.find("C_GetTokenInfo"), std::string::npos) << err;
  EXPECT_NE(out.find("test"), std::string::npos) << out;
}

TEST_P(TraceTest, ReadsLogsOfPkcs11Spy) {
  const json found = analyzed(write("spy.log", kSpyLog));
  EXPECT_EQ(found["source"], "pkcs11-spy");
  EXPECT_EQ(found["durations"], "at most");
  EXPECT_EQ(found["module"], "/usr/lib/softhsm/libsofthsm2.so");
  EXPECT_EQ(found["calls"], 4);
  EXPECT_EQ(found["failed"], 1);
  EXPECT_EQ(found["errors"][0]["rv"], "CKR_PIN_INCORRECT");
  EXPECT_EQ(found["mechanisms"][0]["mechanism"], "CKM_EC_KEY_PAIR_GEN");
  EXPECT_EQ(out.find("SECR"), std::string::npos);
  EXPECT_EQ(out.find("53 45"), std::string::npos);
  EXPECT_NE(err.find("hold PINs"), std::string::npos);
  std::map<std::string, long> took;
  for (const json& each : found["functions"]) took[each["function"]] = each["took"]["max_ns"];
  EXPECT_EQ(took["C_Login"], 5'000'000);
}

TEST_P(TraceTest, ReadsWhatTheInstalledPkcs11SpyWrites) {
  const std::string spy = system_library("pkcs11-spy.so");
  if (!std::filesystem::exists(spy) || GetParam() != Way::kDirect) GTEST_SKIP() << "opensc is not installed";
  ASSERT_EQ(shell("PKCS11SPY=\"$P11_MODULE\" PKCS11SPY_OUTPUT=spy.log pkcs11-tool --module " + spy +
                  " --token-label test --login --pin 1234 --keypairgen --key-type EC:prime256v1 --label k"),
            0)
      << err;
  const json found = analyzed(path("spy.log"));
  EXPECT_EQ(found["source"], "pkcs11-spy");
  EXPECT_GT(found["calls"], 10);
  EXPECT_TRUE(functions(found).contains("C_GenerateKeyPair"));
  EXPECT_EQ(out.find("31 32 33 34"), std::string::npos);
}

TEST_P(TraceTest, ReadsAuditLogs) {
  const json found = analyzed(write("audit.jsonl", kAuditLog));
  EXPECT_EQ(found["source"], "audit");
  EXPECT_EQ(found["calls"], 2);
  EXPECT_EQ(found["failed"], 1);
  EXPECT_EQ(found["skipped_lines"], 1);
  EXPECT_EQ(found["took"]["max_ns"], 2'000'000);
}

TEST_P(TraceTest, TheTimelineIsOnePageThatNothingCanEnd) {
  const std::string file =
      write("calls",
            "{\"schema\":\"p11shim.trace/1\",\"pid\":1,\"program\":\"</script><b>\",\"module\":\"m\",\"t\":1}\n"
            "{\"pid\":1,\"tid\":1,\"t\":5,\"ns\":7,\"call\":\"C_Sign\",\"rv\":48,\"mechanism\":4161}\n"
            "{\"pid\":1,\"tid\":1,\"t\":5,\"ns\":7,\"call\":\"<script>\",\"rv\":0}\n");
  ASSERT_EQ(bare({"trace", "analyze", file, "--html", path("t.html")}), 0) << err;
  const std::string page = read("t.html");
  EXPECT_EQ(page.find("</script>"), page.rfind("</script>"));
  EXPECT_EQ(page.find("<script>"), page.rfind("<script>"));
  EXPECT_EQ(page.find("http:"), std::string::npos);
  EXPECT_EQ(page.find("src="), std::string::npos);
  for (const char* text : {"<canvas", "C_Sign", "CKR_DEVICE_ERROR", "CKM_ECDSA"})
    EXPECT_NE(page.find(text), std::string::npos) << text;
  EXPECT_NE(out.find("CKR_DEVICE_ERROR"), std::string::npos) << out;
}

TEST_P(TraceTest, OtherFilesAreRefused) {
  EXPECT_EQ(bare({"trace", "analyze", write("empty", "")}), 2);
  EXPECT_EQ(bare({"trace", "analyze", write("other", "{\"a\":1}\nhello\n")}), 2);
  EXPECT_EQ(bare({"trace", "analyze", path("none")}), 7);
  EXPECT_EQ(bare({"trace", "analyze", write("bad", "{\"call\":\"C_Sign\",\"t\":\"x\"}\n")}), 2);
  EXPECT_EQ(bare({"trace", "analyze", "-"}, {}, kSpyLog), 0) << err;
}

}  // namespace
}  // namespace p11shim
