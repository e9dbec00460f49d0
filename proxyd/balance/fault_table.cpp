#include "pkcs11/names.h"
#include "proxyd/balance/faults.h"

namespace p11shim {
namespace {

std::string_view text(Recourse recourse) {
  switch (recourse) {
    case Recourse::none: return "no";
    case Recourse::repeat: return "yes";
    case Recourse::replay: return "by replay";
  }
  return "?";
}

void functions(std::string& table) {
  table += "| function | nothing was called | nobody knows | the member answered with a fault |\n|---|---|---|---|\n";
  for (const CallInfo& call : kCallInfos) {
    if (call.name.empty() || call.policy.where != Where::worker) continue;
    table += "| `" + std::string(call.name) + "`";
    for (const Reached reached : {Reached::nothing, Reached::unknown, Reached::answer}) {
      table += " | ";
      table += text(recourse(call, reached));
    }
    table += " |\n";
  }
}

void codes(std::string& table) {
  table +=
      "| answer | counts against the member | repeated elsewhere | its worker is started anew | the object is looked "
      "for again |\n";
  table += "|---|---|---|---|---|\n";
  for (const Name& entry : all(NameKind::ckr)) {
    const Blame blame = blame_of(entry.value);
    table += "| `" + std::string(entry.text) + "` | ";
    table += blame == Blame::member ? "yes" : blame == Blame::suspect ? "if another does better" : "no";
    table += blame == Blame::nobody && !misses_object(entry.value) ? " | no" : " | as the function allows";
    table += needs_new_worker(entry.value) ? " | yes" : " | no";
    table += misses_object(entry.value) ? " | once |\n" : " | no |\n";
  }
}

}  // namespace

std::string fault_table() {
  std::string table;
  functions(table);
  table += "\n";
  codes(table);
  return table;
}

}  // namespace p11shim
