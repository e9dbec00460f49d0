// What a return code means to somebody at a command line: the exit code, why, and what to try. One place for
// all commands.
#pragma once

#include "tools/pkcs11/call_error.h"
#include "tools/shimctl/failure.h"

namespace p11shim {

ExitCode exit_code_of(CK_RV rv);
// Perhaps for a mechanism's parameters: a module that takes some of them only may say no more than that an argument is bad.
bool blames_parameters(CK_RV rv);

// `what` is what the command was about to do: "cannot sign with key \"k\"".
Failure failure_of(const CallError& error, const std::string& what = "the module refuses");

}  // namespace p11shim
