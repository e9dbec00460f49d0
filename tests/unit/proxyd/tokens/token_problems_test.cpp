#include "proxyd/tokens/token_problems.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace p11shim {
namespace {

SlotEntry token_of(const std::string& product, CK_BYTE firmware) {
  SlotEntry entry;
  entry.token_rv = CKR_OK;
  entry.token.flags = CKF_TOKEN_INITIALIZED;
  std::fill(std::begin(entry.token.serialNumber), std::end(entry.token.serialNumber), ' ');
  std::copy(product.begin(), product.end(), entry.token.model);
  entry.token.firmwareVersion = {firmware, 0};
  return entry;
}

TEST(TokenProblems, FirmwareIsComparedAmongTokensOfOneProduct) {
  const SlotEntry soft = token_of("soft", 1), a = token_of("nss", 2), b = token_of("nss", 3);
  EXPECT_EQ(token_problems({{"soft", &soft}, {"a", &a}, {"b", &b}}),
            std::vector<std::string>{"member a and member b have different firmware: 2.00 and 3.00"});
  EXPECT_EQ(token_problems({{"soft", &soft}, {"a", &a}, {"soft too", &soft}, {"a too", &a}}),
            std::vector<std::string>{});
}

}  // namespace
}  // namespace p11shim
