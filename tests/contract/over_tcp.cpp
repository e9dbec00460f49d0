#include "over_tcp.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace p11shim::contract {
namespace {

constexpr char kInitialises[] = "C_InitToken";
constexpr char kSetsUserPin[] = "C_InitPIN";
constexpr char kSoLogsIn[] = "C_Login of the security officer";

struct RefusedCase {
  std::string_view name;
  const char* reason;
};

constexpr std::array kRefused = {
    RefusedCase{"init_token_fresh_slot", kInitialises},
    RefusedCase{"init_token_seen_at_once", kInitialises},
    RefusedCase{"init_token_again", kInitialises},
    RefusedCase{"init_token_wrong_pin", kInitialises},
    RefusedCase{"init_token_with_sessions", kInitialises},
    RefusedCase{"init_token_arguments", kInitialises},
    RefusedCase{"init_pin_states", kSetsUserPin},
    RefusedCase{"init_pin_arguments", kSoLogsIn},
    RefusedCase{"init_pin_keeps_objects", kSoLogsIn},
    RefusedCase{"set_pin_as_so", kSoLogsIn},
    RefusedCase{"token_info_pin_flags", kSoLogsIn},
    RefusedCase{"session_info_states", kSoLogsIn},
    RefusedCase{"login_and_logout", kSoLogsIn},
    RefusedCase{"login_wrong_pins", kSoLogsIn},
    RefusedCase{"login_null_pins", kSoLogsIn},
    RefusedCase{"login_twice", kSoLogsIn},
    RefusedCase{"login_so_and_read_only_sessions", kSoLogsIn},
    RefusedCase{"login_so_sees_no_private_objects", kSoLogsIn},
};

}  // namespace

const char* refused_over_tcp(const std::string& test_case) {
  const auto* found = std::ranges::find(kRefused, test_case, &RefusedCase::name);
  return found == kRefused.end() ? nullptr : found->reason;
}

bool is_refusal(const std::vector<compare::Difference>& differences) {
  if (differences.empty()) return false;
  const compare::Difference& first = differences.front();
  return first.field == "rv" && first.proxied == "CKR_FUNCTION_REJECTED" &&
         (first.function == "C_InitToken" || first.function == "C_InitPIN" || first.function == "C_Login");
}

}  // namespace p11shim::contract
