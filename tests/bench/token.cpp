#include "token.h"

#include <cstring>
#include <fstream>

#include "module.h"

namespace p11shim {
namespace {

// Values of a template live as long as the template does.
class Template {
 public:
  Template& flag(CK_ATTRIBUTE_TYPE type, bool value) {
    return bytes(type, {static_cast<CK_BYTE>(value ? CK_TRUE : CK_FALSE)});
  }
  Template& number(CK_ATTRIBUTE_TYPE type, CK_ULONG value) {
    std::vector<CK_BYTE> raw(sizeof value);
    std::memcpy(raw.data(), &value, sizeof value);
    return bytes(type, std::move(raw));
  }
  Template& text(CK_ATTRIBUTE_TYPE type, const std::string& value) { return bytes(type, {value.begin(), value.end()}); }
  Template& bytes(CK_ATTRIBUTE_TYPE type, std::vector<CK_BYTE> value) {
    types_.push_back(type);
    values_.push_back(std::move(value));
    return *this;
  }

  CK_ATTRIBUTE* data() {
    attributes_.clear();
    for (std::size_t i = 0; i < types_.size(); ++i) {
      attributes_.push_back({types_[i], values_[i].data(), values_[i].size()});
    }
    return attributes_.data();
  }
  CK_ULONG size() const { return types_.size(); }

 private:
  std::vector<CK_ATTRIBUTE_TYPE> types_;
  std::vector<std::vector<CK_BYTE>> values_;
  std::vector<CK_ATTRIBUTE> attributes_;
};

void generate_pair(CK_FUNCTION_LIST& module, CK_SESSION_HANDLE session, CK_MECHANISM_TYPE type, const char* label,
                   Template public_half) {
  public_half.flag(CKA_TOKEN, true).flag(CKA_VERIFY, true).text(CKA_LABEL, label).text(CKA_ID, label);
  Template private_half;
  private_half.flag(CKA_TOKEN, true).flag(CKA_PRIVATE, true).flag(CKA_SENSITIVE, true).flag(CKA_SIGN, true);
  private_half.text(CKA_LABEL, label).text(CKA_ID, label);
  CK_MECHANISM mechanism{type, nullptr, 0};
  CK_OBJECT_HANDLE public_key = 0;
  CK_OBJECT_HANDLE private_key = 0;
  require("C_GenerateKeyPair",
          module.C_GenerateKeyPair(session, &mechanism, public_half.data(), public_half.size(), private_half.data(),
                                   private_half.size(), &public_key, &private_key));
}

void create(CK_FUNCTION_LIST& module, CK_SESSION_HANDLE session, Template attributes) {
  CK_OBJECT_HANDLE object = 0;
  require("C_CreateObject", module.C_CreateObject(session, attributes.data(), attributes.size(), &object));
}

void create_keys(CK_FUNCTION_LIST& module, CK_SESSION_HANDLE session) {
  generate_pair(module, session, CKM_RSA_PKCS_KEY_PAIR_GEN, kRsaLabel,
                Template().number(CKA_MODULUS_BITS, 2048).bytes(CKA_PUBLIC_EXPONENT, {1, 0, 1}));
  generate_pair(module, session, CKM_EC_KEY_PAIR_GEN, kEcLabel,
                Template().bytes(CKA_EC_PARAMS, {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}));
  create(module, session,
         Template()
             .number(CKA_CLASS, CKO_SECRET_KEY)
             .number(CKA_KEY_TYPE, CKK_AES)
             .flag(CKA_TOKEN, true)
             .flag(CKA_PRIVATE, true)
             .flag(CKA_ENCRYPT, true)
             .text(CKA_LABEL, kAesLabel)
             .bytes(CKA_VALUE, {kAesValue.begin(), kAesValue.end()}));
}

// Among which a search has to find its key.
void create_other_keys(CK_FUNCTION_LIST& module, CK_SESSION_HANDLE session, unsigned count) {
  for (unsigned i = 0; i < count; ++i) {
    create(module, session,
           Template()
               .number(CKA_CLASS, CKO_SECRET_KEY)
               .number(CKA_KEY_TYPE, CKK_GENERIC_SECRET)
               .flag(CKA_TOKEN, true)
               .text(CKA_LABEL, "other-" + std::to_string(i))
               .bytes(CKA_VALUE, std::vector<CK_BYTE>(16, static_cast<CK_BYTE>(i))));
  }
}

}  // namespace

std::filesystem::path write_softhsm_configuration(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder / "tokens");
  const std::filesystem::path file = folder / "softhsm2.conf";
  std::ofstream(file) << "directories.tokendir = " << (folder / "tokens").string() << "\nlog.level = ERROR\n";
  return file;
}

void prepare_token(CK_FUNCTION_LIST& module, unsigned other_keys) {
  std::array<CK_UTF8CHAR, 32> label;
  label.fill(' ');
  std::memcpy(label.data(), kBenchLabel, std::strlen(kBenchLabel));
  std::array<CK_UTF8CHAR, sizeof kBenchPin - 1> pin{};
  std::memcpy(pin.data(), kBenchPin, pin.size());

  CK_SLOT_ID slot = 0;
  CK_ULONG count = 1;
  require("C_GetSlotList", module.C_GetSlotList(CK_TRUE, &slot, &count));
  require("C_InitToken", module.C_InitToken(slot, pin.data(), pin.size(), label.data()));

  CK_SESSION_HANDLE session = 0;
  constexpr CK_FLAGS kWritable = CKF_SERIAL_SESSION | CKF_RW_SESSION;
  require("C_OpenSession", module.C_OpenSession(find_bench_slot(module), kWritable, nullptr, nullptr, &session));
  require("C_Login", module.C_Login(session, CKU_SO, pin.data(), pin.size()));
  require("C_InitPIN", module.C_InitPIN(session, pin.data(), pin.size()));
  require("C_Logout", module.C_Logout(session));
  log_in(module, session);
  create_keys(module, session);
  create_other_keys(module, session, other_keys);
  require("C_CloseSession", module.C_CloseSession(session));
}

}  // namespace p11shim
