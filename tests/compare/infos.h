// PKCS#11's info structures as transcripts show them: one entry per field.
#pragma once

#include "arguments.h"

namespace p11shim::compare {

void report_info(const CK_INFO& info, Report& report);
void report_info(const CK_SLOT_INFO& info, Report& report);
void report_info(const CK_TOKEN_INFO& info, Report& report);
void report_info(const CK_MECHANISM_INFO& info, Report& report);
void report_info(const CK_SESSION_INFO& info, Report& report);

// A structure that the module fills; NULL if the application gave no place.
template <class Info>
class InfoArgument {
 public:
  explicit InfoArgument(Info* place) : place_(place), buffer_(sizeof(Info)) {}
  auto c() { return std::make_tuple(place_ ? reinterpret_cast<Info*>(buffer_.data()) : nullptr); }
  void show(Json& in, const Names&) const {
    if (!place_) in["info"] = nullptr;
  }
  bool misused() const { return !place_; }
  void report(Report& report) const {
    if (!buffer_.guards_intact()) report.out["overrun"] = true;
    if (report.rv != CKR_OK) {
      if (buffer_.changed_from(0)) report.out["scribbled"] = true;
      return;
    }
    if (!place_) return;
    *place_ = *reinterpret_cast<const Info*>(buffer_.data());
    if (!report.blurred) report_info(*place_, report);
  }

 private:
  Info* place_;
  GuardedBuffer buffer_;
};

}  // namespace p11shim::compare
