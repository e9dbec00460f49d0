// Operations that sign, verify, encrypt, decrypt and hash.
#pragma once

#include "tools/shimctl/bench/operation.h"

namespace p11shim {

std::unique_ptr<Operation> make_sign_operation(const OperationPlace& place);
std::unique_ptr<Operation> make_verify_operation(const OperationPlace& place);
std::unique_ptr<Operation> make_encrypt_operation(const OperationPlace& place);
std::unique_ptr<Operation> make_decrypt_operation(const OperationPlace& place);
std::unique_ptr<Operation> make_digest_operation(const OperationPlace& place);

}  // namespace p11shim
