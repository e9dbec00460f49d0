// The contract: every case, by the part of PKCS#11 that it is about.
#pragma once

#include <span>
#include <vector>

#include "application.h"

namespace p11shim::contract {

std::span<const Case> initialise_cases();
std::span<const Case> slot_cases();
std::span<const Case> token_cases();
std::span<const Case> session_cases();
std::span<const Case> login_cases();
std::span<const Case> login_domain_cases();
std::span<const Case> object_cases();
std::span<const Case> attribute_cases();
std::span<const Case> find_cases();
std::span<const Case> visibility_cases();
std::span<const Case> generate_cases();
std::span<const Case> digest_cases();
std::span<const Case> cipher_cases();
std::span<const Case> cipher_state_cases();
std::span<const Case> sign_cases();
std::span<const Case> sign_state_cases();
std::span<const Case> wrap_cases();
std::span<const Case> derive_cases();
std::span<const Case> several_operations_cases();
std::span<const Case> message_cases();

std::vector<Case> all_cases();

}  // namespace p11shim::contract
