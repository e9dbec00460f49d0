#include "cases.h"

namespace p11shim::contract {

std::vector<Case> all_cases() {
  std::vector<Case> all;
  for (std::span<const Case> part : {initialise_cases(),
                                     slot_cases(),
                                     token_cases(),
                                     session_cases(),
                                     login_cases(),
                                     login_domain_cases(),
                                     object_cases(),
                                     attribute_cases(),
                                     find_cases(),
                                     visibility_cases(),
                                     generate_cases(),
                                     digest_cases(),
                                     cipher_cases(),
                                     cipher_state_cases(),
                                     sign_cases(),
                                     sign_state_cases(),
                                     wrap_cases(),
                                     derive_cases(),
                                     several_operations_cases(),
                                     message_cases()})
    all.insert(all.end(), part.begin(), part.end());
  return all;
}

}  // namespace p11shim::contract
