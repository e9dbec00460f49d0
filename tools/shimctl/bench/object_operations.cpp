#include "tools/shimctl/bench/object_operations.h"

#include <algorithm>
#include <array>

#include "tools/shimctl/bench/mechanism_parameters.h"
#include "tools/shimctl/bench/result_check.h"
#include "tools/shimctl/keys/key_maker.h"
#include "tools/shimctl/keys/key_wrapping.h"

namespace p11shim {

namespace {

KeyNames bench_names() { return {.label = "shimctl bench", .id = id_or_random(""), .token = false}; }

// An object of this thread's session, destroyed with it.
class OwnObject {
 public:
  OwnObject(const Session& session, CK_OBJECT_HANDLE object) : session_(session), object_(object) {}
  ~OwnObject() { session_.module()->C_DestroyObject(session_.handle(), object_); }
  OwnObject(const OwnObject&) = delete;
  OwnObject& operator=(const OwnObject&) = delete;
  CK_OBJECT_HANDLE handle() const { return object_; }

 private:
  const Session& session_;
  CK_OBJECT_HANDLE object_;
};

CK_OBJECT_HANDLE make_extractable(const Session& session) {
  return make_key(session, parse_key_type("aes:256"), bench_names(), Template().set(CKA_EXTRACTABLE, true), {}).key;
}

class WrapOperation : public Operation {
 public:
  explicit WrapOperation(const OperationPlace& place)
      : session_(place.session),
        with_(place.key.key()),
        wrapped_(session_, make_extractable(session_)),
        mechanism_{place.test.mechanism, nullptr, 0} {}

  CK_RV run() override {
    length_ = result_.size();
    return session_.module()->C_WrapKey(session_.handle(), &mechanism_, with_, wrapped_.handle(), result_.data(),
                                        &length_);
  }
  std::string check() override {
    if (length_ != 40) return "a wrapped key of " + std::to_string(length_) + " bytes";
    const std::string now(result_.begin(), result_.begin() + 40);
    if (first_.empty()) first_ = now;
    return now == first_ ? "" : "another wrapped key than before";
  }

 private:
  Session& session_;
  CK_OBJECT_HANDLE with_;
  OwnObject wrapped_;
  CK_MECHANISM mechanism_;
  std::array<CK_BYTE, 256> result_{};
  CK_ULONG length_ = 0;
  std::string first_;
};

// What makes an object each time, which tidy() destroys.
class MakingOperation : public Operation {
 public:
  explicit MakingOperation(Session& session) : session_(session) {}
  void tidy() override {
    for (auto& object : made_) {
      if (object != CK_INVALID_HANDLE) session_.module()->C_DestroyObject(session_.handle(), object);
      object = CK_INVALID_HANDLE;
    }
  }

 protected:
  Session& session_;
  std::array<CK_OBJECT_HANDLE, 2> made_{};
};

class UnwrapOperation : public MakingOperation {
 public:
  explicit UnwrapOperation(const OperationPlace& place)
      : MakingOperation(place.session),
        with_(place.key.key()),
        mechanism_{place.test.mechanism, nullptr, 0},
        template_(secret_key_template(bench_names(), CKK_AES)) {
    const OwnObject key(session_, make_extractable(session_));
    wrapped_ = wrapped(key.handle());
    template_.set(CKA_EXTRACTABLE, true);
    view_ = template_.view();
  }

  CK_RV run() override {
    return session_.module()->C_UnwrapKey(session_.handle(), &mechanism_, with_,
                                          reinterpret_cast<CK_BYTE*>(wrapped_.data()), wrapped_.size(), view_.data(),
                                          view_.size(), made_.data());
  }
  std::string check() override {
    return wrapped(made_[0]) == wrapped_ ? "" : "the unwrapped key is not what was wrapped";
  }

 private:
  std::string wrapped(CK_OBJECT_HANDLE key) const {
    WrapMechanism how;
    how.mechanism = mechanism_;
    return wrap_object(session_, how, with_, key);
  }

