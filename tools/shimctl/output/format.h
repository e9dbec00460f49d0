// -o: the forms in which a command can write its data.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace p11shim {

enum class OutputFormat : std::uint8_t {
  kTable,   // for people
  kJson,    // one envelope
  kNdjson,  // an envelope per row
  kYaml,    // the envelope
  kCsv,     // RFC 4180, with a line of headings
  kPlain,   // rows with tabs between their cells, no headings; or the one value that was asked for
};

inline const std::map<std::string, OutputFormat>& output_formats() {
  static const std::map<std::string, OutputFormat> formats{
      {"table", OutputFormat::kTable}, {"json", OutputFormat::kJson}, {"ndjson", OutputFormat::kNdjson},
      {"yaml", OutputFormat::kYaml},   {"csv", OutputFormat::kCsv},   {"plain", OutputFormat::kPlain}};
  return formats;
}

}  // namespace p11shim
