#include "tools/shimctl/bench/bench_key.h"

#include <algorithm>
#include <array>

#include "config/problem.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/keys/key_maker.h"
#include "tools/shimctl/keys/key_row.h"
#include "tools/shimctl/keys/key_selector.h"
#include "tools/shimctl/keys/key_type.h"
#include "tools/shimctl/output/value.h"

namespace p11shim {

namespace {

constexpr std::size_t kMostLookedAt = 1000;  // of the token's keys

struct Usage {
  BenchAction action;
  CK_ATTRIBUTE_TYPE key;         // of the private or secret key
  CK_ATTRIBUTE_TYPE public_key;  // of the public one, if it is a pair
};
// What the result's check needs is needed, too.
constexpr std::array<Usage, 7> kUsages{{{BenchAction::kSign, CKA_SIGN, 0},
                                        {BenchAction::kVerify, CKA_SIGN, CKA_VERIFY},
                                        {BenchAction::kEncrypt, CKA_DECRYPT, CKA_ENCRYPT},
                                        {BenchAction::kDecrypt, CKA_DECRYPT, CKA_ENCRYPT},
                                        {BenchAction::kWrap, CKA_WRAP, 0},
                                        {BenchAction::kUnwrap, CKA_UNWRAP, 0},
                                        {BenchAction::kDerive, CKA_DERIVE, 0}}};

const Usage* usage_of(BenchAction action) {
  const auto* found =
      std::find_if(kUsages.begin(), kUsages.end(), [&](const Usage& usage) { return usage.action == action; });
  return found == kUsages.end() ? nullptr : found;
}

std::string size_text(const ObjectAttributes& attributes) {
  return cell_text(key_size(attributes), CellStyle::kPrograms);
}

// An EC type's parameters, an RSA or AES key's bits; a generic secret of this length or more will do.
bool is_type(const ObjectAttributes& attributes, const KeyType& type) {
  if (attributes.number(CKA_KEY_TYPE) != type.type) return false;
  if (!type.ec_params.empty()) {
    const auto params = attributes.text(CKA_EC_PARAMS);
    return params == type.ec_params || (curve_nid(params) != 0 && curve_nid(params) == curve_nid(type.ec_params));
  }
  const auto bits = std::strtoul(size_text(attributes).c_str(), nullptr, 10);
  return type.type == CKK_GENERIC_SECRET ? bits >= type.bits : bits == type.bits;
}

std::string described(const ObjectAttributes& attributes) {
  const auto type = attributes.number(CKA_KEY_TYPE);
  return (type ? key_type_name(*type) : "?") + " " + size_text(attributes);
}

ObjectAttributes read_key(const Session& session, CK_OBJECT_HANDLE object) {
  static const auto wanted = [] {
    std::vector<CK_ATTRIBUTE_TYPE> types(key_row_attributes().begin(), key_row_attributes().end());
    types.push_back(CKA_ALWAYS_AUTHENTICATE);
    return types;
  }();
  return session.read(object, wanted);
}

std::string usage_name(CK_ATTRIBUTE_TYPE type) { return display(NameKind::cka, type); }

}  // namespace

BenchKey::BenchKey(const Session& session, const BenchTest& test, const BenchKeyChoice& choice) : session_(session) {
  if (test.mechanism != 0 && !session.module().has_mechanism(session.slot(), test.mechanism)) {
    throw TestSkipped("the token does not have " + display(NameKind::ckm, test.mechanism));
  }
  if (test.key.empty() || test.action == BenchAction::kGenerate) return;
  if (!choice.key.empty()) {
    choose(test, choice.key);
    return;
  }
  if (find(test)) return;
  if (!choice.may_make) {
    throw TestSkipped("the token has no " + std::string(test.key) + " key that can do it");
  }
  make(test);
}

BenchKey::~BenchKey() {
  if (!made_) return;
  for (const auto object : {key_, public_}) {
    if (object != CK_INVALID_HANDLE) session_.module()->C_DestroyObject(session_.handle(), object);
  }
}

bool BenchKey::take(CK_OBJECT_HANDLE object, const BenchTest& test, std::string& why) {
  const auto attributes = read_key(session_, object);
  const auto type = parse_key_type(std::string(test.key));
  label_ = attributes.text(CKA_LABEL);
  if (!is_type(attributes, type)) {
    why = in_quotes(label_) + " is " + described(attributes) + ", not " + std::string(test.key);
    return false;
  }
  if (attributes.is(CKA_ALWAYS_AUTHENTICATE)) {
    why = in_quotes(label_) + " wants its PIN for each operation";
    return false;
  }
  const Usage* usage = usage_of(test.action);
  const bool two_ways = !type.pair && usage->public_key == CKA_ENCRYPT;
  if (!attributes.is(usage->key) || (two_ways && !attributes.is(CKA_ENCRYPT))) {
    why = in_quotes(label_) + " may not: " + usage_name(attributes.is(usage->key) ? CKA_ENCRYPT : usage->key) +
          " is false";
    return false;
  }
  key_ = object;
  if (!type.pair) return true;
  const auto halves = session_.find(Template()
                                        .set(CKA_CLASS, CKO_PUBLIC_KEY)
                                        .set(CKA_KEY_TYPE, type.type)
                                        .set(CKA_ID, attributes.text(CKA_ID))
                                        .set(CKA_LABEL, label_));
  if (halves.size() == 1) public_ = halves.front();
  if (usage->public_key == 0) return true;
  if (public_ != CK_INVALID_HANDLE && read_key(session_, public_).is(usage->public_key)) return true;
  why = "the public half of " + in_quotes(label_) +
        (public_ == CK_INVALID_HANDLE ? " is not on the token"
                                      : " may not: " + usage_name(usage->public_key) + " is false");
  key_ = public_ = CK_INVALID_HANDLE;
  return false;
}

void BenchKey::choose(const BenchTest& test, const std::string& key) {
  const auto object = find_one(session_, KeySelector::parse(key), {CKO_PRIVATE_KEY, CKO_SECRET_KEY});
  std::string why;
  if (!take(object, test, why)) throw TestSkipped(why);
}

bool BenchKey::find(const BenchTest& test) {
  const auto type = parse_key_type(std::string(test.key));
  const auto objects = session_.find(Template()
                                         .set(CKA_CLASS, type.pair ? CKO_PRIVATE_KEY : CKO_SECRET_KEY)
                                         .set(CKA_KEY_TYPE, type.type)
                                         .set(CKA_TOKEN, true));
  std::string why;
  for (std::size_t i = 0; i < std::min(objects.size(), kMostLookedAt); ++i) {
    if (take(objects[i], test, why)) return true;
  }
  return false;
}

void BenchKey::make(const BenchTest& test) {
  const auto type = parse_key_type(std::string(test.key));
  const KeyNames names{.label = "shimctl bench", .id = id_or_random(""), .token = false};
  Template changes;
  if (type.type == CKK_RSA) changes.set(CKA_DECRYPT, true);
  try {
    const auto made = make_key(session_, type, names, changes, {});
    key_ = made.key;
    public_ = made.public_key;
    label_ = names.label;
    made_ = true;
  } catch (const CallError& error) {
    throw TestSkipped("the token has no " + std::string(test.key) +
                      " key that can do it, and none can be made: " + error.what());
  }
}

std::vector<const BenchTest*> tests_for_key(const Session& session, const std::string& key) {
  const auto object = find_one(session, KeySelector::parse(key), {CKO_PRIVATE_KEY, CKO_SECRET_KEY});
  const auto attributes = read_key(session, object);
  std::vector<const BenchTest*> tests;
  for (const auto& test : bench_tests()) {
    if (test.key.empty() || test.action == BenchAction::kGenerate) continue;
    if (is_type(attributes, parse_key_type(std::string(test.key)))) tests.push_back(&test);
  }
  return tests;
}

}  // namespace p11shim
