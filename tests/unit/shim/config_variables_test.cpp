// P11SHIM_ENDPOINT and P11SHIM_LOG.
#include <gtest/gtest.h>

#include "shim/config.h"

namespace p11shim {
namespace {

using Lines = std::vector<std::string>;

const std::string kEndpointExpected = "(expected \"unix:/path\" or \"tcp:127.0.0.1:port\" (loopback addresses only)";

ShimConfig with_endpoint(const std::string& text) {
  ShimConfigSources sources;
  sources.endpoint = text;
  return load_shim_config(sources);
}

TEST(EndpointVariable, MayNameSeveral) { EXPECT_EQ(with_endpoint("unix:/a,tcp:127.0.0.1:5").endpoints.size(), 2u); }

TEST(EndpointVariable, IsIgnoredIfWrong) {
  for (const std::string text : {"/a", "unix:/a,", ",", "unix:/a,x"}) {
    const ShimConfig config = with_endpoint(text);
    EXPECT_EQ(config.problems, Lines{"P11SHIM_ENDPOINT is \"" + text + "\" " + kEndpointExpected + "); it is ignored"});
    EXPECT_EQ(config.endpoints, ShimConfig{}.endpoints);
  }
}

ShimConfig with_log(const std::string& text) {
  ShimConfigSources sources;
  sources.log = text;
  return load_shim_config(sources);
}

TEST(LogVariable, IsALevelASinkOrBoth) {
  EXPECT_EQ(with_log("debug:file:/x").log, (ShimLogSink{ShimLogSink::Kind::file, "/x"}));
  EXPECT_EQ(with_log("debug:file:/x").log_level, LogLevel::debug);
  EXPECT_EQ(with_log("file:/x:y").log, (ShimLogSink{ShimLogSink::Kind::file, "/x:y"}));
  EXPECT_EQ(with_log("stderr").log.kind, ShimLogSink::Kind::standard_error);
  EXPECT_EQ(with_log("stderr").log_level, LogLevel::warning);
  EXPECT_EQ(with_log("trace").log.kind, ShimLogSink::Kind::standard_error);
  EXPECT_EQ(with_log("trace").log_level, LogLevel::trace);
  EXPECT_EQ(with_log("error:syslog").log.kind, ShimLogSink::Kind::syslog);
  EXPECT_EQ(with_log("off").log.kind, ShimLogSink::Kind::off);
}

TEST(LogVariable, IsIgnoredIfWrong) {
  for (const std::string text : {"loud", "debug:", "debug:x", "file:x", ":stderr", "file:"}) {
    const ShimConfig config = with_log(text);
    EXPECT_EQ(config.problems, Lines{"P11SHIM_LOG is \"" + text +
                                     "\" (expected a level, one of \"off\", \"stderr\", \"syslog\" or \"file:/path\", "
                                     "or both such as \"debug:stderr\"); it is ignored"});
    EXPECT_EQ(config.log.kind, ShimLogSink::Kind::syslog);
  }
}

}  // namespace
}  // namespace p11shim
