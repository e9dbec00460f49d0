#include <algorithm>
#include <utility>

#include "recorder_call.h"

namespace p11shim::compare {

void Recorder::made(CK_RV rv, const Object* object, bool random) {
  if (rv != CKR_OK || !object) return;
  made_random_ |= random;
  if (random) random_objects_.insert(*object);
  if (!random) random_objects_.erase(*object);
}

CK_RV Recorder::create_object(Session session, const Template* attributes, Object* object) {
  const CK_RV rv = call(P11_V2(C_CreateObject), session_argument(session), TemplateArgument{"template", attributes},
                        NumberOutArgument("object", object, &Names::objects));
  made(rv, object, false);
  return rv;
}

CK_RV Recorder::copy_object(Session session, Object object, const Template& attributes, Object* copy) {
  const CK_RV rv = call(P11_V2(C_CopyObject), session_argument(session), object_argument(object),
                        TemplateArgument{"template", &attributes}, NumberOutArgument("copy", copy, &Names::objects));
  made(rv, copy, random_objects_.contains(object));
  return rv;
}

CK_RV Recorder::destroy_object(Session session, Object object) {
  return call(P11_V2(C_DestroyObject), session_argument(session), object_argument(object));
}

CK_RV Recorder::get_object_size(Session session, Object object, CK_ULONG* size) {
  return call(P11_V2(C_GetObjectSize), session_argument(session), object_argument(object),
              NumberOutArgument("size", size));
}

Attributes Recorder::get_attribute_value(Session session, Object object, const Query& query) {
  QueryArgument asked(query);
  blur_this_call_ = random_objects_.contains(object);
  const CK_RV rv = call(P11_V2(C_GetAttributeValue), session_argument(session), object_argument(object), asked);
  return {rv, asked.answers()};
}

namespace {

struct NullQuery {
  CK_ULONG count;
  auto c() { return std::make_tuple(static_cast<CK_ATTRIBUTE*>(nullptr), count); }
  void show(Json& in, const Names&) const { in["template"] = {{"null", count}}; }
  void report(Report&) const {}
  bool misused() const { return count > 0; }
};

}  // namespace

CK_RV Recorder::get_attribute_value_null(Session session, Object object, CK_ULONG count) {
  return call(P11_V2(C_GetAttributeValue), session_argument(session), object_argument(object), NullQuery{count});
}

CK_RV Recorder::set_attribute_value(Session session, Object object, const Template& attributes) {
  return call(P11_V2(C_SetAttributeValue), session_argument(session), object_argument(object),
              TemplateArgument{"template", &attributes});
}

CK_RV Recorder::find_objects_init(Session session, const Template* attributes) {
  const CK_RV rv = call(P11_V2(C_FindObjectsInit), session_argument(session), TemplateArgument{"template", attributes});
  if (rv == CKR_OK) finds_[session] = {};
  return rv;
}

namespace {

// (array, capacity, *count) of C_FindObjects. The handles themselves are reported when the search ends.
class FoundArgument {
 public:
  FoundArgument(CK_ULONG max, bool null_handles = false, bool null_count = false)
      : max_(max), null_handles_(null_handles), null_count_(null_count), buffer_(max * sizeof(CK_OBJECT_HANDLE)) {}
  auto c() {
    return std::make_tuple(null_handles_ ? nullptr : reinterpret_cast<CK_OBJECT_HANDLE*>(buffer_.data()), max_,
                           null_count_ ? nullptr : &count_);
  }
  void show(Json& in, const Names&) const { in["max"] = max_; }
  bool misused() const { return null_handles_ || null_count_; }
  void report(Report& report) const {
    if (report.rv == CKR_OK && !null_count_) report.out["count"] = count_;
    if (report.rv != CKR_OK && count_ != kUntouched) report.out["count.scribbled"] = true;
    if (!buffer_.guards_intact()) report.out["overrun"] = true;
    const CK_ULONG used = report.rv == CKR_OK && count_ <= max_ ? count_ : 0;
    if (buffer_.changed_from(used * sizeof(CK_OBJECT_HANDLE))) report.out["scribbled"] = true;
  }
  std::vector<CK_OBJECT_HANDLE> objects() const {
    if (count_ > max_) return {};
    auto first = reinterpret_cast<const CK_OBJECT_HANDLE*>(buffer_.data());
    return {first, first + count_};
  }

