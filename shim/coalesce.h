// How calls that belong together become one message. An Init whose like has succeeded in this application is answered at
// once and waits; the call that uses it takes it along; a length query is answered as the module answered its like.
// Whatever else might see or change the session's operations, or what Inits depend on, sends what waits first: the module
// then sees every call in the application's order, and says what it would have said.
#pragma once

#include "calls/cancel.h"
#include "shim/application.h"
#include "shim/call_kinds.h"
#include "shim/sessions.h"

namespace p11shim {

inline constexpr std::size_t kMostToWait = 4096;  // bytes of an Init's body: more is not kept with a session

// Part of one call. The order: settle → (answered) → request encoded → (waits) → performed → follow.
class Coalescing {
 public:
  Coalescing(Application& application, CallExchange& exchange) : application_(application), exchange_(exchange) {
    exchange.lead().clear();  // of a call that was left by an exception
    exchange.wanted().clear();
  }
  Coalescing(const Coalescing&) = delete;
  Coalescing& operator=(const Coalescing&) = delete;
  // A call that was left by an exception may have done anything to the operations of its session.
  ~Coalescing() {
    if (session_ != CK_INVALID_HANDLE && !is_done_) doubt(session_);
    if (closing_ != CK_INVALID_HANDLE) application_.sessions().close_failed(closing_);
  }

  // The call returns in good order.
  void done() { is_done_ = true; }

  // Sends what must not wait beyond this call, or takes along what waits for it. Something: the answer of this call.
  template <class Call, class... C>
  std::optional<CK_RV> settle(C... arguments) {
    const auto first = static_cast<CK_ULONG>(std::get<0>(std::tuple(arguments...)));
    if constexpr (Call::policy.operation != Operation::none) session_ = first;
    Unsettled unsettled;
    if constexpr (!Call::policy.slot) unsettled = application_.sessions().wait_until_sent(first);
    if constexpr (kMayWait<Call>) ask_for_page();
    if constexpr (kReadsAttributes<Call>)
      if (answer_attributes(arguments...)) return CKR_OK;
    if constexpr (kReadsSessionInfo<Call>)
      if (answer_session_info(arguments...)) return CKR_OK;
    if constexpr (kReadsMechanismInfo<Call>)
      if (answer_mechanism_info(arguments...)) return CKR_OK;
    if constexpr (kReadsMechanismList<Call>)
      if (answer_mechanism_list(arguments...)) return CKR_OK;
    if constexpr (kReadsSlotList<Call>)
      if (answer_slot_list(arguments...)) return CKR_OK;
    if constexpr (kReadsSlotInfo<Call>)
      if (answer_slot_info(arguments...)) return CKR_OK;
    if constexpr (kReadsTokenInfo<Call>)
      if (answer_token_info(arguments...)) return CKR_OK;
    if constexpr (kOpensSession<Call>)
      if (reopen(first, std::get<1>(std::tuple(arguments...)), std::get<4>(std::tuple(arguments...)))) return CKR_OK;
    if constexpr (kChangesObject<Call>)
      if (is_session_object(std::get<1>(std::tuple(arguments...)))) return settle_change(first), std::nullopt;
    if constexpr (kOpensSession<Call> || kCountsSessions<Call>) close_kept();
    if constexpr (kUnsettlesInits<Call>) {
      forget();
      send_all(false);
      if constexpr (!Call::policy.slot) send(first);  // a search
    } else if constexpr (kClosesSession<Call>) {
      if (application_.sessions().keep(first, slots_generation(0))) return CKR_OK;
      closing_ = first;
      close_kept_with(first);
      send_all(true);
    } else if constexpr (kTakesInit<Call>) {
      if constexpr (kIsPart<Call>)
        if (gather(first, Call::number, std::get<1>(std::tuple(arguments...)), std::get<2>(std::tuple(arguments...))))
          return CKR_OK;
      if (unsettled.parts) send_gathered(first);
      if constexpr (kAnswersLength<Call>)
        if (asks_for_length<Call>(arguments...) && answer_length<Call>(arguments...)) return CKR_OK;
      if constexpr (kUsesMessages<Call> && Call::policy.effect == Effect::ends)
        if (end_messages(first, Call::policy.operation)) return CKR_OK;
      if (unsettled.any())
        if (const auto lost = take(first, Call::policy.operation)) return lost;
      if constexpr (kIsMessage<Call>)
        plan_message(first, Call::policy.operation, !asks_for_length<Call>(arguments...),
                     std::get<1>(std::tuple(arguments...)), std::get<2>(std::tuple(arguments...)));
      else if constexpr (kUsesMessages<Call>) plan_message(first, Call::policy.operation, false, nullptr, 0);
    } else if constexpr (kIgnoresSearch<Call>) {
      if (unsettled.any()) send(first, false);
      if constexpr (kReadsAttributes<Call>) want_attributes(arguments...);
    } else if constexpr (!kIsIndifferent<Call> && !kClosesAll<Call>) {
      if constexpr (Call::policy.operation == Operation::find)
        if (const auto answer = settle_search<Call>(arguments...)) return answer;
      if (Call::policy.operation == Operation::find || unsettled.any()) send(first);
      if constexpr (Call::policy.effect == Effect::continues || Call::policy.effect == Effect::ends)
        if (const auto lost = take_lost(first, Call::policy.operation);
            lost && Call::policy.operation != Operation::any)
          return lost;
    }
    return std::nullopt;
  }

