// The mock's answer to every function that module.h does not write out: checks session and operation, then
// fills the outputs with a pattern that names the function and carries a digest of all inputs but the session
// handle, so that a reply proves what was received:  C_Sign:0123456789abcdef;C_Sign:0123456789abcdef;…
// Functions that turn input into output of the same size (encrypting, decrypting) return it with every bit of
// 0x5a turned over, so decrypting what was encrypted gives the original.
#pragma once

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <span>

#include "description.h"
#include "module.h"
#include "operation.h"

namespace p11shim {

class Answer {
 public:
  Answer(MockModule& module, CK_SESSION_HANDLE session, Function function, const Verdict& verdict,
         std::string_view inputs)
      : module_(module), session_(session), function_(function), verdict_(verdict) {
    char digits[17];
    std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(digest(inputs)));
    stamp_ = std::string(function_name(function)) + ':' + digits + ';';
  }

  void operator()(argument::InBytes bytes) { last_input_ = {bytes.data, bytes.data == nullptr ? 0 : bytes.size}; }
  void operator()(argument::Template t) { templates_.push_back(to_attributes(t.attributes, t.count)); }
  void operator()(argument::FillBytes bytes) { stamp(bytes.data, bytes.size); }

  void operator()(argument::OutBytes bytes) {
    if (bytes.size == nullptr) return fail(CKR_ARGUMENTS_BAD);
    const Bytes value = output();
    const CK_ULONG capacity = *bytes.size;
    *bytes.size = reported(value.size());
    if (bytes.data == nullptr) return fail(kLengthOnly);
    if (capacity < value.size()) return fail(CKR_BUFFER_TOO_SMALL);
    std::copy(value.begin(), value.end(), bytes.data);
  }

  void operator()(argument::OutUlong output) {
    if (output.value == nullptr) return fail(CKR_ARGUMENTS_BAD);
    Attributes attributes;
    if (next_template_ < templates_.size()) attributes = templates_[next_template_++];
    *output.value = module_.add_object(session_, std::move(attributes));
  }

  void operator()(argument::Mechanism m) {
    if (m.mechanism == nullptr) return fail(CKR_ARGUMENTS_BAD);
    if (function_name(function_).starts_with("C_Message")) {
      module_.session(session_)->message_mechanism = m.mechanism->mechanism;
    }
  }

  void operator()(argument::Parameter parameter) {
    if (module_.session(session_)->message_mechanism != CKM_AES_GCM) return;
    if (parameter.data == nullptr || parameter.size != sizeof(CK_GCM_MESSAGE_PARAMS)) return;
    auto& gcm = *static_cast<CK_GCM_MESSAGE_PARAMS*>(parameter.data);
    if (gcm.pIv != nullptr && gcm.ivGenerator != CKG_NO_GENERATE) stamp(gcm.pIv, gcm.ulIvLen);
    const bool encrypts = function_name(function_).starts_with("C_Encrypt");
    if (encrypts && gcm.pTag != nullptr) stamp(gcm.pTag, gcm.ulTagBits / 8);
  }

  template <class Other>
  void operator()(const Other&) {}

  // The operation goes on after a length query or a buffer that was too small.
  bool ends_operation() const { return rv_ == CKR_OK; }
  CK_RV rv() const { return rv_ == kLengthOnly ? CKR_OK : rv_; }

 private:
  static constexpr CK_RV kLengthOnly = static_cast<CK_RV>(-1);

  void fail(CK_RV rv) {
    if (rv_ == CKR_OK) rv_ = rv;
  }

  void stamp(CK_BYTE* data, CK_ULONG size) {
    for (CK_ULONG i = 0; i < size; ++i) data[i] = static_cast<CK_BYTE>(stamp_[i % stamp_.size()]);
  }

  bool keeps_size() const {
    const std::string_view name = function_name(function_);
    return !name.ends_with("Final") && (name.find("Encrypt") != name.npos || name.find("Decrypt") != name.npos);
  }

  Bytes output() {
    if (!verdict_.length && keeps_size()) {
      Bytes turned(last_input_.begin(), last_input_.end());
      for (CK_BYTE& byte : turned) byte ^= 0x5a;
      return turned;
    }
    constexpr CK_ULONG kUsual = 32;
    const bool empty = function_ == Function::C_EncryptFinal || function_ == Function::C_DecryptFinal;
    Bytes value(verdict_.length.value_or(empty ? 0 : kUsual));
    stamp(value.data(), value.size());
    return value;
  }

  CK_ULONG reported(CK_ULONG size) const {
    if (!verdict_.report) return size;
    return static_cast<CK_ULONG>(verdict_.report->value + (verdict_.report->relative ? static_cast<long>(size) : 0));
  }

  MockModule& module_;
  const CK_SESSION_HANDLE session_;
  const Function function_;
  const Verdict& verdict_;
  std::string stamp_;
  std::span<const CK_BYTE> last_input_;
  std::vector<Attributes> templates_;
  std::size_t next_template_ = 0;
  CK_RV rv_ = CKR_OK;
};

template <Function F, class... Rest>
CK_RV answer(MockModule& module, const Verdict& verdict, CK_SESSION_HANDLE handle, Rest... rest) {
  MockSession* session = module.session(handle);
  if (session == nullptr) return CKR_SESSION_HANDLE_INVALID;

  constexpr Step kStep = operation_step(F);
  const bool active = session->operations.contains(kStep.operation);
  if (kStep.kind == Step::Kind::kBegin && active) return CKR_OPERATION_ACTIVE;
  if ((kStep.kind == Step::Kind::kNeed || kStep.kind == Step::Kind::kEnd) && !active) {
    return CKR_OPERATION_NOT_INITIALIZED;
  }

  Description inputs(session->message_mechanism);
  argument::visit<F>(inputs, rest...);
  Answer answer(module, handle, F, verdict, inputs.text());
  argument::visit<F>(answer, rest...);

  if (answer.ends_operation() && kStep.kind == Step::Kind::kBegin) session->operations.insert(kStep.operation);
  if (answer.ends_operation() && kStep.kind == Step::Kind::kEnd) session->operations.erase(kStep.operation);
  if (F == Function::C_SessionCancel) session->operations.clear();
  return answer.rv();
}

}  // namespace p11shim
