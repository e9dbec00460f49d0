#include "tools/shimctl/keys/key_type.h"

#include <openssl/ec.h>
#include <openssl/objects.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

#include "config/nearest.h"
#include "config/problem.h"
#include "pkcs11/names.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/keys/hex.h"

namespace p11shim {

namespace {

struct Kind {
  std::string_view name;
  CK_KEY_TYPE type;
  CK_MECHANISM_TYPE generate;
  bool pair;
  CK_ULONG default_bits;
};

constexpr std::array<Kind, 7> kKinds{{{"rsa", CKK_RSA, CKM_RSA_PKCS_KEY_PAIR_GEN, true, 3072},
                                      {"ec", CKK_EC, CKM_EC_KEY_PAIR_GEN, true, 0},
                                      {"aes", CKK_AES, CKM_AES_KEY_GEN, false, 256},
                                      {"hmac", CKK_GENERIC_SECRET, CKM_GENERIC_SECRET_KEY_GEN, false, 256},
                                      {"generic", CKK_GENERIC_SECRET, CKM_GENERIC_SECRET_KEY_GEN, false, 256},
                                      {"des3", CKK_DES3, CKM_DES3_KEY_GEN, false, 192},
                                      {"chacha20", CKK_CHACHA20, CKM_CHACHA20_KEY_GEN, false, 256}}};

// PrintableStrings of PKCS#11 3.0; SoftHSM knows no OID for them.
struct Special {
  std::string_view name;
  std::string_view der;
  CK_KEY_TYPE type;
  int nid;
};
constexpr std::array<Special, 4> kSpecial{{{"ed25519",
                                            "\x13\x0c"
                                            "edwards25519",
                                            CKK_EC_EDWARDS, NID_ED25519},
                                           {"ed448",
                                            "\x13\x0a"
                                            "edwards448",
                                            CKK_EC_EDWARDS, NID_ED448},
                                           {"x25519",
                                            "\x13\x0a"
                                            "curve25519",
                                            CKK_EC_MONTGOMERY, NID_X25519},
                                           {"x448",
                                            "\x13\x08"
                                            "curve448",
                                            CKK_EC_MONTGOMERY, NID_X448}}};

std::string lower(std::string_view text) {
  std::string name;
  for (const char c : text) name += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return name;
}

[[noreturn]] void refuse(const std::string& text, const std::string& why) {
  throw Failure(ExitCode::kUsage, {.what = in_quotes(text) + " is no type of key",
                                   .why = why,
                                   .fix = "types are rsa:BITS, ec:CURVE, ed25519, ed448, x25519, x448, aes:BITS, "
                                          "hmac:BITS, generic:BITS, des3 and chacha20"});
}

KeyType special(const Special& curve, const std::string& text) {
  return {.type = curve.type,
          .generate = curve.type == CKK_EC_EDWARDS ? CKM_EC_EDWARDS_KEY_PAIR_GEN : CKM_EC_MONTGOMERY_KEY_PAIR_GEN,
          .pair = true,
          .ec_params = std::string(curve.der),
          .text = text};
}

std::string params_of_curve(const std::string& name, const std::string& text) {
  int nid = EC_curve_nist2nid(name.c_str());
  if (nid == NID_undef) nid = OBJ_txt2nid(name.c_str());
  if (nid == NID_undef) nid = OBJ_txt2nid(lower(name).c_str());
  if (nid == NID_undef && lower(name).starts_with("p-")) nid = EC_curve_nist2nid(("P" + name.substr(1)).c_str());
  if (nid == NID_undef) refuse(text, "there is no curve " + in_quotes(name) + "; for example P-256, P-384, secp256k1");
  const ASN1_OBJECT* object = OBJ_nid2obj(nid);
  unsigned char* der = nullptr;
  const int length = i2d_ASN1_OBJECT(object, &der);
  if (length <= 0) refuse(text, "the curve has no object identifier");
  std::string params(reinterpret_cast<char*>(der), static_cast<std::size_t>(length));
  OPENSSL_free(der);
  return params;
}

}  // namespace

KeyType parse_key_type(const std::string& text) {
  const auto colon = text.find(':');
  const std::string name = lower(text.substr(0, colon));
  const std::string size = colon == std::string::npos ? "" : text.substr(colon + 1);
  const std::string curve = name == "ec" ? lower(size) : name;
  for (const auto& known : kSpecial) {
    if (curve == known.name) return special(known, text);
  }
  const auto kind = std::find_if(kKinds.begin(), kKinds.end(), [&](const Kind& known) { return known.name == name; });
  if (kind == kKinds.end()) {
    std::vector<std::string_view> known;
    for (const auto& each : kKinds) known.push_back(each.name);
    for (const auto& each : kSpecial) known.push_back(each.name);
    const auto meant = nearest(name, known);
    refuse(text, meant.empty() ? "" : "did you mean " + in_quotes(meant) + "?");
  }
  KeyType type{.type = kind->type,
               .generate = kind->generate,
               .pair = kind->pair,
               .bits = kind->default_bits,
               .ec_params = {},
               .text = text};
  if (kind->type == CKK_EC) {
    type.ec_params = params_of_curve(size.empty() ? "P-256" : size, text);
  } else if (!size.empty()) {
    const auto parsed = std::from_chars(size.data(), size.data() + size.size(), type.bits);
    if (parsed.ec != std::errc() || parsed.ptr != size.data() + size.size() || type.bits == 0 || type.bits % 8 != 0 ||
        type.bits > 1 << 20) {
      refuse(text, "its size is a number of bits, a multiple of 8");
    }
  }
  return type;
}

int curve_nid(std::string_view ec_params) {
  for (const auto& known : kSpecial) {
    if (ec_params == known.der) return known.nid;
  }
  const auto* bytes = reinterpret_cast<const unsigned char*>(ec_params.data());
  ASN1_OBJECT* object = d2i_ASN1_OBJECT(nullptr, &bytes, static_cast<long>(ec_params.size()));
  if (object == nullptr) return NID_undef;
  const int nid = OBJ_obj2nid(object);
  ASN1_OBJECT_free(object);
  return nid;
}

std::string curve_name(std::string_view ec_params) {
  const int nid = curve_nid(ec_params);
  for (const auto& known : kSpecial) {
    if (nid == known.nid) return std::string(known.name);
  }
  if (nid == NID_undef) return hex(ec_params);
  const char* nist = EC_curve_nid2nist(nid);
  return nist != nullptr ? nist : OBJ_nid2sn(nid);
}

std::string key_type_name(CK_KEY_TYPE type) {
  switch (type) {
    case CKK_EC_EDWARDS: return "edwards";
    case CKK_EC_MONTGOMERY: return "montgomery";
    case CKK_GENERIC_SECRET: return "generic";
    default: break;
  }
  const auto name = name_of(NameKind::ckk, type);
  return name ? lower(name->substr(std::string_view("CKK_").size())) : hexadecimal(type, 8);
}

bool agrees_only(std::string_view ec_params) {
  const int nid = curve_nid(ec_params);
  return nid == NID_X25519 || nid == NID_X448;
}

}  // namespace p11shim
