// A line in proxyd's log for each call, at level debug. It may say what the audit log may: names, handles, sizes of data,
// never a PIN, data or a value.
#include <spdlog/spdlog.h>

#include "pkcs11/names.h"
#include "proxyd/calls/auditing.h"
#include "proxyd/calls/client_call.h"
#include "wire/hex.h"

namespace p11shim {

void ClientCall::log(CK_RV rv, std::span<const std::uint8_t> reply_body) const {
  spdlog::logger& log = services_.runtime.log;
  if (!log.should_log(spdlog::level::debug)) return;
  std::string text;
  if (request_.init != 0) text = std::string(call_info(request_.init)->name) + " and ";
  text += info_->name;
  if (request_.has_mechanism) text += ", " + display(NameKind::ckm, request_.mechanism);
  if (info_->policy.audit == AuditClass::use)  // elsewhere it could be a PIN's
    text += ", " + std::to_string(data_size(request_.body)) + " bytes in, " + std::to_string(data_size(reply_body)) +
            " out";
  text += ": " + (reply_.init_rv != CKR_OK ? "the first " + display(NameKind::ckr, reply_.init_rv)
                                           : display(NameKind::ckr, rv));
  if (pool_ != nullptr) text += " in " + pool_->config.name;
  if (place_ != nullptr) text += '/' + place_->member->name();
  log.debug("{}; {} µs, {} µs of them in the module; pid {}, trace {}", text, (uv_hrtime() - started_ns_) / 1000,
            hsm_us_, application_->peer ? static_cast<long>(application_->peer->pid) : 0L, hex_digits(request_.trace));
}

}  // namespace p11shim
