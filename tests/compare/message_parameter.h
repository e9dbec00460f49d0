// Parameters of the 3.0 message functions: structures through which a module writes IVs, nonces and tags back.
#pragma once

#include <list>

#include "arguments.h"

namespace p11shim::compare {

class MessageParameter {
 public:
  // An IV of which the module generates the part after the first `fixed_bits`, unless `generator` says no.
  static MessageParameter gcm(const Bytes& iv, CK_ULONG fixed_bits, CK_GENERATOR_FUNCTION generator,
                              const Bytes& tag = Bytes(16));
  static MessageParameter ccm(const Bytes& nonce, CK_ULONG data_length, const Bytes& mac = Bytes(16));
  static MessageParameter chacha20(const Bytes& nonce, const Bytes& tag = Bytes(16));
  static MessageParameter flat(const Bytes& bytes);

  auto c() { return std::make_tuple(static_cast<void*>(memory_.data()), static_cast<CK_ULONG>(memory_.size())); }
  void show(Json& in, const Names&) const;
  void report(Report& report) const;

  Bytes iv() const { return buffers_.front().front(buffers_.front().size()); }
  Bytes tag() const { return buffers_.back().front(buffers_.back().size()); }

 private:
  template <class Parameter>
  void hold(const Parameter& parameter);
  CK_BYTE* add(const Bytes& bytes);

  Bytes memory_;
  std::list<GuardedBuffer> buffers_;  // the IV or nonce, then the tag
};

}  // namespace p11shim::compare
