#include "proxyd/worker/read_along.h"

#include <algorithm>
#include <array>

#include "calls/templates.h"

namespace p11shim {
namespace {

constexpr CK_ULONG kUsualRoom = 1024;  // bytes

struct Query {
  std::array<CK_ATTRIBUTE, limits::kMaxWanted + 1> attributes;
  CK_ULONG count = 0;

  void add(CK_ATTRIBUTE_TYPE type) { attributes[count++] = {type, nullptr, 0}; }
  [[nodiscard]] std::span<const CK_ATTRIBUTE> all() const { return {attributes.data(), count}; }
  [[nodiscard]] bool has(CK_ATTRIBUTE_TYPE type) const {
    return std::any_of(all().begin(), all().end(),
                       [&](const CK_ATTRIBUTE& attribute) { return attribute.type == type; });
  }
};

bool is_certificate(const Query& query) {
  for (const CK_ATTRIBUTE& attribute : query.all()) {
    if (attribute.type != CKA_CLASS || attribute.ulValueLen != sizeof(CK_OBJECT_CLASS)) continue;
    CK_OBJECT_CLASS object_class = 0;
    std::memcpy(&object_class, attribute.pValue, sizeof object_class);
    return object_class == CKO_CERTIFICATE;
  }
  return false;
}

CK_ULONG usual_room(CK_ATTRIBUTE_TYPE type) {
  switch (attribute_kind(type)) {
    case AttributeKind::ulong: return sizeof(CK_ULONG);  // NSS gives a number only into a buffer of exactly its size
    case AttributeKind::boolean: return sizeof(CK_BBOOL);
    default: return kUsualRoom;
  }
}

// All of it in one call, as most objects allow.
bool read_at_once(const CK_FUNCTION_LIST_3_0& module, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, Query& query,
                  Arena& arena) {
  Query tried = query;
  for (CK_ULONG i = 0; i < tried.count; ++i) {
    CK_ATTRIBUTE& attribute = tried.attributes[i];
    attribute.ulValueLen = usual_room(attribute.type);
    attribute.pValue = arena.bytes(attribute.ulValueLen);
  }
  if (module.C_GetAttributeValue(session, object, tried.attributes.data(), tried.count) != CKR_OK) return false;
  for (const CK_ATTRIBUTE& attribute : tried.all())
    if (attribute.ulValueLen > usual_room(attribute.type)) return false;
  query = tried;
  return true;
}

// Otherwise lengths first, then into buffers of exactly these: no module has a reason to refuse that. Attributes that the object does
// not have or show are left out of the second call.
bool read_all(const CK_FUNCTION_LIST_3_0& module, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, Query& query,
              Arena& arena) {
  if (read_at_once(module, session, object, query, arena)) return true;
  if (!answers_attributes(module.C_GetAttributeValue(session, object, query.attributes.data(), query.count)))
    return false;
  CK_ATTRIBUTE* const end =
      std::remove_if(query.attributes.data(), query.attributes.data() + query.count, [](const CK_ATTRIBUTE& attribute) {
        return attribute.ulValueLen > limits::kMaxValueAlong;  // CK_UNAVAILABLE_INFORMATION too
      });
  query.count = static_cast<CK_ULONG>(end - query.attributes.data());
  for (CK_ULONG i = 0; i < query.count; ++i) query.attributes[i].pValue = arena.bytes(query.attributes[i].ulValueLen);
  return query.count != 0 &&
         module.C_GetAttributeValue(session, object, query.attributes.data(), query.count) == CKR_OK;
}

void write_all(Out& out, const Query& query) {
  for (const CK_ATTRIBUTE& attribute : query.all())
    write_value(out, attribute.type, {static_cast<const std::uint8_t*>(attribute.pValue), attribute.ulValueLen});
}

}  // namespace

void read_along(const CK_FUNCTION_LIST_3_0& module, CK_SESSION_HANDLE session, std::span<const std::uint64_t> objects,
                std::span<const std::uint8_t> wanted, Arena& arena, Buffer& values) {
  Query all;
  bool wants_content = false;
  In in(wanted);
  while (in.remaining() != 0 && all.count < limits::kMaxWanted) {
    const CK_ATTRIBUTE_TYPE type = in.uint();
    if (!in.ok()) break;
    if (type == CKA_VALUE) wants_content = true;
    else if (may_come_along(type)) all.add(type);
  }
  if (wants_content && !all.has(CKA_CLASS)) all.add(CKA_CLASS);  // which alone tells what CKA_VALUE is
  if (all.count == 0 || module.C_GetAttributeValue == nullptr) return;
  Out out(values);
  Buffer one;
  for (const std::uint64_t object : objects.first(std::min(objects.size(), limits::kMaxObjectsAlong))) {
    arena.clear();
    Query query = all;
    if (!read_all(module, session, object, query, arena)) continue;
    one.clear();
    Out pairs(one);
    write_all(pairs, query);
    if (wants_content && is_certificate(query)) {
      Query content;
      content.add(CKA_VALUE);
      if (read_all(module, session, object, content, arena)) write_all(pairs, content);
    }
    out.uint(object);
    out.bin(one.bytes());
    if (values.size() >= limits::kMaxValuesAlong) return;
  }
}

}  // namespace p11shim
