// Sends a mechanism from an application to a worker and back, through bytes.
#pragma once

#include "calls/mechanism_codec.h"

namespace p11shim {

class SentMechanism {
 public:
  // What a module would be called with. Valid until the next call; check ok() first.
  const CK_MECHANISM& send(const CK_MECHANISM& mechanism) {
    request_.clear();
    handles_.clear();
    arena_.clear();
    Out out(request_);
    encode_mechanism(out, handles_, mechanism);
    In in(request_.bytes());
    decode_mechanism(in, handles_, arena_, received_);
    ok_ = in.done() && handles_.done();
    return received_;
  }
  // After the module has written into its structs.
  void send_back(const CK_MECHANISM& mechanism) {
    Buffer reply;
    Out out(reply);
    Handles handles;
    encode_mechanism_outputs(out, handles, received_);
    In in(reply.bytes());
    decode_mechanism_outputs(in, handles, mechanism);
    ok_ = in.done() && handles.done();
  }
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] const Handles& handles() const { return handles_; }
  [[nodiscard]] const Buffer& request() const { return request_; }
  template <class S>
  S& parameter() {
    return *static_cast<S*>(received_.pParameter);
  }

 private:
  Buffer request_;
  Handles handles_;
  Arena arena_;
  CK_MECHANISM received_{};
  bool ok_ = false;
};

}  // namespace p11shim