  // After an Init was encoded: it waits, and the application is told CKR_OK.
  template <class Call, class... C>
  bool wait(C... arguments) {
    if constexpr (kMayWait<Call>) {
      const CK_MECHANISM_PTR mechanism = std::get<1>(std::tuple(arguments...));
      return mechanism != nullptr && defer(Call::number, Call::policy.operation, *mechanism);
    } else {
      return false;
    }
  }

  // After the call, whatever became of it.
  template <class Call, class... C>
  void follow(CK_RV rv, C... arguments) {
    const auto first = static_cast<CK_ULONG>(std::get<0>(std::tuple(arguments...)));
    if constexpr (Call::policy.operation == Operation::any ||
                  Call::number == number_of<&CK_FUNCTION_LIST_3_0::C_SetOperationState>()) {
      if constexpr (Call::number == number_of<&CK_FUNCTION_LIST_3_0::C_SessionCancel>()) {
        const Operation cancelled = cancelled_operations(std::get<1>(std::tuple(arguments...)));
        if (rv == CKR_OK && (cancelled & Operation::find) != Operation::none) end_search(first, true);
        if (rv == CKR_OK) return cancel(first, cancelled);
        if (rv == CKR_FUNCTION_NOT_SUPPORTED || rv == CKR_ARGUMENTS_BAD) return;  // nothing has been cancelled
      }
      doubt(first);
    } else if constexpr (Call::policy.operation != Operation::none) {
      if constexpr (kMayWait<Call>) {
        began(first, Call::policy.operation, rv, std::get<1>(std::tuple(arguments...)) == nullptr);
      } else if constexpr (Call::policy.effect == Effect::starts) {
        began(first, Call::policy.operation, rv, false);
      } else {
        const bool is_query = asks_for_length<Call>(arguments...);
        if constexpr (kAnswersLength<Call>)
          if (is_query && rv == CKR_OK)
            learn(first, Call::policy.operation, query_of<Call>(arguments...),
                  *std::get<sizeof...(C) - 1>(std::tuple(arguments...)));
        went_on(first, Call::policy, rv, is_query);
        if constexpr (kIsPart<Call>)
          if (rv == CKR_OK) may_gather(first, Call::number, Call::policy.operation);
      }
    } else if constexpr (kChangesObject<Call>) {
      is_session_object(std::get<1>(std::tuple(arguments...))) ? forget_session_objects() : forget();
    } else if constexpr (kUnsettlesInits<Call>) {
      forget();
    }
  }

  // After a call that succeeded.
  template <class Call, class... C>
  void remember(C... arguments) {
    const std::tuple all(arguments...);
    if constexpr (kClosesSession<Call>) closing_ = CK_INVALID_HANDLE;
    if constexpr (kReadsAttributes<Call>) learn_attributes(arguments...);
    else if constexpr (kReadsSessionInfo<Call>) learn_session_info(std::get<0>(all), *std::get<1>(all));
    else if constexpr (kReadsMechanismInfo<Call>)
      learn_mechanism_info(std::get<0>(all), std::get<1>(all), *std::get<2>(all));
    else if constexpr (kReadsMechanismList<Call>)
      learn_mechanism_list(std::get<0>(all), std::get<1>(all), *std::get<2>(all));
    else if constexpr (kReadsSlotList<Call>) learn_slot_list(std::get<0>(all), std::get<1>(all), *std::get<2>(all));
    else if constexpr (kReadsSlotInfo<Call>) learn_slot_info(std::get<0>(all), *std::get<1>(all));
    else if constexpr (kReadsTokenInfo<Call>) learn_token_info(std::get<0>(all), *std::get<1>(all));
    else if constexpr (kClosesSession<Call> || kClosesAll<Call>) forget_values();
    if constexpr (Call::policy.objects == Objects::creates) application_.remembered().tokens.clear();  // free memory
    if constexpr (Call::policy.objects == Objects::creates || Call::policy.objects == Objects::uses)
      note_session_objects(std::get<0>(all));
  }

