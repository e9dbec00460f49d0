#include <yaml-cpp/yaml.h>

#include "tools/shimctl/output/value.h"

namespace p11shim {

namespace {

// Texts are always in double quotes: "no", "1e3" and "0x10" stay texts for every reader of YAML.
void emit(YAML::Emitter& out, const Value& value) {
  if (const auto* text = value.text()) {
    out << YAML::DoubleQuoted << *text;
  } else if (const auto* list = value.list()) {
    out << (list->empty() ? YAML::Flow : YAML::Block) << YAML::BeginSeq;
    for (const auto& entry : *list) emit(out, entry);
    out << YAML::EndSeq;
  } else if (const auto* record = value.record()) {
    out << (record->empty() ? YAML::Flow : YAML::Block) << YAML::BeginMap;
    for (const auto& [key, member] : *record) {
      out << YAML::Key << key << YAML::Value;
      emit(out, member);
    }
    out << YAML::EndMap;
  } else if (value.is_null()) {
    out << YAML::Null;
  } else {
    out << cell_text(value, CellStyle::kPrograms);
  }
}

}  // namespace

std::string yaml_text(const Value& value) {
  YAML::Emitter out;
  out.SetOutputCharset(YAML::EscapeNonAscii);
  emit(out, value);
  return std::string(out.c_str()) + '\n';
}

}  // namespace p11shim
