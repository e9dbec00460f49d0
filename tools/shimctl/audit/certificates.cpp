#include <openssl/objects.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <set>

#include "tools/shimctl/audit/rules.h"

namespace p11shim {

namespace {

constexpr int kSecurityBits = 112;

using Certificate = std::unique_ptr<X509, void (*)(X509*)>;

Certificate parse(const std::string& der) {
  const auto* begin = reinterpret_cast<const unsigned char*>(der.data());
  return Certificate(d2i_X509(nullptr, &begin, static_cast<long>(der.size())), X509_free);
}

std::string public_key(X509* certificate) {
  unsigned char* der = nullptr;
  const int length = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
  std::string text(reinterpret_cast<char*>(der), length > 0 ? static_cast<std::size_t>(length) : 0);
  OPENSSL_free(der);
  return text;
}

// "2026-11-21"
std::string date_of(const ASN1_TIME* time) {
  std::tm date{};
  char text[16] = "";
  if (ASN1_TIME_to_tm(time, &date) == 1) std::strftime(text, sizeof text, "%Y-%m-%d", &date);
  return text;
}

}  // namespace

void audit_certificates(const std::vector<AuditedObject>& objects, const AuditTime& time,
                        std::vector<KeyFinding>& findings) {
  std::set<std::string> certified_keys, certified_ids, private_keys, private_ids;
  for (const AuditedObject& object : objects) {
    if (object.object_class != CKO_PRIVATE_KEY) continue;
    private_keys.insert(object.public_key);
    private_ids.insert(object.id());
  }
  const auto find = [&](const char* rule, const AuditedObject& object, const std::string& detail) {
    findings.push_back({.rule = rule, .object = &object, .detail = detail});
  };
  for (const AuditedObject& object : objects) {
    if (object.object_class != CKO_CERTIFICATE) continue;
    certified_ids.insert(object.id());
    const Certificate certificate = parse(object.attributes.text(CKA_VALUE));
    if (certificate == nullptr) {
      find("certificate-unreadable", object, "no X.509");
      continue;
    }
    const std::string key = public_key(certificate.get());
    certified_keys.insert(key);
    const ASN1_TIME* end = X509_get0_notAfter(certificate.get());
    std::time_t soon = time.now + static_cast<std::time_t>(time.days) * 86'400;
    std::time_t now = time.now;
    if (X509_cmp_time(end, &now) < 0) find("certificate-expired", object, "ended " + date_of(end));
    else if (X509_cmp_time(end, &soon) < 0) find("certificate-expires", object, "ends " + date_of(end));
    const int signature = X509_get_signature_nid(certificate.get());
    int digest = NID_undef;
    OBJ_find_sigid_algs(signature, &digest, nullptr);
    if (digest == NID_md5 || digest == NID_sha1) find("certificate-weak", object, OBJ_nid2sn(signature));
    EVP_PKEY* pkey = X509_get0_pubkey(certificate.get());
    if (pkey != nullptr && EVP_PKEY_get_security_bits(pkey) < kSecurityBits)
      find("certificate-weak", object, std::to_string(EVP_PKEY_get_security_bits(pkey)) + " bits of security");
    const bool known = private_keys.contains(key) || (!object.id().empty() && private_ids.contains(object.id()));
    if (!known && X509_check_ca(certificate.get()) == 0)
      find("certificate-alone", object, "its private key is not here");
  }
  for (const AuditedObject& object : objects) {
    if (object.object_class != CKO_PRIVATE_KEY || !object.attributes.is(CKA_SIGN)) continue;
    const bool certified = (!object.public_key.empty() && certified_keys.contains(object.public_key)) ||
                           (!object.id().empty() && certified_ids.contains(object.id()));
    if (!certified) find("no-certificate", object, "on this token");
  }
}

}  // namespace p11shim
