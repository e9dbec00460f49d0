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
      const Recourse what = recourse(call, reached);
      const bool derives = call.name == "C_DeriveKey";
      table += " | ";
      table +=
          derives && what != recourse(call, reached, {.makes_session_key = true}) ? "for session keys" : text(what);
    }
    table += " |\n";
  }
  table +=
      "\nA function that brings its Init along in one message is repeated as a whole. What names session objects, "
      "and what may not be used twice (see above), is an exception: the former stays where it is, the latter is "
      "repeated only if nothing was called. `C_DestroyObject` and `C_SetAttributeValue` go to every copy (see above); "
      "no login is tried on another member by these rules.\n";
}

void codes(std::string& table) {
  table +=
      "| answer | counts against the member | repeated elsewhere | its worker is started anew | the object is looked "
      "for again |\n";
  table += "|---|---|---|---|---|\n";
  for (const Name& entry : all(NameKind::ckr)) {
    const Blame blame = blame_of(entry.value);
    const bool depends = blame_of(entry.value, true) != blame;
    table += "| `" + std::string(entry.text) + "` | ";
    table += depends                   ? "if its login is gone"
             : blame == Blame::member  ? "yes"
             : blame == Blame::suspect ? "if another does better"
                                       : "no";
    table += blame == Blame::nobody && !misses_object(entry.value) ? " | no" : " | as the function allows";
    table += depends ? ", then" : "";
    table += !needs_new_worker(entry.value) ? " | no" : depends ? " | then" : " | yes";
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
