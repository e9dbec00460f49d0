// Stands in for proxyd-worker: answers on its first lane, one call at a time. Its sessions are numbered; it opens as many at
// a time as FAKE_SESSIONS says and then answers CKR_SESSION_COUNT. C_WaitForSlotEvent ends it.
#include <unistd.h>

#include <cstdlib>
#include <set>

#include "calls/lane_calls.h"
#include "calls/table.h"

namespace {

using namespace p11shim;
using List = CK_FUNCTION_LIST_3_0;

constexpr int kIn = 4, kOut = 5;  // 3 is for areas

bool read_fully(std::uint8_t* to, std::size_t size) {
  while (size != 0) {
    const ssize_t count = ::read(kIn, to, size);
    if (count <= 0) return false;
    to += count;
    size -= static_cast<std::size_t>(count);
  }
  return true;
}

std::set<std::uint64_t> sessions;
std::uint64_t next_session = 1;

CK_RV open_session(Reply& reply) {
  const char* most = std::getenv("FAKE_SESSIONS");
  if (most != nullptr && sessions.size() >= std::strtoul(most, nullptr, 10)) return CKR_SESSION_COUNT;
  sessions.insert(next_session);
  reply.handles.add(next_session++);
  return CKR_OK;
}

CK_RV answer(const Request& request, Reply& reply, Buffer& body) {
  Out out(body);
  switch (request.call) {
    case static_cast<std::uint32_t>(LaneCall::load): {
      LoadedModule loaded;
      loaded.has_3_0 = true;
      write_loaded_module(out, loaded);
      return CKR_OK;
    }
    case static_cast<std::uint32_t>(LaneCall::list_slots): write_slots(out, {SlotEntry{}}); return CKR_OK;
    case number_of<&List::C_OpenSession>(): return open_session(reply);
    case number_of<&List::C_CloseSession>():
      return sessions.erase(request.handles[0]) == 1 ? CKR_OK : CKR_SESSION_HANDLE_INVALID;
    case number_of<&List::C_WaitForSlotEvent>(): std::_Exit(1);
    default: return CKR_FUNCTION_NOT_SUPPORTED;
  }
}

}  // namespace

int main() {
  for (;;) {
    std::uint8_t prefix[kLengthPrefix];
    if (!read_fully(prefix, sizeof prefix)) return 0;
    std::vector<std::uint8_t> frame(load_length(prefix));
    Request request;
    if (!read_fully(frame.data(), frame.size()) || !read_request(frame, request)) return 1;
    Reply reply;
    Buffer body, head;
    reply.id = request.id;
    reply.rv = answer(request, reply, body);
    reply.body = body.bytes();
    write_reply_head(head, reply);
    head.append(body.data(), body.size());
    if (::write(kOut, head.data(), head.size()) != static_cast<ssize_t>(head.size())) return 1;
  }
}
