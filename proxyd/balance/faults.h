// The rules by which a pool of several members blames, repeats and gives up. One place: docs/pools.md has the table that
// fault_table.cpp writes from these functions, and a test compares the two.
#pragma once

#include <cstdint>
#include <string>

#include "calls/table.h"

namespace p11shim {

// What a member's answer says about the member.
enum class Blame : std::uint8_t {
  nobody,   // success, or the caller's own fault
  suspect,  // counts if another member does better with the same call: it may be the call itself
  member,   // counts at once
};
// `login_is_good`: CKR_USER_NOT_LOGGED_IN is the truth about this call. It was said to somebody who is not logged in, or of a key
// that wants a login for each use, or the worker's sessions say that they are logged in.
Blame blame_of(CK_RV rv, bool login_is_good = false);

// The sessions of the worker that answered so are gone, or its login: it is started anew, which logs it in again.
bool needs_new_worker(CK_RV rv);

// The module does not know an object any more that proxyd knows there: it is looked for once again.
bool misses_object(CK_RV rv);

// How far a call got on a member.
enum class Reached : std::uint8_t {
  nothing,  // nothing was called there
  unknown,  // the worker died, or has not answered in time
  answer,   // it answered, with somebody's blame
};

// What may be done when a call has failed on one member.
enum class Recourse : std::uint8_t {
  none,    // the application learns of it
  repeat,  // the call is made on another member
  replay,  // its operation is begun there again, with the input that was kept, and goes on
};
// What a call asks for beyond its function.
struct Asked {
  bool brings_init = false;        // its Init comes along: it is a whole operation, or the begin of one
  bool makes_session_key = false;  // C_DeriveKey: a late result is gone with its session
};
Recourse recourse(const CallInfo& call, Reached reached, Asked asked = {});

// Operations by this mechanism are never begun a second time: stateful signatures, which use up a part of their key, and
// one-time passwords, which count in it.
bool is_stateful(CK_MECHANISM_TYPE mechanism);
// Keys of this type are never taken for one with a key of another member, whatever proves it.
bool is_stateful_key(CK_KEY_TYPE type);
// Makes a key that uses up a part of itself with each signature: there is no second one of it.
bool makes_stateful_key(CK_MECHANISM_TYPE mechanism);

// The tables of docs/pools.md.
std::string fault_table();

}  // namespace p11shim
