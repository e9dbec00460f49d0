#include "tools/shimctl/commands/info/mechanisms.h"

#include <algorithm>
#include <map>
#include <optional>

#include "pkcs11/names.h"
#include "tools/shimctl/commands/info/slots.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/output/present.h"
#include "tools/shimctl/token/member_token.h"
#include "tools/shimctl/token/token_access.h"

namespace p11shim {

namespace {

using Mechanisms = std::map<CK_MECHANISM_TYPE, CK_MECHANISM_INFO>;

Mechanisms mechanisms_of(TokenAccess& access) {
  Mechanisms all;
  const CK_SLOT_ID slot = access.slot();
  for (const auto type : access.module().mechanisms(slot)) all[type] = access.module().mechanism_info(slot, type);
  return all;
}

Value details(const CK_MECHANISM_INFO& info) {
  Value value;
  value.set("min_key_size", info.ulMinKeySize).set("max_key_size", info.ulMaxKeySize);
  return value.set("flags", flag_names(NameKind::ckf_mechanism, info.flags));
}

bool same(const CK_MECHANISM_INFO& a, const CK_MECHANISM_INFO& b) {
  return a.flags == b.flags && a.ulMinKeySize == b.ulMinKeySize && a.ulMaxKeySize == b.ulMaxKeySize;
}

ExitCode show_differences(const Invocation& invocation, const Mechanisms& left, const Mechanisms& right) {
  Report report{
      .name = "mech.diff",
      .rows_key = "differences",
      .columns = {{"MECHANISM", "mechanism"}, {"WHERE", "where"}, {"LEFT", "left.flags"}, {"RIGHT", "right.flags"}},
      .if_empty = "no differences"};
  std::map<CK_MECHANISM_TYPE, bool> all;
  for (const auto& entry : left) all[entry.first] = true;
  for (const auto& entry : right) all[entry.first] = true;
  for (const auto& entry : all) {
    const auto a = left.find(entry.first);
    const auto b = right.find(entry.first);
    const bool both = a != left.end() && b != right.end();
    if (both && same(a->second, b->second)) continue;
    Value row;
    row.set("mechanism", display(NameKind::ckm, entry.first));
    row.set("where", both ? "different" : a != left.end() ? "left" : "right");
    row.set("left", a != left.end() ? details(a->second) : Value());
    row.set("right", b != right.end() ? details(b->second) : Value());
    report.rows.push_back(std::move(row));
  }
  const bool differ = !report.rows.empty();
  present(invocation, report);
  return differ ? ExitCode::kNegative : ExitCode::kOk;
}

bool has_token(const Module& module, const std::string& label) {
  const auto slots = module.slots(true);
  return std::any_of(slots.begin(), slots.end(),
                     [&](CK_SLOT_ID slot) { return padded_text(module.token_info(slot).label) == label; });
}

}  // namespace

ExitCode list_mechanisms(const Invocation& invocation, const MechanismOptions& options) {
  TokenAccess access(invocation);
  const Mechanisms mechanisms = mechanisms_of(access);
  const bool may_be_member = access.goes_through_proxyd() || options.other.token.find('/') != std::string::npos;
  if (!options.other.token.empty() && may_be_member && !has_token(access.module(), options.other.token)) {
    Invocation direct = invocation;
    direct.token = member_token(invocation, options.other.token);
    TokenAccess other(direct);
    return show_differences(invocation, mechanisms, mechanisms_of(other));
  }
  if (!options.other.token.empty()) {
    TokenChoice choice = invocation.token;
    choice.uri.clear();
    choice.slot.reset();
    choice.token = options.other.token;
    TokenAccess other(invocation, std::move(choice), access.module());
    return show_differences(invocation, mechanisms, mechanisms_of(other));
  }
  Report report{.name = "mech.list",
                .rows_key = "mechanisms",
                .columns = {{"MECHANISM", "mechanism"}},
                .if_empty = "no mechanisms"};
  if (options.detailed) {
    report.columns.insert(
        report.columns.end(),
        {{"MIN", "min_key_size", Align::kRight}, {"MAX", "max_key_size", Align::kRight}, {"FLAGS", "flags"}});
  }
  for (const auto& [type, info] : mechanisms) {
    const std::string name = display(NameKind::ckm, type);
    if (name.find(options.filter) == std::string::npos) continue;
    Value row;
    row.set("mechanism", name).set("number", hexadecimal(type, 8)).set("min_key_size", info.ulMinKeySize);
    row.set("max_key_size", info.ulMaxKeySize).set("flags", flag_names(NameKind::ckf_mechanism, info.flags));
    report.rows.push_back(std::move(row));
  }
  const Page page = page_of(invocation, report.rows.size());
  report.rows = {report.rows.begin() + static_cast<std::ptrdiff_t>(page.begin),
                 report.rows.begin() + static_cast<std::ptrdiff_t>(page.end)};
  if (!page.next.empty()) report.data.set("next", page.next);
  present(invocation, report);
  return ExitCode::kOk;
}

}  // namespace p11shim