  CK_OBJECT_HANDLE with_;
  CK_MECHANISM mechanism_;
  Template template_;
  std::vector<CK_ATTRIBUTE> view_;
  std::string wrapped_;
};

class DeriveOperation : public MakingOperation {
 public:
  explicit DeriveOperation(const OperationPlace& place)
      : MakingOperation(place.session), key_(place.key.key()), parameters_(place.test.mechanism) {
    const auto half = public_key_of(session_, key_);
    if (!half) throw TestSkipped("the token does not show the public half of the key");
    peer_.emplace(half.get());
    template_ = secret_key_template(bench_names(), CKK_GENERIC_SECRET);
    template_.set(CKA_VALUE_LEN, CK_ULONG{peer_->secret().size()}).set(CKA_SENSITIVE, false).set(CKA_EXTRACTABLE, true);
    view_ = template_.view();
    parameters_.agree_with(peer_->point());
    const bool raw = run() == CKR_OK;
    tidy();
    if (raw) return;
    // Some tokens want the point as the OCTET STRING that CKA_EC_POINT is.
    std::string wrapped{'\x04', static_cast<char>(peer_->point().size())};
    parameters_.agree_with(wrapped + peer_->point());
  }

  CK_RV run() override {
    return session_.module()->C_DeriveKey(session_.handle(), parameters_.get(), key_, view_.data(), view_.size(),
                                          made_.data());
  }
  std::string check() override {
    const auto secret = session_.read(made_[0], std::array{CKA_VALUE}).text(CKA_VALUE);
    return secret == peer_->secret() ? "" : "a wrong shared secret";
  }

 private:
  CK_OBJECT_HANDLE key_;
  MechanismParameters parameters_;
  std::optional<AgreementPeer> peer_;
  Template template_;
  std::vector<CK_ATTRIBUTE> view_;
};

class GenerateOperation : public MakingOperation {
 public:
  explicit GenerateOperation(const OperationPlace& place)
      : MakingOperation(place.session), type_(parse_key_type(std::string(place.test.key))), names_(bench_names()) {}

  CK_RV run() override {
    try {
      const auto made = make_key(session_, type_, names_, {}, {});
      made_ = {made.key, made.public_key};
      return CKR_OK;
    } catch (const CallError& error) {
      return error.rv();
    }
  }
  std::string check() override {
    const auto type = session_.read(made_[0], std::array{CKA_KEY_TYPE}).number(CKA_KEY_TYPE);
    return type == type_.type ? "" : "a key of another type";
  }

 private:
  KeyType type_;
  KeyNames names_;
};

class RandomOperation : public Operation {
 public:
  explicit RandomOperation(const OperationPlace& place)
      : session_(place.session), bytes_(std::max<std::size_t>(place.data_size, 1)) {}

  CK_RV run() override { return session_.module()->C_GenerateRandom(session_.handle(), bytes_.data(), bytes_.size()); }
  std::string check() override {
    const bool same = bytes_.size() >= 16 && bytes_ == before_;
    before_ = bytes_;
    return same ? "the same random bytes twice" : "";
  }

 private:
  Session& session_;
  std::vector<CK_BYTE> bytes_;
  std::vector<CK_BYTE> before_;
};

// An object that is looked for and looked at: a public session object, so that no login matters.
class ObjectOperation : public Operation {
 protected:
  explicit ObjectOperation(const OperationPlace& place)
      : session_(place.session),
        label_("shimctl bench " + std::to_string(place.session.handle())),
        object_(session_, session_.create(Template()
                                              .set(CKA_CLASS, CKO_DATA)
                                              .set(CKA_TOKEN, false)
                                              .set(CKA_PRIVATE, false)
                                              .set(CKA_LABEL, label_)
                                              .set(CKA_VALUE, "bench"))) {}

  Session& session_;
  std::string label_;
  OwnObject object_;
};

class FindOperation : public ObjectOperation {
 public:
  explicit FindOperation(const OperationPlace& place) : ObjectOperation(place) {
    search_.set(CKA_CLASS, CKO_DATA).set(CKA_LABEL, label_);
    view_ = search_.view();
  }

  CK_RV run() override {
    const Module& module = session_.module();
    count_ = 0;
    CK_RV rv = module->C_FindObjectsInit(session_.handle(), view_.data(), view_.size());
    if (rv != CKR_OK) return rv;
    rv = module->C_FindObjects(session_.handle(), found_.data(), found_.size(), &count_);
    const CK_RV end = module->C_FindObjectsFinal(session_.handle());
    return rv != CKR_OK ? rv : end;
  }
  std::string check() override {
    return count_ == 1 && found_[0] == object_.handle() ? "" : "found " + std::to_string(count_) + " objects";
  }

