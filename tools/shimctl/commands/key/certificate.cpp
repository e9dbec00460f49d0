#include "tools/shimctl/commands/key/certificate.h"

#include <openssl/asn1.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <memory>

#include "config/problem.h"
#include "tools/shimctl/crypto/byte_stream.h"
#include "tools/shimctl/crypto/signer.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/keys/hex.h"
#include "tools/shimctl/keys/key_selector.h"
#include "tools/shimctl/keys/public_key.h"
#include "tools/shimctl/output/present.h"
#include "tools/shimctl/token/call_failure.h"
#include "tools/shimctl/token/token_access.h"

namespace p11shim {

namespace {

template <class T, void (*Free)(T*)>
struct Freed {
  void operator()(T* object) const { Free(object); }
};
template <class T, void (*Free)(T*)>
using Owned = std::unique_ptr<T, Freed<T, Free>>;
using Subject = Owned<X509_NAME, X509_NAME_free>;
using Algorithm = Owned<X509_ALGOR, X509_ALGOR_free>;

// "/CN=example.org/O=Example" or "CN=example.org,O=Example".
Subject parse_subject(const std::string& text) {
  const char separator = text.starts_with('/') ? '/' : ',';
  Subject name(X509_NAME_new());
  for (std::size_t begin = separator == '/' ? 1 : 0; begin < text.size();) {
    const auto end = std::min(text.find(separator, begin), text.size());
    std::string part = text.substr(begin, end - begin);
    begin = end + 1;
    part.erase(0, part.find_first_not_of(' '));
    const auto equals = std::min(part.find('='), part.size());
    const std::string value = part.substr(std::min(equals + 1, part.size()));
    if (X509_NAME_add_entry_by_txt(name.get(), part.substr(0, equals).c_str(), MBSTRING_UTF8,
                                   reinterpret_cast<const unsigned char*>(value.data()), static_cast<int>(value.size()),
                                   -1, 0) != 1) {
      throw Failure(ExitCode::kUsage, in_quotes(part) + " is no part of a subject",
                    "for example --subject /CN=name/O=firm");
    }
  }
  if (X509_NAME_entry_count(name.get()) == 0)
    throw Failure(ExitCode::kUsage, "the subject is empty", "--subject /CN=name");
  return name;
}

// What the key's signatures are called.
Algorithm algorithm_of(const PublicKey& key, const Hash& hash) {
  int nid = NID_undef;
  const int type = EVP_PKEY_get_base_id(key.get());
  int parameters = V_ASN1_UNDEF;
  if (type == EVP_PKEY_ED25519 || type == EVP_PKEY_ED448) {
    nid = type;
  } else {
    OBJ_find_sigid_by_algs(&nid, OBJ_txt2nid(hash.name), type);
    if (type == EVP_PKEY_RSA) parameters = V_ASN1_NULL;
  }
  if (nid == NID_undef)
    throw Failure(ExitCode::kUsage, "this key cannot sign certificates", "RSA, EC and Edwards keys can");
  Algorithm algorithm(X509_ALGOR_new());
  X509_ALGOR_set0(algorithm.get(), OBJ_nid2obj(nid), parameters, nullptr);
  return algorithm;
}

std::string taken(unsigned char* der, int length) {
  std::string text(reinterpret_cast<char*>(der), length > 0 ? static_cast<std::size_t>(length) : 0);
  OPENSSL_free(der);
  return text;
}

// SEQUENCE { what is signed, the algorithm, the signature }
std::string signed_der(const std::string& to_be_signed, const Algorithm& algorithm, const std::string& signature) {
  unsigned char* der = nullptr;
  int length = i2d_X509_ALGOR(algorithm.get(), &der);
  std::string content = to_be_signed + taken(der, length);
  const Owned<ASN1_BIT_STRING, ASN1_BIT_STRING_free> bits(ASN1_BIT_STRING_new());
  ASN1_STRING_set(bits.get(), signature.data(), static_cast<int>(signature.size()));
  bits->flags = (bits->flags & ~(ASN1_STRING_FLAG_BITS_LEFT | 7)) | ASN1_STRING_FLAG_BITS_LEFT;
  der = nullptr;
  length = i2d_ASN1_BIT_STRING(bits.get(), &der);
  content += taken(der, length);
  const int total = ASN1_object_size(1, static_cast<int>(content.size()), V_ASN1_SEQUENCE);
  std::string sequence(static_cast<std::size_t>(total) - content.size(), '\0');
  auto* at = reinterpret_cast<unsigned char*>(sequence.data());
  ASN1_put_object(&at, 1, static_cast<int>(content.size()), V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL);
  return sequence + content;
}

struct SigningKey {
  TokenAccess& access;
  const Session& session;
  CK_OBJECT_HANDLE handle;
  PublicKey public_key;
};

SigningKey signing_key(TokenAccess& access, const std::string& name) {
  const Session& session = access.session(Session::Access::kReadOnly);
  const auto handle = find_one(session, KeySelector::parse(name), {CKO_PRIVATE_KEY});
  auto public_key = public_key_of(session, handle);
  if (!public_key) {
    throw Failure(ExitCode::kNotFound, "the token does not show the public half of " + in_quotes(name), "");
  }
  return {access, session, handle, std::move(public_key)};
}

std::string signature_of(const SigningKey& key, const Hash& hash, const std::string& data, const std::string& name) {
  try {
    Signer signer(key.session, key.handle, {.hash = &hash}, Signer::Purpose::kSign,
                  [&] { key.access.authenticate_operation(key.handle); });
    signer.update(data);
    return signer.sign();
  } catch (const CallError& error) {
    throw failure_of(error, "cannot sign with " + in_quotes(name));
  }
}

void write_signed(const Invocation& invocation, const CertificateOptions& options, const char* command,
                  const char* label, const std::string& der) {
  const std::string text = options.der ? der : pem_of(label, der);
  if (!options.out.empty() || options.der) {
    if (!invocation.dry_run) write_file(options.out, text);
    return;
  }
  if (invocation.format == OutputFormat::kTable || invocation.format == OutputFormat::kPlain) {
    invocation.out << text;
    return;
  }
  Report report{.name = command};
  report.data.set("key", options.key).set("subject", options.subject).set("pem", text);
  report.data.set("sha256", hex(sha256_of(der)));
  present(invocation, report);
}

void add_extension(X509* certificate, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  const Owned<X509_EXTENSION, X509_EXTENSION_free> extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value));
  if (extension) X509_add_ext(certificate, extension.get(), -1);
}

}  // namespace

