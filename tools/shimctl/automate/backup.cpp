#include "tools/shimctl/automate/backup.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <array>
#include <ctime>

#include "config/problem.h"
#include "tools/shimctl/automate/bundle_object.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/keys/hex.h"
#include "tools/shimctl/keys/key_selector.h"
#include "tools/shimctl/keys/key_templates.h"
#include "tools/shimctl/keys/key_wrapping.h"
#include "tools/shimctl/keys/public_key.h"

namespace p11shim {

using nlohmann::json;

namespace {

constexpr char kSchema[] = "p11shim.backup/1";
constexpr std::string_view kMacMark = "\ncmac:";
constexpr std::size_t kMacDigits = 32;
constexpr std::string_view kSignatureMark = "signature:";

void add_entry(json& bundle, json entry) {
  bundle[entry.contains("why") ? "left_out" : "objects"].push_back(std::move(entry));
}

[[noreturn]] void refuse_bundle(const std::string& why) {
  throw Failure(ExitCode::kNegative, {.what = "the bundle is refused", .why = why, .fix = {}});
}

// The first line with its end, the code that follows it, and the signature of both.
struct Parts {
  std::string body;
  std::string code;
  std::string is_signed;
  std::string signature;  // empty: it is not signed
};
Parts parts_of(const std::string& text) {
  const auto mark = text.find(kMacMark);
  const std::size_t end = mark + kMacMark.size() + kMacDigits + 1;
  if (mark == std::string::npos || text.size() < end || text[end - 1] != '\n') {
    refuse_bundle("it is not what backup create writes");
  }
  Parts parts{.body = text.substr(0, mark + 1),
              .code = text.substr(mark + kMacMark.size(), kMacDigits),
              .is_signed = text.substr(0, end)};
  if (text.size() == end) return parts;
  const std::size_t begin = end + kSignatureMark.size();
  if (text.compare(end, kSignatureMark.size(), kSignatureMark) != 0 || text.size() <= begin + 1 || text.back() != '\n')
    refuse_bundle("it is not what backup create writes");
  parts.signature = text.substr(begin, text.size() - begin - 1);
  return parts;
}

json parsed(const std::string& body) {
  json content = json::parse(body, nullptr, false);
  if (!content.is_object() || content.value("schema", json()) != kSchema || !content.contains("objects"))
    refuse_bundle("it is not of schema " + std::string(kSchema));
  return content;
}

// A signature that was cut off is missed: the first line names the signer.
json with_signature(const Parts& parts, const std::string& public_key) {
  json content = parsed(parts.body);
  const json signer = content.value("signer", json());
  if (signer.is_object() || !parts.signature.empty() || !public_key.empty())
    check_bundle_signature(signer, parts.is_signed, parts.signature, public_key);
  return content;
}

}  // namespace

BackupKek::BackupKek(const Session& session, const std::string& label) : session_(session) {
  key_ = find_one(session, KeySelector::parse(label), {CKO_SECRET_KEY});
  const auto attributes = session.read(key_, std::array{CKA_KEY_TYPE, CKA_WRAP, CKA_UNWRAP, CKA_SIGN, CKA_VERIFY});
  if (attributes.number(CKA_KEY_TYPE) != CKK_AES || !attributes.is(CKA_SIGN) ||
      (!attributes.is(CKA_WRAP) && !attributes.is(CKA_UNWRAP))) {
    throw Failure(ExitCode::kPkcs11, in_quotes(label) + " cannot be a KEK",
                  "it must be an AES key that may wrap, unwrap and sign: shimctl key gen-secret --label kek");
  }
}

BackupKek::BackupKek(const Session& session, const Secret& secret) : session_(session), made_(true) {
  const KeyNames names{.label = "shimctl backup", .id = id_or_random(""), .token = false};
  key_ = session.create(secret_key_template(names, CKK_AES).set(CKA_VALUE, secret.reveal()));
}

bool BackupKek::can_leave() const {
  return session_.read(key_, std::array{CKA_EXTRACTABLE}).truth(CKA_EXTRACTABLE).value_or(false);
}

BackupKek::~BackupKek() {
  if (made_) session_.module()->C_DestroyObject(session_.handle(), key_);
}

std::string BackupKek::mac_of(const std::string& text) const {
  std::string digest = sha256_of(text);
  CK_MECHANISM mechanism{CKM_AES_CMAC, nullptr, 0};
  std::array<CK_BYTE, 64> code{};
  CK_ULONG length = code.size();
  const Module& module = session_.module();
  check("C_SignInit", module->C_SignInit(session_.handle(), &mechanism, key_));
  check("C_Sign", module->C_Sign(session_.handle(), reinterpret_cast<CK_BYTE*>(digest.data()), digest.size(),
                                 code.data(), &length));
  return hex(std::string_view(reinterpret_cast<const char*>(code.data()), 16));
}

std::string BackupKek::wrap(CK_OBJECT_HANDLE key) const {
  WrapMechanism how;
  choose_wrapping(how, session_, key_, "aes-kwp", "sha256");
  return wrap_object(session_, how, key_, key);
}

CK_OBJECT_HANDLE BackupKek::unwrap(const std::string& wrapped, const Template& attributes) const {
  WrapMechanism how;
  choose_wrapping(how, session_, key_, "aes-kwp", "sha256");
  return unwrap_object(session_, how, key_, wrapped, attributes);
}

Secret random_secret() {
  std::array<char, 32> bytes{};
  if (RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(bytes.size())) != 1)
    throw Failure(ExitCode::kNegative, "no random numbers for a key", "");
  Secret secret(std::string_view(bytes.data(), bytes.size()));
  wipe(bytes.data(), bytes.size());
  return secret;
}

std::string new_bundle_id() {
  std::string bytes(8, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), 8) != 1)
    throw Failure(ExitCode::kNegative, "no random numbers", "");
  return hex(bytes);
}

std::string create_bundle(const Session& session, const BackupKek& kek, json head, const BundleSigner* signer) {
  json bundle = std::move(head);
  bundle["signer"] = signer == nullptr ? json() : signer->description();
  char time[32];
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  std::strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%SZ", &utc);
  bundle["schema"] = kSchema;
  bundle["created"] = time;
  bundle["objects"] = json::array();
  bundle["left_out"] = json::array();
  for (const auto object_class : {CKO_SECRET_KEY, CKO_PUBLIC_KEY, CKO_PRIVATE_KEY, CKO_CERTIFICATE, CKO_DATA}) {
    for (const auto object : session.find(Template().set(CKA_CLASS, object_class).set(CKA_TOKEN, true)))
      add_entry(bundle, object_entry(session, kek, object));
  }
  const std::string body = bundle.dump(-1, ' ', true, json::error_handler_t::replace) + "\n";
  const std::string text = body + "cmac:" + kek.mac_of(body) + "\n";
  return signer == nullptr ? text : text + std::string(kSignatureMark) + signer->sign(text) + "\n";
}

json bundle_head(const std::string& text) { return parsed(parts_of(text).body); }

json signed_bundle(const std::string& text, const std::string& public_key) {
  return with_signature(parts_of(text), public_key);
}

json opened_bundle(const std::string& text, const BackupKek& kek, const std::string& public_key) {
  const Parts parts = parts_of(text);
  const std::string code = kek.mac_of(parts.body);
  if (code.size() != parts.code.size() || CRYPTO_memcmp(code.data(), parts.code.data(), code.size()) != 0) {
    refuse_bundle("it was changed since it was written, or with another KEK");
  }
  return with_signature(parts, public_key);
}

}  // namespace p11shim
