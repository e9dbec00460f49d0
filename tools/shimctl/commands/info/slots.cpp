#include "tools/shimctl/commands/info/slots.h"

#include "tools/shimctl/output/present.h"
#include "tools/shimctl/token/token_access.h"

namespace p11shim {

namespace {

Value count_of(CK_ULONG count) {
  if (count == CK_UNAVAILABLE_INFORMATION) return {};
  return count == CK_EFFECTIVELY_INFINITE ? Value("unlimited") : Value(count);
}

Value memory(CK_ULONG bytes) { return bytes == CK_UNAVAILABLE_INFORMATION ? Value() : Value(bytes); }

Value token_value(CK_SLOT_ID slot, const CK_TOKEN_INFO& info) {
  Value token;
  token.set("slot", slot).set("label", padded_text(info.label)).set("serial", padded_text(info.serialNumber));
  token.set("manufacturer", padded_text(info.manufacturerID)).set("model", padded_text(info.model));
  token.set("hardware_version", version_text(info.hardwareVersion));
  token.set("firmware_version", version_text(info.firmwareVersion));
  token.set("initialized", (info.flags & CKF_TOKEN_INITIALIZED) != 0);
  token.set("login_required", (info.flags & CKF_LOGIN_REQUIRED) != 0);
  token.set("user_pin_set", (info.flags & CKF_USER_PIN_INITIALIZED) != 0);
  token.set("flags", flag_names(NameKind::ckf_token, info.flags));
  token.set("pin_length", Value(Value::Record{{"min", info.ulMinPinLen}, {"max", info.ulMaxPinLen}}));
  token.set("sessions", Value(Value::Record{{"open", count_of(info.ulSessionCount)},
                                            {"max", count_of(info.ulMaxSessionCount)},
                                            {"open_rw", count_of(info.ulRwSessionCount)},
                                            {"max_rw", count_of(info.ulMaxRwSessionCount)}}));
  token.set("memory", Value(Value::Record{{"public_free", memory(info.ulFreePublicMemory)},
                                          {"public_total", memory(info.ulTotalPublicMemory)},
                                          {"private_free", memory(info.ulFreePrivateMemory)},
                                          {"private_total", memory(info.ulTotalPrivateMemory)}}));
  return token;
}

}  // namespace

Value flag_names(NameKind kind, CK_FLAGS flags) {
  Value names = Value::List{};
  for (const Name& flag : all(kind)) {
    if ((flags & flag.value) == 0) continue;
    names.push_back(flag.text.substr(std::string_view("CKF_").size()));
    flags &= ~flag.value;
  }
  if (flags != 0) names.push_back(hexadecimal(flags, 1));
  return names;
}

ExitCode show_info(const Invocation& invocation, const NoOptions&) {
  TokenAccess access(invocation);
  const Module& module = access.module();
  const CK_INFO info = module.info();
  Report report{.name = "info"};
  report.data.set("module", module.path()).set("through_proxyd", access.goes_through_proxyd());
  report.data.set("manufacturer", padded_text(info.manufacturerID));
  report.data.set("description", padded_text(info.libraryDescription));
  report.data.set("library_version", version_text(info.libraryVersion));
  report.data.set("cryptoki_version", version_text(info.cryptokiVersion));
  report.data.set("interface", module.v3() == nullptr ? "2.40" : version_text(module.v3()->version));
  report.data.set("slots", module.slots(false).size()).set("tokens", module.slots(true).size());
  present(invocation, report);
  return ExitCode::kOk;
}

ExitCode list_slots(const Invocation& invocation, const NoOptions&) {
  TokenAccess access(invocation);
  const Module& module = access.module();
  Report report{.name = "slot.list",
                .rows_key = "slots",
                .columns = {{"SLOT", "slot", Align::kRight},
                            {"TOKEN", "token"},
                            {"DESCRIPTION", "description"},
                            {"MANUFACTURER", "manufacturer"},
                            {"FLAGS", "flags"}},
                .if_empty = "no slots"};
  const auto slots = module.slots(false);
  const Page page = page_of(invocation, slots.size());
  for (std::size_t i = page.begin; i < page.end; ++i) {
    const auto info = module.slot_info(slots[i]);
    Value token;
    if ((info.flags & CKF_TOKEN_PRESENT) != 0) {
      const auto present = module.token_info(slots[i]);
      if ((present.flags & CKF_TOKEN_INITIALIZED) != 0) token = padded_text(present.label);
    }
    Value row;
    row.set("slot", slots[i]).set("token", token).set("description", padded_text(info.slotDescription));
    row.set("manufacturer", padded_text(info.manufacturerID));
    row.set("hardware_version", version_text(info.hardwareVersion));
    row.set("firmware_version", version_text(info.firmwareVersion));
    row.set("flags", flag_names(NameKind::ckf_slot, info.flags));
    report.rows.push_back(std::move(row));
  }
  if (!page.next.empty()) report.data.set("next", page.next);
  present(invocation, report);
  return ExitCode::kOk;
}

ExitCode list_tokens(const Invocation& invocation, const NoOptions&) {
  TokenAccess access(invocation);
  const Module& module = access.module();
  Report report{.name = "token.list",
                .rows_key = "tokens",
                .columns = {{"TOKEN", "label"},
                            {"SLOT", "slot", Align::kRight},
                            {"SERIAL", "serial"},
                            {"MODEL", "model"},
                            {"MANUFACTURER", "manufacturer"},
                            {"INITIALIZED", "initialized"}},
                .if_empty = "no tokens"};
  const auto slots = module.slots(true);
  const Page page = page_of(invocation, slots.size());
  for (std::size_t i = page.begin; i < page.end; ++i) {
    report.rows.push_back(token_value(slots[i], module.token_info(slots[i])));
  }
  if (!page.next.empty()) report.data.set("next", page.next);
  present(invocation, report);
  return ExitCode::kOk;
}

ExitCode show_token(const Invocation& invocation, const NoOptions&) {
  TokenAccess access(invocation);
  const CK_SLOT_ID slot = access.slot();
  present(invocation, {.name = "token.info", .data = token_value(slot, access.module().token_info(slot))});
  return ExitCode::kOk;
}

}  // namespace p11shim
