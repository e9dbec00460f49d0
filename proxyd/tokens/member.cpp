#include "proxyd/tokens/member.h"

#include <algorithm>

namespace p11shim {
namespace {
constexpr CK_SLOT_ID kNoSlot = CK_UNAVAILABLE_INFORMATION;
}

std::string unpadded(const CK_UTF8CHAR* text, std::size_t size) {
  while (size != 0 && (text[size - 1] == ' ' || text[size - 1] == '\0')) --size;
  return {reinterpret_cast<const char*>(text), size};
}

bool TokenIdentity::matches(const SlotEntry& entry) const {
  if (slot) return entry.slot == *slot;
  if (entry.token_rv != CKR_OK) return false;
  if (!serial.empty() && unpadded(entry.token.serialNumber) != serial) return false;
  if (!label.empty() && unpadded(entry.token.label) != label) return false;
  return !serial.empty() || (entry.token.flags & CKF_TOKEN_INITIALIZED) != 0;
}

Backend::Backend(Runtime& runtime, StartGate& gate, WorkerSpec spec,
                 std::function<void(Worker&, Worker::Prepared)> prepare, std::function<void()> worker_lost)
    : spec_(spec),
      worker_(runtime, gate, std::move(spec),
              Worker::Hooks{std::move(prepare),
                            [this, worker_lost = std::move(worker_lost)](Worker&) {
                              objects_.clear();
                              worker_lost();
                            }}),
      objects_(worker_) {}

void Backend::refresh_slots(bool count_first, std::function<void(CK_RV)> done) {
  Buffer body;
  Out(body).boolean(count_first);
  OwnCall::start(worker_, static_cast<std::uint32_t>(LaneCall::list_slots), {}, std::move(body),
                 [this, done = std::move(done)](Reply* reply) {
                   if (reply == nullptr) return done(CKR_DEVICE_ERROR);
                   if (reply->rv != CKR_OK) return done(reply->rv);
                   std::vector<SlotEntry> slots;
                   In in(reply->body);
                   if (!read_slots(in, slots)) return done(CKR_DEVICE_ERROR);
                   worker_.set_slots(std::move(slots));
                   done(CKR_OK);
                 });
}

Member::Member(Runtime& runtime, StartGate& gate, Backend& backend, MemberConfig config, TokenIdentity identity,
               Hooks hooks)
    : backend_(backend),
      config_(std::move(config)),
      identity_(std::move(identity)),
      hooks_(std::move(hooks)),
      public_place_(backend.worker(), backend.objects(), config_.options,
                    [this] { return slot_in(backend_.worker()); }),
      user_(
          runtime, gate, domain_spec("user"), CKU_USER, [this](Worker& worker) { return slot_in(worker); },
          {[this] { hooks_.worker_lost(user_.place()); }, [this] { hooks_.login_lost(CKU_USER); }}, shared_place()),
      so_(
          runtime, gate, domain_spec("so"), CKU_SO, [this](Worker& worker) { return slot_in(worker); },
          {[this] { hooks_.worker_lost(so_.place()); }, [this] { hooks_.login_lost(CKU_SO); }}, shared_place()) {
  for (Place* place : {&public_place_, &user_.place(), &so_.place()}) place->member = this;
}

Place* Member::shared_place() { return config_.options.isolation == Isolation::shared ? &public_place_ : nullptr; }

void Member::pin_changed(const Place& where, bool of_user_alone) {
  user_.pin_changed(&where == &user_.place());
  if (!of_user_alone) so_.pin_changed(&where == &so_.place());
  if (&where != &public_place_) backend_.note_pin_changed();
}

void Member::public_worker_lost() {
  public_place_.worker_lost();
  user_.shared_worker_lost();
  so_.shared_worker_lost();
}

// A shared worker that is started again is logged in again, as whoever was logged in.
void Member::prepare_public(Worker& worker, Worker::Prepared prepared) {
  for (LoginDomain* domain : {&user_, &so_})
    if (domain->is_shared() && domain->applications() != 0) return domain->prepare(worker, std::move(prepared));
  prepared(std::nullopt);
}

WorkerSpec Member::domain_spec(const char* domain) const {
  WorkerSpec spec = backend_.spec();
  spec.name = config_.name + "/" + domain;
  spec.options = config_.options;
  return spec;
}

CK_SLOT_ID Member::slot_in(const Worker& worker) const {
  const auto& slots = worker.slots();
  const auto found =
      std::find_if(slots.begin(), slots.end(), [&](const SlotEntry& entry) { return identity_.matches(entry); });
  return found == slots.end() ? kNoSlot : found->slot;
}

const SlotEntry* Member::entry() const {
  const auto& slots = backend_.worker().slots();
  const auto found =
      std::find_if(slots.begin(), slots.end(), [&](const SlotEntry& entry) { return identity_.matches(entry); });
  return found == slots.end() ? nullptr : &*found;
}

std::string Member::serial() const {
  const SlotEntry* found = entry();
  return found != nullptr && found->token_rv == CKR_OK ? unpadded(found->token.serialNumber) : std::string();
}

}  // namespace p11shim