 private:
  template <class Call, class... C>
  std::optional<CK_RV> settle_search(C... arguments) {
    const std::tuple all(arguments...);
    const CK_SESSION_HANDLE session = std::get<0>(all);
    if constexpr (Call::policy.effect == Effect::starts) {
      send(session);
      return search(session, std::get<1>(all), std::get<2>(all));
    } else if constexpr (Call::policy.effect == Effect::continues) {
      if (give_found(session, std::get<1>(all), std::get<2>(all), std::get<3>(all))) return CKR_OK;
      return give_page(session, std::get<1>(all), std::get<2>(all), std::get<3>(all));
    } else {
      if (end_search(session, true)) return CKR_OK;
    }
    return std::nullopt;
  }

  // What, beside the Init, the answer to a length query depends on.
  struct Query {
    std::uint32_t call;
    bool has_input;
    CK_ULONG size;
    std::uint64_t message = 0;  // everything else that C_…Message is told; 0: nothing can be said of such a query
    bool is_final = false;      // its operation may have gone on since the Init

    [[nodiscard]] std::uint64_t hash(std::uint64_t init) const {
      return Signature().add(init).add(call).add(has_input).add(size).add(message).value();
    }
  };
  template <class Call, class... C>
  Query query_of(C... arguments) {
    const std::tuple all(arguments...);
    if constexpr (kAnswersMessageLength<Call>) {
      constexpr std::size_t input = sizeof...(C) - 4;
      const std::uint64_t shape =
          message_shape(std::get<0>(all), Call::policy.operation, std::get<1>(all), std::get<2>(all));
      // What stands before the input, if anything, is AAD.
      const std::uint64_t message =
          shape == 0
              ? 0
              : Signature().add(shape).add(std::get<input - 2>(all) != nullptr).add(std::get<input - 1>(all)).value() |
                    1;
      return {Call::number, std::get<input>(all) != nullptr, std::get<input + 1>(all), message};
    } else if constexpr (kAnswersFinalLength<Call>) {
      return {Call::number, false, 0, 1, true};
    } else {
      return {Call::number, std::get<1>(all) != nullptr, std::get<2>(all), 1};
    }
  }

  template <class Call, class... C>
  bool answer_length(C... arguments) {
    const std::tuple all(arguments...);
    const auto length = known_length(std::get<0>(all), Call::policy.operation, query_of<Call>(arguments...));
    if (length) *std::get<sizeof...(C) - 1>(all) = *length;
    return length.has_value();
  }

  std::optional<CK_ULONG> known_length(CK_SESSION_HANDLE session, Operation operation, const Query& query);
  void learn(CK_SESSION_HANDLE session, Operation operation, const Query& query, CK_ULONG length);
  static std::uint64_t running(const SessionOperations& operations, Operation operation);
  void send(CK_SESSION_HANDLE session, bool also_search = true);
  std::optional<CK_RV> search(CK_SESSION_HANDLE session, const CK_ATTRIBUTE* attributes, CK_ULONG count);
  CK_RV perform_search(CK_SESSION_HANDLE session, WaitingInit& init);
  bool give_found(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE_PTR objects, CK_ULONG most, CK_ULONG_PTR count);
  std::optional<CK_RV> give_page(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE_PTR objects, CK_ULONG most,
                                 CK_ULONG_PTR count);
  CK_RV fetch_page(CK_SESSION_HANDLE session, CK_ULONG size);
  bool end_search(CK_SESSION_HANDLE session, bool is_ended);
  void doubt_search(CK_SESSION_HANDLE session);

  bool reopen(CK_SLOT_ID slot, CK_FLAGS flags, CK_SESSION_HANDLE_PTR session);
  void close_kept();
  void close_kept_with(CK_SESSION_HANDLE closing);
  void note_session_objects(CK_SESSION_HANDLE session);

