#include "message_parameter.h"

#include <cstring>

namespace p11shim::compare {

CK_BYTE* MessageParameter::add(const Bytes& bytes) {
  GuardedBuffer& buffer = buffers_.emplace_back(bytes.size());
  buffer.preset(bytes);
  return buffer.data();
}

template <class Parameter>
void MessageParameter::hold(const Parameter& parameter) {
  memory_.resize(sizeof parameter);
  std::memcpy(memory_.data(), &parameter, sizeof parameter);
}

MessageParameter MessageParameter::gcm(const Bytes& iv, CK_ULONG fixed_bits, CK_GENERATOR_FUNCTION generator,
                                       const Bytes& tag) {
  MessageParameter made;
  CK_GCM_MESSAGE_PARAMS parameter{};
  parameter.pIv = made.add(iv);
  parameter.ulIvLen = static_cast<CK_ULONG>(iv.size());
  parameter.ulIvFixedBits = fixed_bits;
  parameter.ivGenerator = generator;
  parameter.pTag = made.add(tag);
  parameter.ulTagBits = static_cast<CK_ULONG>(tag.size()) * 8;
  made.hold(parameter);
  return made;
}

MessageParameter MessageParameter::ccm(const Bytes& nonce, CK_ULONG data_length, const Bytes& mac) {
  MessageParameter made;
  CK_CCM_MESSAGE_PARAMS parameter{};
  parameter.ulDataLen = data_length;
  parameter.pNonce = made.add(nonce);
  parameter.ulNonceLen = static_cast<CK_ULONG>(nonce.size());
  parameter.pMAC = made.add(mac);
  parameter.ulMACLen = static_cast<CK_ULONG>(mac.size());
  made.hold(parameter);
  return made;
}

MessageParameter MessageParameter::chacha20(const Bytes& nonce, const Bytes& tag) {
  MessageParameter made;
  CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS parameter{};
  parameter.pNonce = made.add(nonce);
  parameter.ulNonceLen = static_cast<CK_ULONG>(nonce.size());
  parameter.pTag = made.add(tag);
  made.hold(parameter);
  return made;
}

MessageParameter MessageParameter::flat(const Bytes& bytes) {
  MessageParameter made;
  made.add({});
  made.memory_ = bytes;
  return made;
}

void MessageParameter::show(Json& in, const Names&) const {
  in["iv"] = to_hex(iv());
  in["tag"] = to_hex(tag());
}

void MessageParameter::report(Report& report) const {
  // Also on errors: what a module leaves alone must stay alone.
  for (const GuardedBuffer& buffer : buffers_)
    if (!buffer.guards_intact()) report.out["parameter.overrun"] = true;
  if (report.blurred) return;
  report.out["iv"] = to_hex(iv());
  report.out["tag"] = to_hex(tag());
}

}  // namespace p11shim::compare