 private:
  Template search_;
  std::vector<CK_ATTRIBUTE> view_;
  std::array<CK_OBJECT_HANDLE, 16> found_{};
  CK_ULONG count_ = 0;
};

class AttributesOperation : public ObjectOperation {
 public:
  explicit AttributesOperation(const OperationPlace& place) : ObjectOperation(place) {}

  CK_RV run() override {
    attributes_ = {{{CKA_CLASS, &class_, sizeof class_},
                    {CKA_LABEL, text_.data(), text_.size()},
                    {CKA_VALUE, value_.data(), value_.size()}}};
    return session_.module()->C_GetAttributeValue(session_.handle(), object_.handle(), attributes_.data(),
                                                  attributes_.size());
  }
  std::string check() override {
    const std::string label(text_.data(), std::min<std::size_t>(attributes_[1].ulValueLen, text_.size()));
    return class_ == CKO_DATA && label == label_ ? "" : "wrong attributes";
  }

 private:
  std::array<CK_ATTRIBUTE, 3> attributes_{};
  CK_OBJECT_CLASS class_ = 0;
  std::array<char, 64> text_{};
  std::array<char, 64> value_{};
};

class SessionOperation : public Operation {
 public:
  explicit SessionOperation(const OperationPlace& place) : session_(place.session) {}

  CK_RV run() override {
    const Module& module = session_.module();
    const CK_RV rv = module->C_OpenSession(session_.slot(), CKF_SERIAL_SESSION, nullptr, nullptr, &opened_);
    return rv != CKR_OK ? rv : module->C_CloseSession(opened_);
  }
  std::string check() override { return opened_ == session_.handle() ? "a handle that is in use" : ""; }

 private:
  Session& session_;
  CK_SESSION_HANDLE opened_ = CK_INVALID_HANDLE;
};

// Logs the application out each time, and in once more at the end of each run.
class LoginOperation : public Operation {
 public:
  explicit LoginOperation(const OperationPlace& place) : session_(place.session), pin_(*place.pin) {
    session_.module()->C_Logout(session_.handle());
  }
  ~LoginOperation() override {
    if (!refused_) login();
  }

  CK_RV run() override {
    if (refused_) return CKR_PIN_INCORRECT;  // never a second try of a PIN that was wrong
    const CK_RV rv = login();
    refused_ = rv == CKR_PIN_INCORRECT || rv == CKR_PIN_LOCKED;
    return rv;
  }
  void tidy() override { session_.module()->C_Logout(session_.handle()); }
  std::string check() override {
    CK_SESSION_INFO info{};
    const bool known = session_.module()->C_GetSessionInfo(session_.handle(), &info) == CKR_OK;
    return known && (info.state == CKS_RW_USER_FUNCTIONS || info.state == CKS_RO_USER_FUNCTIONS)
               ? ""
               : "the session does not know of the login";
  }

 private:
  CK_RV login() {
    const auto text = pin_.reveal();
    auto* bytes = reinterpret_cast<CK_UTF8CHAR*>(const_cast<char*>(text.data()));
    return session_.module()->C_Login(session_.handle(), CKU_USER, bytes, text.size());
  }

  Session& session_;
  const Secret& pin_;
  bool refused_ = false;
};

}  // namespace

std::unique_ptr<Operation> make_wrap_operation(const OperationPlace& place) {
  return std::make_unique<WrapOperation>(place);
}
std::unique_ptr<Operation> make_unwrap_operation(const OperationPlace& place) {
  return std::make_unique<UnwrapOperation>(place);
}
std::unique_ptr<Operation> make_derive_operation(const OperationPlace& place) {
  return std::make_unique<DeriveOperation>(place);
}
std::unique_ptr<Operation> make_generate_operation(const OperationPlace& place) {
  return std::make_unique<GenerateOperation>(place);
}
std::unique_ptr<Operation> make_random_operation(const OperationPlace& place) {
  return std::make_unique<RandomOperation>(place);
}
std::unique_ptr<Operation> make_find_operation(const OperationPlace& place) {
  return std::make_unique<FindOperation>(place);
}
std::unique_ptr<Operation> make_attributes_operation(const OperationPlace& place) {
  return std::make_unique<AttributesOperation>(place);
}
std::unique_ptr<Operation> make_session_operation(const OperationPlace& place) {
  return std::make_unique<SessionOperation>(place);
}
std::unique_ptr<Operation> make_login_operation(const OperationPlace& place) {
  return std::make_unique<LoginOperation>(place);
}

}  // namespace p11shim
