// What proxyd counts: per (pool, member, function) the calls, their return codes and the time spent in each
// stage; per (pool, member, mechanism) and per client the same, more coarsely.
//
// Used by the loop thread only. A sample is recorded by indexing with small numbers and allocates nothing
// once its (member, function), mechanism and return code have been seen before. What a peer can choose is
// bounded: mechanisms, clients and return codes beyond their limits are counted together as "other".
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "pkcs11/cryptoki.h"
#include "proxyd/stats/histogram.h"
#include "proxyd/stats/return_codes.h"

namespace p11shim {

enum class MemberId : std::uint16_t {};
enum class ClientId : std::uint16_t {};

inline constexpr std::uint64_t kNotMeasured = UINT64_MAX;

// Nanoseconds. A stage that a call did not pass stays kNotMeasured.
struct StageTimes {
  std::uint64_t queue = kNotMeasured;  // in proxyd, waiting for a lane
  std::uint64_t hsm = kNotMeasured;    // in the worker, around the module's function
  std::uint64_t total = kNotMeasured;  // in proxyd, from the request's last byte to the reply's first
};

struct Sample {
  MemberId member{};
  std::uint32_t function = 0;  // number in the call table
  std::optional<CK_MECHANISM_TYPE> mechanism;
  ClientId client{};
  CK_RV rv = CKR_OK;
  StageTimes times;
};

class Registry {
 public:
  static constexpr std::uint32_t kFunctions = 128;
  static constexpr std::size_t kMechanismsPerMember = 64;
  static constexpr std::size_t kClients = 256;

  Registry();
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  // The same names give the same number again. An empty member stands for what proxyd answers by itself.
  MemberId member(std::string_view pool, std::string_view member);
  // `client` says who calls in the operator's words, e.g. "uid 33 /usr/sbin/nginx".
  ClientId client(std::string_view client);

  // `sample.function` must be below kFunctions, and both ids must come from this registry.
  void record(const Sample& sample);

  // A call was made on this member too because it took long elsewhere; its answer was the first.
  void hedged(MemberId member);
  void hedge_won(MemberId member);

  enum class Detail : std::uint8_t { kSummary, kRaw };  // kRaw adds every histogram's buckets
  nlohmann::json snapshot(Detail detail = Detail::kSummary) const;

 private:
  struct FunctionStats;
  struct MechanismStats;
  struct MemberStats;
  struct ClientStats;

  std::vector<std::unique_ptr<MemberStats>> members_;
  std::vector<ClientStats> clients_;
  std::unordered_map<std::string, ClientId> client_ids_;
};

}  // namespace p11shim
