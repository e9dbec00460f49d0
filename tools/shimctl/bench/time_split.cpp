#include "tools/shimctl/bench/time_split.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <vector>

namespace p11shim {

using nlohmann::json;

namespace {

std::vector<std::string_view> functions_of(BenchAction action) {
  switch (action) {
    case BenchAction::kSign: return {"C_SignInit", "C_Sign"};
    case BenchAction::kVerify: return {"C_VerifyInit", "C_Verify"};
    case BenchAction::kEncrypt: return {"C_EncryptInit", "C_Encrypt"};
    case BenchAction::kDecrypt: return {"C_DecryptInit", "C_Decrypt"};
    case BenchAction::kDigest: return {"C_DigestInit", "C_Digest"};
    case BenchAction::kWrap: return {"C_WrapKey"};
    case BenchAction::kUnwrap: return {"C_UnwrapKey"};
    case BenchAction::kDerive: return {"C_DeriveKey"};
    case BenchAction::kGenerate: return {"C_GenerateKey", "C_GenerateKeyPair"};
    case BenchAction::kRandom: return {"C_GenerateRandom"};
    case BenchAction::kFind: return {"C_FindObjectsInit", "C_FindObjects", "C_FindObjectsFinal"};
    case BenchAction::kAttributes: return {"C_GetAttributeValue"};
    case BenchAction::kSession: return {"C_OpenSession", "C_CloseSession"};
    case BenchAction::kLogin: return {"C_Login"};
  }
  return {};
}

struct Sums {
  std::uint64_t calls = 0;
  double total = 0;
  double queue = 0;
  double hsm = 0;
};

}  // namespace

bool calls_function(BenchAction action, std::string_view function) {
  const auto functions = functions_of(action);
  return std::find(functions.begin(), functions.end(), function) != functions.end();
}

json time_split(const json& where, BenchAction action, const RunTotals& ran, std::uint64_t checked) {
  if (!where.is_array() || ran.count == 0) return nullptr;
  std::map<std::string, Sums> functions;
  for (const auto& row : where) {
    const auto function = row["function"].get<std::string>();
    if (!calls_function(action, function)) continue;
    const auto calls = row["calls"].get<std::uint64_t>();
    const auto sum = [&](const char* key) { return static_cast<double>(calls) * row[key].get<double>(); };
    Sums& sums = functions[function];
    sums.calls += calls;
    sums.total += sum("total_ns");
    sums.queue += sum("queue_ns");
    sums.hsm += sum("hsm_ns");
  }
  if (functions.empty()) return nullptr;
  Sums each;
  for (const auto& [function, sums] : functions) {
    if (sums.calls < ran.count || sums.calls > ran.count + checked) return nullptr;
    const auto calls = static_cast<double>(sums.calls);
    each.total += sums.total / calls;
    each.queue += sums.queue / calls;
    each.hsm += sums.hsm / calls;
  }
  const double total = static_cast<double>(ran.ns) / static_cast<double>(ran.count);
  if (total < each.total) return nullptr;  // a call that goes on in proxyd when the shim has its answer
  return {{"operations", ran.count},       {"total_ns", total},
          {"shim_ns", total - each.total}, {"proxyd_ns", std::max(0.0, each.total - each.queue - each.hsm)},
          {"queue_ns", each.queue},        {"hsm_ns", each.hsm}};
}

}  // namespace p11shim
