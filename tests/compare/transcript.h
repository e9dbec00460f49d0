// What a run did, one JSON line per PKCS#11 call:
//   {"call":"C_Sign","in":{...},"rv":"CKR_OK","out":{...}}
// The first half of a line is written before the module is called, so a crash shows in which call it happened.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "pkcs11/cryptoki.h"

namespace p11shim::compare {

using Json = nlohmann::ordered_json;

std::string rv_name(CK_RV rv);
std::string mechanism_name(CK_MECHANISM_TYPE type);
std::string attribute_name(CK_ATTRIBUTE_TYPE type);

class TranscriptWriter {
 public:
  // Borrows the descriptor.
  explicit TranscriptWriter(int fd) : fd_(fd) {}

  void enter(const char* function, const Json& in);
  void leave(const std::string& rv, const Json& out);
  // Something a case states about what it saw ("same handle as before": true).
  void note(const std::string& what, const Json& value);

 private:
  void write(const std::string& text);
  int fd_;
};

struct TranscriptLine {
  std::string call;  // "C_…", or "note"
  Json in;
  std::string rv;  // "crashed" if the line has no second half
  Json out;
};

std::vector<TranscriptLine> parse_transcript(const std::string& text);

}  // namespace p11shim::compare
