// Attribute values that this application has read, or that came along with the objects, to answer C_GetAttributeValue here.
// Never what may be secret. A value is given out while nothing can have changed it: no call of this application that
// changes objects or logins, and no other application's (GenerationPage); and not for longer than `keep`, since others
// may reach the HSM without proxyd. Where the page is out of reach (TCP), values that can change are given out once: where they were read, or
// once after they came along.
#pragma once

#include <array>
#include <chrono>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "calls/values.h"

namespace p11shim {

// When something was asked for: it is remembered only if nothing has happened since.
struct Stamp {
  std::uint64_t epoch = 0;
  std::uint64_t generation = 0;  // of the slot; 0: nobody tells
  std::uint64_t at_ms = 0;
  std::uint64_t session_objects = 0;  // as `epoch`, for what session objects alone can change
};

class ObjectValues {
 public:
  explicit ObjectValues(std::chrono::milliseconds keep) : keep_ms_(static_cast<std::uint64_t>(keep.count())) {}

  [[nodiscard]] Stamp stamp(std::uint64_t generation) const;
  // Asked then, is it still true now?
  [[nodiscard]] bool is_current(const Stamp& then, std::uint64_t generation) const;

  // Fills in the template if all of it is known, in a way that every module would (CKR_OK). Otherwise it is left alone.
  bool answer(CK_SLOT_ID slot, CK_OBJECT_HANDLE object, CK_ATTRIBUTE* attributes, CK_ULONG count,
              std::uint64_t generation);
  // What came along with a reply (calls/values.h). False: it is malformed.
  bool take(CK_SLOT_ID slot, std::span<const std::uint8_t> values, const Stamp& asked);
  // What the application has read.
  void take_read(CK_SLOT_ID slot, CK_OBJECT_HANDLE object, const CK_ATTRIBUTE* attributes, CK_ULONG count,
                 const Stamp& asked);
  // This application's own doing, or a new proxyd, may have changed anything.
  void clear();
  // It may have changed one of its session objects.
  void forget_session_objects();

  // What the application reads is worth asking for along with other objects.
  void note_usual(const CK_ATTRIBUTE* attributes, CK_ULONG count);
  // The types to ask for along with this read: those without a buffer, and of an object not read before all usual ones.
  void wanted(CK_SLOT_ID slot, CK_OBJECT_HANDLE object, const CK_ATTRIBUTE* attributes, CK_ULONG count, Buffer& types);
  // For a search: the usual ones, if what came along with the last one was of use, or would have been.
  void wanted(Buffer& types);

 private:
  struct Value {
    CK_ATTRIBUTE_TYPE type = 0;
    std::vector<std::uint8_t> bytes;
  };
  struct Object {
    Stamp asked;
    bool came_along = false;  // not known before, and not read since
    std::vector<Value> values;
  };
  struct Key {
    CK_SLOT_ID slot;
    CK_OBJECT_HANDLE object;
    bool operator==(const Key&) const = default;
  };
  struct Hash {
    std::size_t operator()(const Key& key) const { return std::hash<std::uint64_t>()(key.object * 31 + key.slot); }
  };

  [[nodiscard]] bool is_current_locked(const Stamp& then, std::uint64_t generation) const;
  Object* prepare(const Key& key, const Stamp& asked);
  void usual_but(const CK_ATTRIBUTE* attributes, CK_ULONG count, Out& types) const;
  void put(Object& object, CK_ATTRIBUTE_TYPE type, std::span<const std::uint8_t> bytes);

  const std::uint64_t keep_ms_;
  mutable std::mutex mutex_;  // guards what follows
  std::uint64_t epoch_ = 1, session_objects_ = 1;
  std::unordered_map<Key, Object, Hash> objects_;
  std::array<CK_ATTRIBUTE_TYPE, 16> usual_{};
  std::size_t usual_count_ = 0;
  bool is_of_use_ = false;
};

}  // namespace p11shim
