#include "message_parameter.h"
#include "recorder_call.h"

namespace p11shim::compare {
namespace {

// (pointer, length) of a message parameter that may be missing.
struct ParameterArgument {
  MessageParameter* parameter;
  auto c() { return parameter ? parameter->c() : std::make_tuple(static_cast<void*>(nullptr), CK_ULONG{0}); }
  void show(Json& in, const Names& names) const {
    if (parameter) parameter->show(in, names);
  }
  void report(Report& report) const {
    if (parameter) parameter->report(report);
  }
};

}  // namespace

CK_RV Recorder::message_encrypt_init(Session session, Mechanism* mechanism, Object key) {
  const CK_RV rv = call(P11_V3(C_MessageEncryptInit), session_argument(session), MechanismArgument{mechanism},
                        object_argument(key, "key"));
  start(rv, session, Activity::kMessageEncrypt, mechanism, key);
  return rv;
}

Outcome Recorder::encrypt_message(Session session, MessageParameter* parameter, Input aad, Input data, Room room) {
  OutputArgument output("output", room);
  blur_this_call_ = blurred(session, Activity::kMessageEncrypt);
  const CK_RV rv = call(P11_V3(C_EncryptMessage), session_argument(session), ParameterArgument{parameter},
                        InputArgument{"aad", aad}, InputArgument{"data", output.over(data)}, output);
  return {rv, output.length(), output.bytes()};
}

CK_RV Recorder::encrypt_message_begin(Session session, MessageParameter* parameter, Input aad) {
  return call(P11_V3(C_EncryptMessageBegin), session_argument(session), ParameterArgument{parameter},
              InputArgument{"aad", aad});
}

Outcome Recorder::encrypt_message_next(Session session, MessageParameter* parameter, Input part, Room room,
                                       CK_FLAGS flags) {
  OutputArgument output("output", room);
  blur_this_call_ = blurred(session, Activity::kMessageEncrypt);
  const CK_RV rv = call(P11_V3(C_EncryptMessageNext), session_argument(session), ParameterArgument{parameter},
                        InputArgument{"data", output.over(part)}, output, Plain<CK_FLAGS>{"flags", flags});
  return {rv, output.length(), output.bytes()};
}

CK_RV Recorder::message_encrypt_final(Session session) {
  return call(P11_V3(C_MessageEncryptFinal), session_argument(session));
}

CK_RV Recorder::message_decrypt_init(Session session, Mechanism* mechanism, Object key) {
  const CK_RV rv = call(P11_V3(C_MessageDecryptInit), session_argument(session), MechanismArgument{mechanism},
                        object_argument(key, "key"));
  start(rv, session, Activity::kMessageDecrypt, mechanism, key);
  return rv;
}

Outcome Recorder::decrypt_message(Session session, MessageParameter* parameter, Input aad, Input data, Room room) {
  OutputArgument output("output", room);
  blur_this_call_ = blurred(session, Activity::kMessageDecrypt);
  const CK_RV rv = call(P11_V3(C_DecryptMessage), session_argument(session), ParameterArgument{parameter},
                        InputArgument{"aad", aad}, InputArgument{"data", output.over(data)}, output);
  return {rv, output.length(), output.bytes()};
}

CK_RV Recorder::decrypt_message_begin(Session session, MessageParameter* parameter, Input aad) {
  return call(P11_V3(C_DecryptMessageBegin), session_argument(session), ParameterArgument{parameter},
              InputArgument{"aad", aad});
}

Outcome Recorder::decrypt_message_next(Session session, MessageParameter* parameter, Input part, Room room,
                                       CK_FLAGS flags) {
  OutputArgument output("output", room);
  blur_this_call_ = blurred(session, Activity::kMessageDecrypt);
  const CK_RV rv = call(P11_V3(C_DecryptMessageNext), session_argument(session), ParameterArgument{parameter},
                        InputArgument{"data", output.over(part)}, output, Plain<CK_FLAGS>{"flags", flags});
  return {rv, output.length(), output.bytes()};
}

CK_RV Recorder::message_decrypt_final(Session session) {
  return call(P11_V3(C_MessageDecryptFinal), session_argument(session));
}

CK_RV Recorder::message_sign_init(Session session, Mechanism* mechanism, Object key) {
  const CK_RV rv = call(P11_V3(C_MessageSignInit), session_argument(session), MechanismArgument{mechanism},
                        object_argument(key, "key"));
  start(rv, session, Activity::kSign, mechanism, key);
  return rv;
}

Outcome Recorder::sign_message(Session session, MessageParameter* parameter, Input data, Room room) {
  OutputArgument output("output", room);
  blur_this_call_ = blurred(session, Activity::kSign);
  const CK_RV rv = call(P11_V3(C_SignMessage), session_argument(session), ParameterArgument{parameter},
                        InputArgument{"data", data}, output);
  return {rv, output.length(), output.bytes()};
}

CK_RV Recorder::sign_message_begin(Session session, MessageParameter* parameter) {
  return call(P11_V3(C_SignMessageBegin), session_argument(session), ParameterArgument{parameter});
}

Outcome Recorder::sign_message_next(Session session, MessageParameter* parameter, Input part, Room room) {
  OutputArgument output("output", room);
  blur_this_call_ = blurred(session, Activity::kSign);
  const CK_RV rv = call(P11_V3(C_SignMessageNext), session_argument(session), ParameterArgument{parameter},
                        InputArgument{"data", part}, output);
  return {rv, output.length(), output.bytes()};
}

CK_RV Recorder::message_sign_final(Session session) {
  return call(P11_V3(C_MessageSignFinal), session_argument(session));
}

CK_RV Recorder::message_verify_init(Session session, Mechanism* mechanism, Object key) {
  return call(P11_V3(C_MessageVerifyInit), session_argument(session), MechanismArgument{mechanism},
              object_argument(key, "key"));
}

CK_RV Recorder::verify_message(Session session, MessageParameter* parameter, Input data, Input signature) {
  return call(P11_V3(C_VerifyMessage), session_argument(session), ParameterArgument{parameter},
              InputArgument{"data", data}, InputArgument{"signature", signature});
}

CK_RV Recorder::verify_message_begin(Session session, MessageParameter* parameter) {
  return call(P11_V3(C_VerifyMessageBegin), session_argument(session), ParameterArgument{parameter});
}

CK_RV Recorder::verify_message_next(Session session, MessageParameter* parameter, Input part, Input signature) {
  return call(P11_V3(C_VerifyMessageNext), session_argument(session), ParameterArgument{parameter},
              InputArgument{"data", part}, InputArgument{"signature", signature});
}

CK_RV Recorder::message_verify_final(Session session) {
  return call(P11_V3(C_MessageVerifyFinal), session_argument(session));
}

}  // namespace p11shim::compare
