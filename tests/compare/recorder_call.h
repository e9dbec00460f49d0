// How a recorder makes one call; included by the files that implement its methods.
#pragma once

#include "recorder.h"

// The function of a list together with its name.
#define P11_V2(function) #function, v2_.function
#define P11_V3(function) #function, (v3_ ? v3_->function : nullptr)

namespace p11shim::compare {

template <class Argument>
bool misused(const Argument& argument) {
  if constexpr (requires { argument.misused(); }) return argument.misused();
  return false;
}

template <class Function, class... Arguments>
CK_RV Recorder::call(const char* name, Function function, Arguments&&... arguments) {
  Json in = Json::object();
  (arguments.show(in, names_), ...);
  transcript_.enter(name, in);
  if (fragile_ && (misused(arguments) || ...)) {
    transcript_.leave("left out", Json::object());
    return kLeftOut;
  }
  const CK_RV rv = function ? std::apply(function, std::tuple_cat(arguments.c()...)) : kAbsent;
  Json out = Json::object();
  if (function) {
    Report report{out, rv, blur_this_call_ || blurs_ > 0, names_};
    (arguments.report(report), ...);
  }
  blur_this_call_ = false;
  transcript_.leave(function ? rv_name(rv) : "absent", out);
  return rv;
}

template <class Function, class... Before>
Outcome Recorder::output_call(const char* name, Function function, Room room, Session session, Activity activity,
                              Before&&... before) {
  OutputArgument output("output", room);
  const bool exact = !(blur_this_call_ = blurred(session, activity));
  const CK_RV rv = call(name, function, session_argument(session), before..., output);
  return {rv, output.length(), output.bytes(), exact};
}

template <class Function>
Outcome Recorder::crypt_call(const char* name, Function function, Session session, Input data, Room room,
                             Activity activity) {
  OutputArgument output("output", room);
  const bool exact = !(blur_this_call_ = blurred(session, activity));
  const CK_RV rv = call(name, function, session_argument(session), InputArgument{"data", output.over(data)}, output);
  return {rv, output.length(), output.bytes(), exact};
}

}  // namespace p11shim::compare
