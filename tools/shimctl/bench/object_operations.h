// Operations on keys and other objects, on sessions and logins.
#pragma once

#include "tools/shimctl/bench/operation.h"

namespace p11shim {

std::unique_ptr<Operation> make_wrap_operation(const OperationPlace& place);
std::unique_ptr<Operation> make_unwrap_operation(const OperationPlace& place);
std::unique_ptr<Operation> make_derive_operation(const OperationPlace& place);
std::unique_ptr<Operation> make_generate_operation(const OperationPlace& place);
std::unique_ptr<Operation> make_random_operation(const OperationPlace& place);
std::unique_ptr<Operation> make_find_operation(const OperationPlace& place);
std::unique_ptr<Operation> make_attributes_operation(const OperationPlace& place);
std::unique_ptr<Operation> make_session_operation(const OperationPlace& place);
std::unique_ptr<Operation> make_login_operation(const OperationPlace& place);

}  // namespace p11shim
