#include "description.h"

#include <array>
#include <charconv>

namespace p11shim {
namespace {

constexpr CK_ULONG kLongestInFull = 64;

std::string hexadecimal(std::uint64_t value) {
  std::array<char, 16> digits{};
  const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), value, 16);
  static_cast<void>(error);
  return {digits.data(), end};
}

std::string describe_number(CK_ULONG value) { return "0x" + hexadecimal(value); }

std::string room(const CK_ULONG* size, const void* data) {
  if (size == nullptr) return ">null";
  return data == nullptr ? ">?" : ">" + std::to_string(*size);
}

bool nests_template(CK_ATTRIBUTE_TYPE type) {
  return type == CKA_WRAP_TEMPLATE || type == CKA_UNWRAP_TEMPLATE || type == CKA_DERIVE_TEMPLATE;
}

// One struct with pointers: its members in order, buffers as one member.
class Members {
 public:
  Members& number(CK_ULONG value) { return add(describe_number(value)); }
  Members& bytes(const void* data, CK_ULONG size) { return add(describe_bytes(data, size)); }
  std::string text() const { return '[' + text_ + ']'; }

 private:
  Members& add(const std::string& member) {
    if (!text_.empty()) text_ += ',';
    text_ += member;
    return *this;
  }
  std::string text_;
};

template <class Struct>
const Struct* as(const void* data, CK_ULONG size) {
  return data != nullptr && size == sizeof(Struct) ? static_cast<const Struct*>(data) : nullptr;
}

std::string describe_known(CK_MECHANISM_TYPE mechanism, const void* data, CK_ULONG size) {
  Members members;
  switch (mechanism) {
    case CKM_RSA_PKCS_OAEP:
      if (const auto* p = as<CK_RSA_PKCS_OAEP_PARAMS>(data, size)) {
        members.number(p->hashAlg).number(p->mgf).number(p->source).bytes(p->pSourceData, p->ulSourceDataLen);
        return members.text();
      }
      break;
    case CKM_AES_GCM:
      if (const auto* p = as<CK_GCM_PARAMS>(data, size)) {
        members.bytes(p->pIv, p->ulIvLen).number(p->ulIvBits).bytes(p->pAAD, p->ulAADLen).number(p->ulTagBits);
        return members.text();
      }
      break;
    case CKM_AES_CCM:
      if (const auto* p = as<CK_CCM_PARAMS>(data, size)) {
        members.number(p->ulDataLen).bytes(p->pNonce, p->ulNonceLen).bytes(p->pAAD, p->ulAADLen);
        return members.number(p->ulMACLen).text();
      }
      break;
    case CKM_CHACHA20_POLY1305:
      if (const auto* p = as<CK_SALSA20_CHACHA20_POLY1305_PARAMS>(data, size)) {
        return members.bytes(p->pNonce, p->ulNonceLen).bytes(p->pAAD, p->ulAADLen).text();
      }
      break;
    case CKM_ECDH1_DERIVE:
      if (const auto* p = as<CK_ECDH1_DERIVE_PARAMS>(data, size)) {
        members.number(p->kdf).bytes(p->pSharedData, p->ulSharedDataLen);
        return members.bytes(p->pPublicData, p->ulPublicDataLen).text();
      }
      break;
    case CKM_AES_CBC_ENCRYPT_DATA:
      if (const auto* p = as<CK_AES_CBC_ENCRYPT_DATA_PARAMS>(data, size)) {
        return members.bytes(p->iv, sizeof(p->iv)).bytes(p->pData, p->length).text();
      }
      break;
    case CKM_AES_ECB_ENCRYPT_DATA:
    case CKM_CONCATENATE_BASE_AND_DATA:
      if (const auto* p = as<CK_KEY_DERIVATION_STRING_DATA>(data, size)) {
        return members.bytes(p->pData, p->ulLen).text();
      }
      break;
    case CKM_HKDF_DERIVE:
      if (const auto* p = as<CK_HKDF_PARAMS>(data, size)) {
        members.number(p->bExtract).number(p->bExpand).number(p->prfHashMechanism).number(p->ulSaltType);
        members.bytes(p->pSalt, p->ulSaltLen).number(p->hSaltKey).bytes(p->pInfo, p->ulInfoLen);
        return members.text();
      }
      break;
    case CKM_PKCS5_PBKD2:
      if (const auto* p = as<CK_PKCS5_PBKD2_PARAMS2>(data, size)) {
        members.number(p->saltSource).bytes(p->pSaltSourceData, p->ulSaltSourceDataLen).number(p->iterations);
        members.number(p->prf).bytes(p->pPrfData, p->ulPrfDataLen).bytes(p->pPassword, p->ulPasswordLen);
        return members.text();
      }
      break;
    default: break;
  }
  return {};
}

