// What a test asks of the mock and of the fault module, as text: one directive per line, '#' starts a
// comment.
//
//   C_Sign|C_Decrypt rv=CKR_DEVICE_ERROR after=3 times=1
//                                              these functions, or * for all. Every line that matches
//                                              applies, the first rv wins; after=N spares the first N calls,
//                                              times=N ends it
//     probability=0.05                         of the calls so chosen, how many are hit
//     latency=5ms | uniform:2ms:8ms | normal:5ms:1ms | exponential:5ms
//     concurrency=4                            at most so many of these calls run at once, counted over all
//     processes hang=/path                               the call waits until this file exists crash=segv |
//     abort | exit | kill              the process dies in the call missing                                  the
//     function list has NULL here
//     run=/path                                this program is executed in the call, and waited for
//   and in the mock alone
//     fill                                     outputs are written although rv is an error
//     length=20                                outputs of variable length have 20 bytes
//     report=+8 | -8 | 8                       the length told to the caller is a lie; nothing more is
//     written for it
//   module version=2.20 sessions=4 record=/path handles=wide slots=wide login=no protected
//   module objects=out-of-sight                  (fault module only) the same in processes that run already, not in later ones
//   module firmware=7.9 serial=OTHER least_pin=6     what its tokens say of themselves
//   module keys=4000                             so many secret keys more, of a type that nothing proves
//   module user=0x80000001                           C_Login takes this user type, too
//   module moved=1000                            the handles of objects are higher by so much from now on
//   module objects=lost                          (fault module too) none is found, all handles are invalid
//   attribute CKA_LABEL invalid | sensitive | unavailable | value=68656c6c6f
//
// Codes and attributes go by name or number, numbers are decimal, or hexadecimal with 0x. A mistake ends the
// process with a message: a test must not go on with a rule that means nothing.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "functions.h"

namespace p11shim {

struct Latency {
  enum class Shape { kNone, kFixed, kUniform, kNormal, kExponential };
  Shape shape = Shape::kNone;
  std::chrono::nanoseconds first{};   // fixed value, lower bound or mean
  std::chrono::nanoseconds second{};  // upper bound or standard deviation
};

enum class Crash { kNone, kSegv, kAbort, kExit, kKill };

struct ReportedLength {
  bool relative = false;
  std::int64_t value = 0;
};

struct Rule {
  FunctionSet functions;
  std::optional<CK_RV> rv;
  std::uint64_t after = 0;
  std::uint64_t times = UINT64_MAX;
  double probability = 1;
  Latency latency;
  unsigned concurrency = 0;  // 0: no limit
  std::string hang;
  std::string run;
  Crash crash = Crash::kNone;
  bool missing = false;
  bool fill = false;
  std::optional<CK_ULONG> length;
  std::optional<ReportedLength> report;
};

struct AttributeRule {
  enum class Kind { kInvalid, kSensitive, kUnavailable, kValue };
  Kind kind = Kind::kInvalid;
  std::vector<CK_BYTE> value;
};

struct Rules {
  std::vector<Rule> calls;
  std::map<CK_ATTRIBUTE_TYPE, AttributeRule> attributes;

  CK_VERSION version{3, 0};
  CK_VERSION firmware{7, 8};
  std::string serial = "MOCK000";  // the slot's number follows
  CK_ULONG least_pin = 4;
  CK_ULONG sessions = UINT32_MAX;
  CK_ULONG keys = 0;
  CK_ULONG moved = 0;
  std::string record;
  bool wide_handles = false;
  bool wide_slots = false;
  bool login = true;
  std::optional<CK_USER_TYPE> user;
  bool protected_path = false;
  bool objects_lost = false;
  bool objects_out_of_sight = false;

  bool missing(Function function) const;
};

Rules parse_rules(std::string_view text);

}  // namespace p11shim
