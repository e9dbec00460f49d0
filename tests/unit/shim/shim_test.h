// A test of the library as an application sees it: the exported functions, with a proxyd that the test
// controls.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "calls/table.h"
#include "fake_proxyd.h"

namespace p11shim {

using F = CK_FUNCTION_LIST_3_0;

class ShimTest : public ::testing::Test {
 protected:
  // Each test has a configuration of its own; `more` are lines of TOML.
  void configure(const std::string& more = {}) {
    const std::string file = proxyd_.path() + ".toml";
    std::ofstream(file) << "endpoint = \"" << proxyd_.endpoint() << "\"\nlog = \"file:" << log_path() << "\"\n" << more;
    setenv("P11SHIM_CONF", file.c_str(), 1);
    unsetenv("P11SHIM_ENDPOINT");
    unsetenv("P11SHIM_COALESCE");
    unsetenv("P11SHIM_SHARED_MEMORY");
    unsetenv("P11SHIM_RINGS");
    unsetenv("P11SHIM_LOG");
  }
  void SetUp() override { configure(); }
  void TearDown() override { C_Finalize(nullptr); }

  [[nodiscard]] std::string log_path() const { return proxyd_.path() + ".log"; }
  [[nodiscard]] std::vector<std::string> log_lines() const {
    std::ifstream stream(log_path());
    std::vector<std::string> lines;
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
  }
  static CK_SESSION_HANDLE open_session() {
    CK_SESSION_HANDLE session = 0;
    EXPECT_EQ(C_OpenSession(5, CKF_SERIAL_SESSION, nullptr, nullptr, &session), CKR_OK);
    return session;
  }
  static CK_RV random(CK_SESSION_HANDLE session) {
    CK_BYTE bytes[8];
    return C_GenerateRandom(session, bytes, sizeof bytes);
  }

  FakeProxyd proxyd_;
};

}  // namespace p11shim