  // coalesce_messages.cpp
  void plan_message(CK_SESSION_HANDLE session, Operation operation, bool whole, const void* parameter, CK_ULONG size);
  bool end_messages(CK_SESSION_HANDLE session, Operation operation);
  void count_messages(SessionOperations& operations, KnownInits& known, const Policy& policy, CK_RV rv, bool is_query);
  std::uint64_t message_shape(CK_SESSION_HANDLE session, Operation operation, const void* parameter, CK_ULONG size);

  // coalesce_updates.cpp
  bool gather(CK_SESSION_HANDLE session, std::uint32_t call, const CK_BYTE* part, CK_ULONG size);
  void may_gather(CK_SESSION_HANDLE session, std::uint32_t call, Operation operation);
  void send_gathered(CK_SESSION_HANDLE session);

  // coalesce_reading.cpp
  std::optional<CK_SLOT_ID> slot_of(CK_SESSION_HANDLE session);
  bool answer_attributes(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE* attributes, CK_ULONG count);
  void want_attributes(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, const CK_ATTRIBUTE* attributes,
                       CK_ULONG count);
  bool answer_session_info(CK_SESSION_HANDLE session, CK_SESSION_INFO* info);
  bool answer_mechanism_info(CK_SLOT_ID slot, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO* info);
  void ask_for_page();
  void asks(CK_SLOT_ID slot);
  std::uint64_t generation(CK_SLOT_ID slot);
  void learn_attributes(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, const CK_ATTRIBUTE* attributes,
                        CK_ULONG count);
  void learn_session_info(CK_SESSION_HANDLE session, const CK_SESSION_INFO& info);
  void learn_mechanism_info(CK_SLOT_ID slot, CK_MECHANISM_TYPE type, const CK_MECHANISM_INFO& info);

  // coalesce_tokens.cpp
  bool answer_mechanism_list(CK_SLOT_ID slot, CK_MECHANISM_TYPE_PTR list, CK_ULONG_PTR count);
  bool answer_slot_list(CK_BBOOL with_token, CK_SLOT_ID_PTR list, CK_ULONG_PTR count);
  bool answer_slot_info(CK_SLOT_ID slot, CK_SLOT_INFO* info);
  bool answer_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO* info);
  void learn_mechanism_list(CK_SLOT_ID slot, const CK_MECHANISM_TYPE* list, CK_ULONG count);
  void learn_slot_list(CK_BBOOL with_token, const CK_SLOT_ID* list, CK_ULONG count);
  void learn_slot_info(CK_SLOT_ID slot, const CK_SLOT_INFO& info);
  void learn_token_info(CK_SLOT_ID slot, const CK_TOKEN_INFO& info);
  void asks_stamped(std::uint64_t (Coalescing::*moving)(CK_SLOT_ID), CK_SLOT_ID slot);
  std::uint64_t slots_generation(CK_SLOT_ID);
  std::uint64_t token_generation(CK_SLOT_ID slot);
  void forget_values() { application_.remembered().clear(); }
  void send_all(bool only_session_objects);
  void forget();
  void forget_session_objects();
  void settle_change(CK_SESSION_HANDLE session);
  std::optional<CK_RV> take(CK_SESSION_HANDLE session, Operation operation);
  std::optional<CK_RV> take_lost(CK_SESSION_HANDLE session, Operation operation);
  void send_if_other(CK_SESSION_HANDLE session, Operation operation);
  bool defer(std::uint32_t call, Operation operation, const CK_MECHANISM& mechanism);
  void began(CK_SESSION_HANDLE session, Operation operation, CK_RV rv, bool cancels);
  void went_on(CK_SESSION_HANDLE session, const Policy& policy, CK_RV rv, bool is_query);
  void doubt(CK_SESSION_HANDLE session);
  void cancel(CK_SESSION_HANDLE session, Operation cancelled);

  Application& application_;
  CallExchange& exchange_;
  std::uint64_t signature_ = 0;  // of the Init that this call is
  std::uint64_t epoch_ = 0;
  std::uint64_t generation_ = 0;                   // of the slot, before this call was sent
  CK_SESSION_HANDLE session_ = CK_INVALID_HANDLE;  // whose operations this call is about
  CK_SESSION_HANDLE closing_ = CK_INVALID_HANDLE;  // counts as closed, and is not yet
  bool is_done_ = false;
  std::optional<Stamp> asked_;
  std::uint64_t asked_sessions_ = 0;  // Sessions::changes() then
};

}  // namespace p11shim
