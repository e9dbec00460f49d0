#include "proxyd/tokens/refused_pins.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "proxyd/tokens/member.h"
#include "wire/out.h"

namespace p11shim {

Identity RefusedPins::hash(const Member& member, PinOf of, const Buffer& pin, const Buffer& user_name) const {
  Buffer message;
  message.mark_secret();
  const std::string who = (of == PinOf::so ? "refused SO PIN\n" : "refused PIN\n") + member.name() + "\n";
  message.append(who.data(), who.size());
  message.append(pin.data(), pin.size());
  message.append(user_name.data(), user_name.size());
  Identity digest{};
  const HandleKey& key = state_.handle_key();
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), message.data(), message.size(), digest.data(), nullptr);
  return digest;
}

void RefusedPins::remember(const Member& member, PinOf of, const Identity& hash) {
  state_.remember_refused(hash, member.name(), of);
}

void RefusedPins::forget(const Member& member, PinOf of) { state_.forget_refused(member.name(), of); }

bool RefusedPins::any(const Member& member, PinOf of) const { return state_.has_refused(member.name(), of); }

Buffer next_secret(In& in) {
  Buffer copy;
  Out out(copy);
  out.mark_secret();
  if (in.next_is_uint()) out.uint(in.uint());
  else out.bin(in.bin(limits::kMaxPin));
  return copy;
}

bool is_null_pin(const Buffer& encoded) { return In(encoded.bytes()).next_is_uint(); }

}  // namespace p11shim