// Messages take structs of their own; what the token writes into them (tags, generated nonces) is not input.
std::string describe_message(CK_MECHANISM_TYPE mechanism, const void* data, CK_ULONG size) {
  Members members;
  if (mechanism == CKM_AES_GCM) {
    if (const auto* p = as<CK_GCM_MESSAGE_PARAMS>(data, size)) {
      members.number(p->ulIvLen).number(p->ulIvFixedBits).number(p->ivGenerator).number(p->ulTagBits);
      if (p->ivGenerator == CKG_NO_GENERATE) members.bytes(p->pIv, p->ulIvLen);
      return members.text();
    }
  }
  if (mechanism == CKM_AES_CCM) {
    if (const auto* p = as<CK_CCM_MESSAGE_PARAMS>(data, size)) {
      members.number(p->ulDataLen).number(p->ulNonceLen).number(p->ulNonceFixedBits);
      return members.number(p->nonceGenerator).number(p->ulMACLen).text();
    }
  }
  return {};
}

}  // namespace

std::uint64_t digest(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

std::string describe_bytes(const void* data, CK_ULONG size) {
  if (data == nullptr) return "<null:" + std::to_string(size) + '>';
  const std::string_view bytes(static_cast<const char*>(data), size);
  std::string text = '<' + std::to_string(size) + ':';
  if (size > kLongestInFull) return text + '#' + hexadecimal(digest(bytes)) + '>';
  for (const char byte : bytes) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    text += kDigits[static_cast<unsigned char>(byte) >> 4];
    text += kDigits[static_cast<unsigned char>(byte) & 15];
  }
  return text + '>';
}

std::string describe_template(const CK_ATTRIBUTE* attributes, CK_ULONG count) {
  if (attributes == nullptr) return "{null:" + std::to_string(count) + '}';
  std::string text = "{";
  for (CK_ULONG i = 0; i < count; ++i) {
    const CK_ATTRIBUTE& attribute = attributes[i];
    if (i > 0) text += ',';
    text += describe_number(attribute.type) + '=';
    text += nests_template(attribute.type) ? describe_template(static_cast<const CK_ATTRIBUTE*>(attribute.pValue),
                                                               attribute.ulValueLen / sizeof(CK_ATTRIBUTE))
                                           : describe_bytes(attribute.pValue, attribute.ulValueLen);
  }
  return text + '}';
}

std::string describe_parameter(CK_MECHANISM_TYPE mechanism, const void* data, CK_ULONG size) {
  const std::string known = describe_known(mechanism, data, size);
  return known.empty() ? describe_bytes(data, size) : known;
}

std::string describe_mechanism(const CK_MECHANISM* mechanism) {
  if (mechanism == nullptr) return "m(null)";
  return "m(" + describe_number(mechanism->mechanism) + ',' +
         describe_parameter(mechanism->mechanism, mechanism->pParameter, mechanism->ulParameterLen) + ')';
}

void Description::add(std::string_view word) {
  if (!text_.empty()) text_ += ' ';
  text_ += word;
}

void Description::operator()(argument::Scalar scalar) { add(describe_number(scalar.value)); }
void Description::operator()(argument::InBytes bytes) { add(describe_bytes(bytes.data, bytes.size)); }
void Description::operator()(argument::OutBytes bytes) { add(room(bytes.size, bytes.data)); }
void Description::operator()(argument::FillBytes bytes) { add(room(&bytes.size, bytes.data)); }
void Description::operator()(argument::Label label) { add(describe_bytes(label.data, 32)); }
void Description::operator()(argument::Template t) { add(describe_template(t.attributes, t.count)); }
void Description::operator()(argument::Mechanism m) { add(describe_mechanism(m.mechanism)); }
void Description::operator()(argument::UlongList list) { add(room(list.count, list.values)); }
void Description::operator()(argument::OutUlong output) { add(output.value == nullptr ? ">null" : ">"); }
void Description::operator()(argument::Opaque opaque) { add(opaque.null ? "null" : "set"); }

void Description::operator()(argument::FoundObjects found) {
  add(found.count == nullptr ? ">null" : room(&found.capacity, found.handles));
}

void Description::operator()(argument::Query query) {
  std::string text = "{";
  for (CK_ULONG i = 0; query.attributes != nullptr && i < query.count; ++i) {
    if (i > 0) text += ',';
    const CK_ATTRIBUTE& attribute = query.attributes[i];
    text += describe_number(attribute.type) + '=' + room(&attribute.ulValueLen, attribute.pValue);
  }
  add(text + '}');
}

void Description::operator()(argument::Parameter parameter) {
  const std::string message = describe_message(message_mechanism_, parameter.data, parameter.size);
  add(message.empty() ? describe_bytes(parameter.data, parameter.size) : message);
}

}  // namespace p11shim
