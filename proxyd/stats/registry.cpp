#include "proxyd/stats/registry.h"

#include <array>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "pkcs11/names.h"
#include "proxyd/stats/function_name.h"

namespace p11shim {

namespace {

// A stage's histogram exists once the stage has been measured: most functions never see all three.
class LazyHistogram {
 public:
  void record(std::uint64_t nanoseconds) {
    if (nanoseconds == kNotMeasured) return;
    if (!histogram_) histogram_ = std::make_unique<Histogram>();
    histogram_->record(nanoseconds);
  }

  void add_to(nlohmann::json& json, const char* stage, Registry::Detail detail) const {
    if (!histogram_) return;
    auto& entry = json[stage] = histogram_->summary();
    if (detail == Registry::Detail::kRaw) entry.update(histogram_->raw());
  }

 private:
  std::unique_ptr<Histogram> histogram_;
};

nlohmann::json to_json(const ReturnCodes& codes) {
  return {{"calls", codes.calls()}, {"failed", codes.failed()}, {"errors", codes.errors()}};
}

}  // namespace

struct Registry::FunctionStats {
  ReturnCodes codes;
  LazyHistogram queue, hsm, total;

  void record(const Sample& sample) {
    codes.count(sample.rv);
    queue.record(sample.times.queue);
    hsm.record(sample.times.hsm);
    total.record(sample.times.total);
  }

  nlohmann::json snapshot(Detail detail) const {
    auto json = to_json(codes);
    queue.add_to(json, "queue", detail);
    hsm.add_to(json, "hsm", detail);
    total.add_to(json, "total", detail);
    return json;
  }
};

struct Registry::MechanismStats {
  ReturnCodes codes;
  LazyHistogram total;

  void record(const Sample& sample) {
    codes.count(sample.rv);
    total.record(sample.times.total);
  }

  nlohmann::json snapshot(Detail detail) const {
    auto json = to_json(codes);
    total.add_to(json, "total", detail);
    return json;
  }
};

struct Registry::MemberStats {
  std::string pool;
  std::string member;
  std::array<std::unique_ptr<FunctionStats>, kFunctions> functions;
  std::unordered_map<CK_MECHANISM_TYPE, MechanismStats> mechanisms;
  MechanismStats other_mechanisms;
  std::uint64_t hedges = 0;
  std::uint64_t hedges_won = 0;

  FunctionStats& function(std::uint32_t number) {
    auto& stats = functions.at(number);
    if (!stats) stats = std::make_unique<FunctionStats>();
    return *stats;
  }

  MechanismStats& mechanism(CK_MECHANISM_TYPE type) {
    const auto known = mechanisms.find(type);
    if (known != mechanisms.end()) return known->second;
    return mechanisms.size() < kMechanismsPerMember ? mechanisms[type] : other_mechanisms;
  }

  nlohmann::json snapshot(Detail detail) const {
    auto functions_json = nlohmann::json::object();
    for (std::uint32_t number = 0; number < kFunctions; ++number) {
      if (functions[number]) functions_json[std::string(function_name(number))] = functions[number]->snapshot(detail);
    }
    auto mechanisms_json = nlohmann::json::object();
    for (const auto& [type, stats] : mechanisms) mechanisms_json[display(NameKind::ckm, type)] = stats.snapshot(detail);
    if (other_mechanisms.codes.calls() != 0) mechanisms_json["other"] = other_mechanisms.snapshot(detail);
    return {{"pool", pool},
            {"member", member},
            {"hedges", hedges},
            {"hedges_won", hedges_won},
            {"functions", std::move(functions_json)},
            {"mechanisms", std::move(mechanisms_json)}};
  }
};

struct Registry::ClientStats {
  std::string client;
  ReturnCodes codes;
  std::uint64_t total_ns = 0;
};

Registry::Registry() = default;
Registry::~Registry() = default;

MemberId Registry::member(std::string_view pool, std::string_view member) {
  for (std::size_t i = 0; i < members_.size(); ++i) {
    if (members_[i]->pool == pool && members_[i]->member == member) return MemberId(i);
  }
  if (members_.size() > UINT16_MAX) throw std::length_error("more than 65536 members");
  members_.push_back(std::make_unique<MemberStats>());
  members_.back()->pool = pool;
  members_.back()->member = member;
  return MemberId(members_.size() - 1);
}

ClientId Registry::client(std::string_view client) {
  const auto known = client_ids_.find(std::string(client));
  if (known != client_ids_.end()) return known->second;
  const bool full = clients_.size() + 1 >= kClients;
  const std::string name = full ? "other" : std::string(client);
  const auto [entry, added] = client_ids_.try_emplace(name, ClientId(clients_.size()));
  if (added) clients_.push_back({.client = name});
  return entry->second;
}

void Registry::record(const Sample& sample) {
  auto& member = *members_.at(static_cast<std::size_t>(sample.member));
  member.function(sample.function).record(sample);
  if (sample.mechanism) member.mechanism(*sample.mechanism).record(sample);
  auto& client = clients_.at(static_cast<std::size_t>(sample.client));
  client.codes.count(sample.rv);
  if (sample.times.total != kNotMeasured) client.total_ns += sample.times.total;
}

void Registry::hedged(MemberId member) { ++members_.at(static_cast<std::size_t>(member))->hedges; }
void Registry::hedge_won(MemberId member) { ++members_.at(static_cast<std::size_t>(member))->hedges_won; }

nlohmann::json Registry::snapshot(Detail detail) const {
  auto members = nlohmann::json::array();
  for (const auto& member : members_) members.push_back(member->snapshot(detail));
  auto clients = nlohmann::json::array();
  for (const auto& client : clients_) {
    auto json = to_json(client.codes);
    json["client"] = client.client;
    json["total_ns"] = client.total_ns;
    clients.push_back(std::move(json));
  }
  return {{"members", std::move(members)}, {"clients", std::move(clients)}};
}

}  // namespace p11shim
