#include "proxyd/daemon/pool_diff.h"

#include <algorithm>
#include <map>

#include "pkcs11/names.h"
#include "wire/hex.h"

namespace p11shim {
namespace {

using nlohmann::json;

// Enough to tell two apart; the identity itself is a hash already.
std::string fingerprint(const TokenObject& object) { return hex_digits(std::span(object.identity).first(8)); }

bool in_maintenance(const Membership& membership) { return membership.health.wanted == Wanted::maint; }

// Where the objects are seen that applications see now.
struct View {
  const Membership* membership;
  const Place* place;

  [[nodiscard]] bool shows(const TokenObject& object) const { return place->objects.real_of(object.handle) != 0; }
};

// Objects of one class and name, not all on all members: not proven to be the same, so nobody may take one for the other.
using Namesakes = std::map<std::pair<CK_OBJECT_CLASS, std::string>, std::vector<const TokenObject*>>;

std::string name_of(const TokenObject& object) {
  return object.label.empty() ? "\n" + hex_digits(object.id) : object.label;
}

json conflict_json(const TokenObject& object, const std::vector<const TokenObject*>& namesakes) {
  if (namesakes.size() < 2) return {};
  auto others = json::array();
  bool proven = object.proven;
  for (const TokenObject* each : namesakes) {
    if (each == &object) continue;
    others.push_back(fingerprint(*each));
    proven &= each->proven;
  }
  return {{"with", others},
          {"values", proven ? "different" : "unproven"},
          {"text", proven ? "another object of the same class and name has a different value"
                          : "nothing proves that objects of the same class and name are the same"}};
}

}  // namespace

void PoolDiff::run(Pool& pool, Done done) {
  auto* diff = new PoolDiff(pool, std::move(done));
  for (const auto& each : pool.members) {
    if (in_maintenance(*each)) continue;
    each->public_objects.begin();
    if (each->logged_in) each->user_objects.begin();
  }
  diff->resume();
}

void PoolDiff::resume() {
  const bool running = std::any_of(pool_.members.begin(), pool_.members.end(), [](const auto& each) {
    return !in_maintenance(*each) && (each->joining || each->public_objects.running() || each->user_objects.running());
  });
  if (running && pool_.runtime().now_ms() < until_ms_) return pool_.changed.add(*this);
  const Done done = done_;
  json result = report();
  delete this;
  done(std::move(result));
}

json PoolDiff::report() const {
  const bool logged_in = pool_.login.applications() != 0;
  std::vector<View> views;
  auto compared = json::array();
  auto left_out = json::array();
  for (const auto& each : pool_.members) {
    if (const Place* place = pool_.place_of(*each, logged_in)) {
      views.push_back({each.get(), place});
      compared.push_back(each->member.name());
      continue;
    }
    const std::string why = in_maintenance(*each) ? "maintenance" : pool_.health_of(*each).reason;
    left_out.push_back({{"member", each->member.name()}, {"reason", why.empty() ? "it has not answered" : why}});
  }
  std::size_t count = 0;
  std::vector<const TokenObject*> partial;
  Namesakes namesakes;
  pool_.objects.for_each([&](const TokenObject& object) {
    const auto showing =
        std::count_if(views.begin(), views.end(), [&](const View& view) { return view.shows(object); });
    if (showing == 0) return;
    ++count;
    if (static_cast<std::size_t>(showing) == views.size()) return;
    partial.push_back(&object);
    namesakes[{object.object_class, name_of(object)}].push_back(&object);
  });
  std::ranges::sort(partial, {}, [](const TokenObject* object) {
    return std::tuple(object->object_class, name_of(*object), object->handle);
  });
  auto differences = json::array();
  for (const TokenObject* object : partial) {
    auto on = json::array();
    auto missing = json::array();
    for (const View& view : views) (view.shows(*object) ? on : missing).push_back(view.membership->member.name());
    differences.push_back(
        {{"class", display(NameKind::cko, object->object_class)},
         {"type", object->has_key_type ? json(display(NameKind::ckk, object->key_type)) : json()},
         {"label", object->label},
         {"id", hex_digits(object->id)},
         {"private", object->is_private},
         {"fingerprint", fingerprint(*object)},
         {"proven", object->proven},
         {"members", std::move(on)},
         {"missing", std::move(missing)},
         {"conflict", conflict_json(*object, namesakes.at({object->object_class, name_of(*object)}))}});
  }
  return {{"pool", pool_.config.name},           {"objects", count},
          {"private_compared", logged_in},       {"compared", std::move(compared)},
          {"not_compared", std::move(left_out)}, {"differences", std::move(differences)}};
}

}  // namespace p11shim
