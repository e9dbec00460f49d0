// An exchange that carries real frames to a function list in the same process: what shim and lane do, without
// a socket.
#pragma once

#include "calls/serve.h"
#include "calls/stub.h"

namespace p11shim {

class LoopbackExchange final : public Exchange {
 public:
  explicit LoopbackExchange(const CK_FUNCTION_LIST_3_0& module) : module_(module) {}

  Request& request() override { return request_; }
  Buffer& body() override { return body_; }
  Reply& reply() override { return reply_; }
  [[nodiscard]] CK_RV failure() const override { return CKR_DEVICE_ERROR; }
  void reject_reply() override { rejected = true; }

  bool perform() override {
    request_frame.clear();
    write_request_head(request_frame, request_);
    request_frame.append(request_.body.data(), request_.body.size());
    Request received;
    if (!read_request(request_frame.bytes().subspan(kLengthPrefix), received)) return false;
    In in(received.body);
    RequestReader from{in, received.handles, arena_};
    Buffer reply_body;
    Out out(reply_body);
    Reply given;
    const Served served = kHandlers[received.call](module_, from, out, given.handles);
    well_formed = served.well_formed;
    if (!well_formed) return false;
    given.rv = served.rv;
    given.body = reply_body.bytes();
    write_reply_head(reply_frame, given);
    reply_frame.append(reply_body.data(), reply_body.size());
    return read_reply(reply_frame.bytes().subspan(kLengthPrefix), reply_);
  }

  Buffer request_frame, reply_frame;
  bool well_formed = false;
  bool rejected = false;

 private:
  const CK_FUNCTION_LIST_3_0& module_;
  Request request_;
  Reply reply_;
  Buffer body_;
  Arena arena_;
};

}  // namespace p11shim
