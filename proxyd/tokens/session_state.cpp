#include "proxyd/tokens/session_state.h"

#include "calls/infos.h"
#include "calls/table.h"
#include "proxyd/tokens/errand.h"

namespace p11shim {

void ask_whether_logged_in(Place& place, std::function<void(bool is_logged_in)> then) {
  Errand::call(
      place, number_of<&CK_FUNCTION_LIST_3_0::C_GetSessionInfo>(), {}, false, {},
      [then = std::move(then)](Reply* reply) {
        if (reply == nullptr || reply->rv != CKR_OK) return then(false);
        In in(reply->body);
        CK_SESSION_INFO info{};
        read_info(in, info);
        then(in.ok() && (info.state == CKS_RO_USER_FUNCTIONS || info.state == CKS_RW_USER_FUNCTIONS));
      },
      place.worker.generation());
}

}  // namespace p11shim