ExitCode make_request(const Invocation& invocation, const CertificateOptions& options) {
  const Hash& hash = parse_hash(options.hash);
  const Subject subject = parse_subject(options.subject);
  TokenAccess access(invocation);
  const SigningKey key = signing_key(access, options.key);
  const Algorithm algorithm = algorithm_of(key.public_key, hash);
  const Owned<X509_REQ, X509_REQ_free> request(X509_REQ_new());
  X509_REQ_set_version(request.get(), X509_REQ_VERSION_1);
  X509_REQ_set_subject_name(request.get(), subject.get());
  X509_REQ_set_pubkey(request.get(), key.public_key.get());
  unsigned char* der = nullptr;
  const int length = i2d_re_X509_REQ_tbs(request.get(), &der);
  const std::string data = taken(der, length);
  const auto signature = signature_of(key, hash, data, options.key);
  write_signed(invocation, options, "key.csr", "CERTIFICATE REQUEST", signed_der(data, algorithm, signature));
  return ExitCode::kOk;
}

ExitCode make_certificate(const Invocation& invocation, const CertificateOptions& options) {
  const Hash& hash = parse_hash(options.hash);
  const Subject subject = parse_subject(options.subject);
  TokenAccess access(invocation);
  const SigningKey key = signing_key(access, options.key);
  const Algorithm algorithm = algorithm_of(key.public_key, hash);
  const Owned<X509, X509_free> certificate(X509_new());
  X509_set_version(certificate.get(), X509_VERSION_3);
  std::uint64_t serial = 0;
  RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate.get()), serial >> 1);
  X509_set_subject_name(certificate.get(), subject.get());
  X509_set_issuer_name(certificate.get(), subject.get());
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), 0);
  X509_time_adj_ex(X509_getm_notAfter(certificate.get()), static_cast<int>(options.days), 0, nullptr);
  X509_set_pubkey(certificate.get(), key.public_key.get());
  add_extension(certificate.get(), NID_basic_constraints, "critical,CA:TRUE");
  add_extension(certificate.get(), NID_subject_key_identifier, "hash");
  // Named inside, too; nobody else holds this certificate yet.
  X509_ALGOR_copy(const_cast<X509_ALGOR*>(X509_get0_tbs_sigalg(certificate.get())), algorithm.get());
  unsigned char* der = nullptr;
  const int length = i2d_re_X509_tbs(certificate.get(), &der);
  const std::string data = taken(der, length);
  const auto signature = signature_of(key, hash, data, options.key);
  write_signed(invocation, options, "key.cert", "CERTIFICATE", signed_der(data, algorithm, signature));
  return ExitCode::kOk;
}

}  // namespace p11shim