 private:
  CK_ULONG max_;
  bool null_handles_;
  bool null_count_;
  CK_ULONG count_ = kUntouched;
  GuardedBuffer buffer_;
};

}  // namespace

Found Recorder::find_objects(Session session, CK_ULONG max) {
  FoundArgument found(max);
  const CK_RV rv = call(P11_V2(C_FindObjects), session_argument(session), found);
  if (rv != CKR_OK) return {rv, {}};
  Search& search = finds_[session];
  std::vector<Object> objects = found.objects();
  search.objects.insert(search.objects.end(), objects.begin(), objects.end());
  search.exhausted |= max > 0 && objects.size() < max;
  return {rv, objects};
}

CK_RV Recorder::find_objects_null(Session session, bool null_handles, bool null_count) {
  FoundArgument found(4, null_handles, null_count);
  return call(P11_V2(C_FindObjects), session_argument(session), found);
}

Found Recorder::find_objects_final(Session session) {
  const Search search = std::exchange(finds_[session], {});
  std::vector<Object> objects = search.objects;
  finds_.erase(session);
  // Known objects in the order in which the case met them, then the others by what they are.
  auto order = [&](Object object) {
    const bool known = names_.objects.current(object);
    return std::make_tuple(!known, known ? names_.objects.rank(object) : 0,
                           known ? std::string() : identity(session, object));
  };
  std::map<Object, decltype(order(0))> orders;
  for (Object object : objects) orders.emplace(object, order(object));
  std::ranges::sort(objects, {}, [&](Object object) { return orders.at(object); });

  struct Ended {
    const std::vector<Object>& objects;
    const bool exhausted;
    auto c() { return std::make_tuple(); }
    void show(Json&, const Names&) const {}
    void report(Report& report) const {
      if (report.rv != CKR_OK) return;
      // Which of them came first is the module's secret.
      if (!exhausted && !objects.empty()) return void(report.out["found"] = objects.size());
      Json& shown = report.out["found"] = Json::array();
      for (Object object : objects) shown.push_back(report.names.objects.found(object));
    }
  };
  // What is found after keys were generated, under a handle not seen before, may be one of them.
  if (made_random_ && search.exhausted)
    for (Object object : objects)
      if (!names_.objects.current(object)) random_objects_.insert(object);
  const CK_RV rv = call(P11_V2(C_FindObjectsFinal), session_argument(session), Ended{objects, search.exhausted});
  return {rv, objects};
}

Found Recorder::find_all(Session session, const Template& attributes, CK_ULONG at_once) {
  if (CK_RV rv = find_objects_init(session, attributes); rv != CKR_OK) return {rv, {}};
  for (int round = 0; round < 1000; ++round) {
    if (find_objects(session, at_once).objects.empty()) break;
  }
  return find_objects_final(session);
}

std::string Recorder::identity(Session session, Object object) const {
  std::string identity;
  const bool random = made_random_;
  for (CK_ATTRIBUTE_TYPE type : {CKA_CLASS, CKA_KEY_TYPE, CKA_LABEL, CKA_TOKEN, CKA_PRIVATE, CKA_ID, CKA_APPLICATION,
                                 CKA_VALUE_LEN, CKA_VALUE, CKA_MODULUS, CKA_EC_POINT}) {
    if (random && (type == CKA_VALUE || type == CKA_MODULUS || type == CKA_EC_POINT)) continue;
    Bytes value(1024);
    CK_ATTRIBUTE attribute{type, value.data(), static_cast<CK_ULONG>(value.size())};
    const bool there = v2_.C_GetAttributeValue(session, object, &attribute, 1) == CKR_OK;
    if (there) value.resize(attribute.ulValueLen);
    identity += there ? to_hex(value) + "/" : "-/";
  }
  return identity;
}

CK_RV Recorder::generate_key(Session session, Mechanism* mechanism, const Template& attributes, Object* key) {
  const CK_RV rv = call(P11_V2(C_GenerateKey), session_argument(session), MechanismArgument{mechanism},
                        TemplateArgument{"template", &attributes}, NumberOutArgument("key", key, &Names::objects));
  made(rv, key, true);
  return rv;
}

CK_RV Recorder::generate_key_pair(Session session, Mechanism* mechanism, const Template& public_attributes,
                                  const Template& private_attributes, Object* public_key, Object* private_key) {
  const CK_RV rv =
      call(P11_V2(C_GenerateKeyPair), session_argument(session), MechanismArgument{mechanism},
           TemplateArgument{"public", &public_attributes}, TemplateArgument{"private", &private_attributes},
           NumberOutArgument("public_key", public_key, &Names::objects),
           NumberOutArgument("private_key", private_key, &Names::objects));
  made(rv, public_key, true);
  made(rv, private_key, true);
  return rv;
}

Outcome Recorder::wrap_key(Session session, Mechanism* mechanism, Object wrapping_key, Object key, Room room) {
  OutputArgument wrapped("wrapped", room);
  blur_this_call_ = random_objects_.contains(wrapping_key) || random_objects_.contains(key) ||
                    (mechanism && mechanism->randomised(Mechanism::Use::kEncrypt));
  const bool exact = !blur_this_call_;
  const CK_RV rv = call(P11_V2(C_WrapKey), session_argument(session), MechanismArgument{mechanism},
                        object_argument(wrapping_key, "wrapping_key"), object_argument(key, "key"), wrapped);
  return {rv, wrapped.length(), wrapped.bytes(), exact};
}

CK_RV Recorder::unwrap_key(Session session, Mechanism* mechanism, Object unwrapping_key, Input wrapped,
                           const Template& attributes, Object* key) {
  const CK_RV rv = call(P11_V2(C_UnwrapKey), session_argument(session), MechanismArgument{mechanism},
                        object_argument(unwrapping_key, "unwrapping_key"), InputArgument{"wrapped", wrapped},
                        TemplateArgument{"template", &attributes}, NumberOutArgument("key", key, &Names::objects));
  made(rv, key, random_objects_.contains(unwrapping_key) || blurs_ > 0);
  return rv;
}

CK_RV Recorder::derive_key(Session session, Mechanism* mechanism, Object base_key, const Template& attributes,
                           Object* key) {
  const CK_RV rv = call(P11_V2(C_DeriveKey), session_argument(session), MechanismArgument{mechanism},
                        object_argument(base_key, "base_key"), TemplateArgument{"template", &attributes},
                        NumberOutArgument("key", key, &Names::objects));
  made(rv, key, random_objects_.contains(base_key) || blurs_ > 0);
  return rv;
}

}  // namespace p11shim::compare
