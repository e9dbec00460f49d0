#include "proxyd/stats/return_codes.h"

#include <nlohmann/json.hpp>

#include "pkcs11/names.h"

namespace p11shim {

void ReturnCodes::count(CK_RV rv) {
  ++calls_;
  if (rv == CKR_OK) return;
  ++failed_;
  for (auto& [code, count] : errors_) {
    if (code != rv) continue;
    ++count;
    return;
  }
  if (errors_.size() == kDistinct) {
    ++other_;
    return;
  }
  errors_.emplace_back(rv, 1);
}

nlohmann::json ReturnCodes::errors() const {
  auto json = nlohmann::json::object();
  for (const auto& [rv, count] : errors_) json[display(NameKind::ckr, rv)] = count;
  if (other_ != 0) json["other"] = other_;
  return json;
}

}  // namespace p11shim
