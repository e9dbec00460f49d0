#include "proxyd/workers/lane_job.h"

#include "calls/table.h"
#include "proxyd/workers/worker.h"

namespace p11shim {

void OwnCall::start(Worker& worker, std::uint32_t call, std::span<const std::uint64_t> handles, Buffer body,
                    Done done) {
  const CallInfo* info = call_info(call);
  auto* own = new OwnCall(info != nullptr && info->policy.slow, std::move(body), std::move(done));
  Request request;
  request.call = call;
  for (const std::uint64_t handle : handles) request.handles.add(handle);
  request.body = own->body_bytes_.bytes();
  own->head_.mark_secret();  // a small body is sent from it
  write_request_head(own->head_, request);
  own->body_ = own->body_bytes_.bytes();
  worker.submit(*own);
}

void OwnCall::on_reply(Reply& reply) {
  done_(&reply);
  delete this;
}

void OwnCall::on_failure(JobFailure) {
  done_(nullptr);
  delete this;
}

}  // namespace p11shim
