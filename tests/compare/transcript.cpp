#include "transcript.h"

#include <unistd.h>

#include <cstdlib>
#include <sstream>

#include "pkcs11/names.h"

namespace p11shim::compare {

namespace {

// Transcripts hold whatever bytes a module writes into text fields.
std::string dump(const Json& json) { return json.dump(-1, ' ', true, Json::error_handler_t::replace); }

}  // namespace

std::string rv_name(CK_RV rv) { return display(NameKind::ckr, rv); }
std::string mechanism_name(CK_MECHANISM_TYPE type) { return display(NameKind::ckm, type); }
std::string attribute_name(CK_ATTRIBUTE_TYPE type) { return display(NameKind::cka, type); }

void TranscriptWriter::enter(const char* function, const Json& in) {
  write("{\"call\":\"" + std::string(function) + "\",\"in\":" + dump(in));
}

void TranscriptWriter::leave(const std::string& rv, const Json& out) {
  write(",\"rv\":\"" + rv + "\",\"out\":" + dump(out) + "}\n");
}

void TranscriptWriter::note(const std::string& what, const Json& value) {
  write(dump(Json{{"call", "note"}, {"in", Json::object()}, {"rv", ""}, {"out", {{what, value}}}}) + "\n");
}

void TranscriptWriter::write(const std::string& text) {
  std::size_t written = 0;
  while (written < text.size()) {
    ssize_t step = ::write(fd_, text.data() + written, text.size() - written);
    if (step <= 0) std::abort();
    written += static_cast<std::size_t>(step);
  }
}

std::vector<TranscriptLine> parse_transcript(const std::string& text) {
  std::vector<TranscriptLine> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    Json json = Json::parse(line, nullptr, false);
    if (json.is_discarded()) json = Json::parse(line + "}", nullptr, false);
    TranscriptLine& parsed = lines.emplace_back();
    if (json.is_discarded()) {
      parsed = {"?", line, "crashed", Json::object()};
      continue;
    }
    parsed.call = json.value("call", "?");
    parsed.in = json.value("in", Json::object());
    parsed.rv = json.value("rv", "crashed");
    parsed.out = json.value("out", Json::object());
  }
  return lines;
}

}  // namespace p11shim::compare
