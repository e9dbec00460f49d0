#include "shim/object_values.h"

#include <algorithm>
#include <utility>

#include "shim/operations.h"

namespace p11shim {
namespace {

constexpr std::size_t kMostObjects = 4096;  // whoever reads more begins anew

std::uint64_t now_ms() {
  using namespace std::chrono;
  return static_cast<std::uint64_t>(duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count());
}

// Modules differ about buffers that are too small, and some about numbers in buffers that are too large.
bool fits(const CK_ATTRIBUTE& attribute, std::size_t size) {
  if (attribute.pValue == nullptr) return true;
  switch (attribute_kind(attribute.type)) {
    case AttributeKind::ulong:
    case AttributeKind::boolean: return attribute.ulValueLen == size;
    default: return attribute.ulValueLen >= size;
  }
}

}  // namespace

Stamp ObjectValues::stamp(std::uint64_t generation) const {
  const std::lock_guard lock(mutex_);
  return {epoch_, generation, now_ms(), session_objects_};
}

bool ObjectValues::is_current(const Stamp& then, std::uint64_t generation) const {
  const std::lock_guard lock(mutex_);
  return is_current_locked(then, generation);
}

bool ObjectValues::is_current_locked(const Stamp& then, std::uint64_t generation) const {
  return then.epoch == epoch_ && then.generation == generation && now_ms() - then.at_ms < keep_ms_;
}

bool ObjectValues::answer(CK_SLOT_ID slot, CK_OBJECT_HANDLE object, CK_ATTRIBUTE* attributes, CK_ULONG count,
                          std::uint64_t generation) {
  if (attributes == nullptr || count == 0) return false;
  const std::lock_guard lock(mutex_);
  const auto found = objects_.find({slot, object});
  if (found == objects_.end()) return false;
  if (!is_current_locked(found->second.asked, generation)) {
    objects_.erase(found);
    return false;
  }
  std::vector<Value>& values = found->second.values;
  const auto value_of = [&](const CK_ATTRIBUTE& attribute) {
    return std::find_if(values.begin(), values.end(), [&](const Value& value) { return value.type == attribute.type; });
  };
  for (CK_ULONG i = 0; i < count; ++i)
    if (const auto value = value_of(attributes[i]); value == values.end() || !fits(attributes[i], value->bytes.size()))
      return false;
  for (CK_ULONG i = 0; i < count; ++i) {
    const std::vector<std::uint8_t>& bytes = value_of(attributes[i])->bytes;
    if (attributes[i].pValue != nullptr && !bytes.empty())
      std::memcpy(attributes[i].pValue, bytes.data(), bytes.size());
    attributes[i].ulValueLen = bytes.size();
  }
  is_of_use_ |= std::exchange(found->second.came_along, false);
  if (generation != 0) return true;
  std::erase_if(values, [&](const Value& value) {
    return !is_fixed_attribute(value.type) &&
           std::any_of(attributes, attributes + count, [&](const CK_ATTRIBUTE& attribute) {
             return attribute.type == value.type && attribute.pValue != nullptr;
           });
  });
  return true;
}

ObjectValues::Object* ObjectValues::prepare(const Key& key, const Stamp& asked) {
  if (asked.epoch != epoch_ || keep_ms_ == 0) return nullptr;
  if (is_session_object(key.object) && asked.session_objects != session_objects_) return nullptr;
  if (objects_.size() >= kMostObjects) objects_.clear();
  Object& object = objects_[key];
  // What is known from before is no younger for this.
  if (!is_current_locked(object.asked, asked.generation)) object = {asked, true, {}};
  return &object;
}

void ObjectValues::put(Object& object, CK_ATTRIBUTE_TYPE type, std::span<const std::uint8_t> bytes) {
  auto value =
      std::find_if(object.values.begin(), object.values.end(), [&](const Value& each) { return each.type == type; });
  if (value == object.values.end()) value = object.values.insert(value, Value{type, {}});
  value->bytes.assign(bytes.begin(), bytes.end());
}

bool ObjectValues::take(CK_SLOT_ID slot, std::span<const std::uint8_t> values, const Stamp& asked) {
  const std::lock_guard lock(mutex_);
  In in(values);
  while (in.ok() && in.remaining() != 0) {
    const CK_OBJECT_HANDLE handle = in.uint();
    In pairs(in.bin());
    Object* object = in.ok() ? prepare({slot, handle}, asked) : nullptr;
    // Where it is given out once, it came anew.
    if (object != nullptr && asked.generation == 0) object->came_along = true;
    while (pairs.ok() && pairs.remaining() != 0) {
      CK_ATTRIBUTE_TYPE type = 0;
      CK_ULONG number = 0;
      std::span<const std::uint8_t> value;
      if (!read_value(pairs, type, number, value)) return false;
      if (object != nullptr && may_come_along(type)) put(*object, type, value);
    }
  }
  return in.ok();
}

void ObjectValues::take_read(CK_SLOT_ID slot, CK_OBJECT_HANDLE handle, const CK_ATTRIBUTE* attributes, CK_ULONG count,
                             const Stamp& asked) {
  const std::lock_guard lock(mutex_);
  for (CK_ULONG i = 0; i < count; ++i) {
    const CK_ATTRIBUTE& attribute = attributes[i];
    if (attribute.pValue == nullptr || attribute.ulValueLen > limits::kMaxValueAlong) continue;
    if (attribute.type == CKA_VALUE || !may_come_along(attribute.type)) continue;
    if (asked.generation == 0 && !is_fixed_attribute(attribute.type)) continue;  // the application has it: used up
    Object* object = prepare({slot, handle}, asked);
    if (object == nullptr) return;
    object->came_along = false;
    put(*object, attribute.type, {static_cast<const std::uint8_t*>(attribute.pValue), attribute.ulValueLen});
  }
}

void ObjectValues::clear() {
  const std::lock_guard lock(mutex_);
  ++epoch_;
  objects_.clear();
}

void ObjectValues::forget_session_objects() {
  const std::lock_guard lock(mutex_);
  ++session_objects_;
  std::erase_if(objects_, [](const auto& known) { return is_session_object(known.first.object); });
}

void ObjectValues::note_usual(const CK_ATTRIBUTE* attributes, CK_ULONG count) {
  const std::lock_guard lock(mutex_);
  for (CK_ULONG i = 0; i < count && usual_count_ < usual_.size(); ++i) {
    const CK_ATTRIBUTE_TYPE type = attributes[i].type;
    const auto end = usual_.begin() + static_cast<std::ptrdiff_t>(usual_count_);
    if (may_come_along(type) && std::find(usual_.begin(), end, type) == end) usual_[usual_count_++] = type;
  }
}

void ObjectValues::wanted(CK_SLOT_ID slot, CK_OBJECT_HANDLE object, const CK_ATTRIBUTE* attributes, CK_ULONG count,
                          Buffer& types) {
  if (keep_ms_ == 0) return;
  const std::lock_guard lock(mutex_);
  is_of_use_ = true;
  Out out(types);
  std::size_t left = limits::kMaxWanted - usual_.size();
  for (CK_ULONG i = 0; i < count && left != 0; ++i)
    if (attributes[i].pValue == nullptr && may_come_along(attributes[i].type)) out.uint(attributes[i].type), --left;
  if (!objects_.contains({slot, object})) usual_but(attributes, count, out);
}

void ObjectValues::wanted(Buffer& types) {
  if (keep_ms_ == 0) return;
  const std::lock_guard lock(mutex_);
  if (!std::exchange(is_of_use_, false)) return;
  Out out(types);
  usual_but(nullptr, 0, out);
}

void ObjectValues::usual_but(const CK_ATTRIBUTE* attributes, CK_ULONG count, Out& types) const {
  for (std::size_t i = 0; i < usual_count_; ++i)
    if (std::none_of(attributes, attributes + count,
                     [&](const CK_ATTRIBUTE& attribute) { return attribute.type == usual_[i]; }))
      types.uint(usual_[i]);
}

}  // namespace p11shim
