// A search is one message: C_FindObjectsInit goes out as C_FindObjects with its Init in front, which gives the whole result
// and leaves nothing behind in the module. For the application the search is active until C_FindObjectsFinal, and so it is
// here: its Init waits, as one whose answer is known, and is sent if anything comes that could tell the difference. A search
// that finds more than one message carries stays active in proxyd and in the module, and is read in pages.
#include <algorithm>

#include "calls/templates.h"
#include "calls/values.h"
#include "shim/coalesce.h"

namespace p11shim {
namespace {

constexpr auto kFindObjectsInit = number_of<&CK_FUNCTION_LIST_3_0::C_FindObjectsInit>();
constexpr auto kFindObjects = number_of<&CK_FUNCTION_LIST_3_0::C_FindObjects>();
constexpr CK_ULONG kPage = 8192;

// A template that names key material travels alone and is not kept.
bool may_be_kept(const CK_ATTRIBUTE* attributes, CK_ULONG count) {
  if (attributes == nullptr && count != 0) return false;
  return std::all_of(attributes, attributes + count, [](const CK_ATTRIBUTE& attribute) {
    return attribute.type != CKA_VALUE && may_come_along(attribute.type);
  });
}

}  // namespace

std::optional<CK_RV> Coalescing::search(CK_SESSION_HANDLE session, const CK_ATTRIBUTE* attributes, CK_ULONG count) {
  end_search(session, false);
  if (!may_be_kept(attributes, count)) return std::nullopt;
  const bool is_free =
      application_.sessions().with(session, [](SessionOperations& operations, KnownInits&, const OpenSession&) {
        return operations.waiting.call == 0 &&
               (operations.active | operations.in_doubt | operations.lost) == Operation::none;
      });
  if (!is_free) return std::nullopt;
  WaitingInit& init = exchange_.lead();
  init.call = kFindObjectsInit;
  init.operation = Operation::find;
  Out tmpl(init.body);
  encode_template(tmpl, attributes, count);
  exchange_.begin(application_.config().deadline);
  if (init.body.size() > kMostToWait || !application_.connect(exchange_)) {
    exchange_.end(false);
    return std::nullopt;
  }
  const auto slot = slot_of(session);
  if (slot) asks(*slot);
  application_.remembered().values.wanted(exchange_.wanted());
  exchange_.request().call = kFindObjects;
  exchange_.request().handles.add(session);
  Out(exchange_.body()).uint(limits::kMaxSearch);
  exchange_.request().body = exchange_.body().bytes();
  const CK_RV rv = perform_search(session, init);
  if (rv == CKR_OK && slot) application_.remembered().values.take(*slot, exchange_.reply().values, *asked_);
  exchange_.end(false);
  return rv;
}

CK_RV Coalescing::perform_search(CK_SESSION_HANDLE session, WaitingInit& init) {
  if (!exchange_.perform()) {
    const CK_RV rv = exchange_.failure();
    if (!exchange_.init_failed() || rv == CKR_OPERATION_ACTIVE) doubt_search(session);
    return rv;
  }
  Reply& reply = exchange_.reply();
  In in(reply.body);
  const bool is_over = reply.rv == CKR_OK && in.boolean();
  if (reply.rv != CKR_OK || !in.done()) {
    doubt_search(session);
    if (reply.rv != CKR_OK) return reply.rv;
    exchange_.reject_reply();
    return exchange_.failure();
  }
  application_.sessions().with(session, [&](SessionOperations& operations, KnownInits& known, const OpenSession&) {
    if (!is_over) {
      operations.found.clear();
      operations.found_next = 0;
      operations.has_found = operations.is_last_page = false;
      operations.in_pages = true;
      return operation_began(operations, Operation::find, 0, 0);
    }
    operations.in_pages = false;
    operations.found.assign(reply.handles.begin(), reply.handles.end());
    operations.found_next = 0;
    operations.has_found = true;
    operations.lost = Operation::none;
    drop_waiting(operations, known);
    operations.waiting.swap(init);
  });
  return CKR_OK;
}

bool Coalescing::give_found(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE_PTR objects, CK_ULONG most,
                            CK_ULONG_PTR count) {
  return application_.sessions().with(session, [&](SessionOperations& operations, KnownInits&, const OpenSession&) {
    if (!operations.has_found) return false;
    *count = std::min<CK_ULONG>(most, operations.found.size() - operations.found_next);
    const auto next = operations.found.begin() + static_cast<std::ptrdiff_t>(operations.found_next);
    std::copy_n(next, *count, objects);
    operations.found_next += *count;
    return true;
  });
}

// Nothing: there is no such search, and proxyd is asked. Otherwise as many as there are, but no more than `most`, with a page
// more where that is needed to tell.
std::optional<CK_RV> Coalescing::give_page(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE_PTR objects, CK_ULONG most,
                                           CK_ULONG_PTR count) {
  struct Pages {
    bool are_read = false;
    CK_ULONG missing = 0;
  };
  const auto pages =
      application_.sessions().with(session, [&](SessionOperations& operations, KnownInits&, const OpenSession&) {
        if (!operations.in_pages || (operations.active & Operation::find) == Operation::none) return Pages{};
        const CK_ULONG left = operations.found.size() - operations.found_next;
        return Pages{true, operations.is_last_page || left >= most ? 0 : most - left};
      });
  if (!pages.are_read) return std::nullopt;
  const CK_RV rv = pages.missing == 0 ? CKR_OK : fetch_page(session, std::max(kPage, pages.missing));
  return application_.sessions().with(
      session, [&](SessionOperations& operations, KnownInits&, const OpenSession&) -> std::optional<CK_RV> {
        const CK_ULONG left = operations.found.size() - operations.found_next;
        if (rv != CKR_OK && left == 0) {
          operations.in_pages = false;
          operations.in_doubt = operations.in_doubt | Operation::find;
          return rv;
        }
        *count = std::min(most, left);
        std::copy_n(operations.found.begin() + static_cast<std::ptrdiff_t>(operations.found_next), *count, objects);
        operations.found_next += *count;
        return CKR_OK;
      });
}

CK_RV Coalescing::fetch_page(CK_SESSION_HANDLE session, CK_ULONG size) {
  size = std::min<CK_ULONG>(size, limits::kMaxHandles);
  exchange_.begin(application_.config().deadline);
  exchange_.request().call = kFindObjects;
  exchange_.request().handles.add(session);
  Out(exchange_.body()).uint(size);
  exchange_.request().body = exchange_.body().bytes();
  CK_RV rv = CKR_DEVICE_ERROR;
  if (application_.connect(exchange_)) rv = exchange_.perform() ? exchange_.reply().rv : exchange_.failure();
  if (rv == CKR_OK) {
    const auto& page = exchange_.reply().handles;
    application_.sessions().with(session, [&](SessionOperations& operations, KnownInits&, const OpenSession&) {
      const auto given = operations.found.begin() + static_cast<std::ptrdiff_t>(operations.found_next);
      operations.found.erase(operations.found.begin(), given);
      operations.found_next = 0;
      operations.found.insert(operations.found.end(), page.begin(), page.end());
      operations.is_last_page = page.size() < size;
    });
  }
  exchange_.end(false);
  return rv;
}

// True: that is all, since the module knows of no search. `is_ended`: by the application; otherwise only what is left over from
// a search that the module has ended.
bool Coalescing::end_search(CK_SESSION_HANDLE session, bool is_ended) {
  return application_.sessions().with(
      session, [&](SessionOperations& operations, KnownInits& known, const OpenSession&) {
        if (is_ended && operations.in_pages) {
          operations.in_pages = false;
          operations.found.clear();
        }
        if (!operations.has_found) return false;
        const bool is_here = operations.waiting.operation == Operation::find && operations.waiting.call != 0;
        const bool is_lost = (operations.lost & Operation::find) != Operation::none;
        if (!is_ended && (is_here || (operations.active & Operation::find) != Operation::none)) return false;
        if (is_here) drop_waiting(operations, known);
        if (is_lost) operations.lost = Operation::none;
        operations.has_found = false;
        operations.found.clear();
        return is_here || is_lost;
      });
}

void Coalescing::doubt_search(CK_SESSION_HANDLE session) {
  application_.sessions().with(session, [](SessionOperations& operations, KnownInits&, const OpenSession&) {
    operations.in_doubt = operations.in_doubt | Operation::find;
  });
}

}  // namespace p11shim
