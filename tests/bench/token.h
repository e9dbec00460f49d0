// The token that every target of the benchmark serves: its names, PIN and keys. Prepared once with the module
// itself; the AES key's value and the public keys let results be checked by OpenSSL.
#pragma once

#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "pkcs11/cryptoki.h"

namespace p11shim {

inline constexpr char kBenchLabel[] = "bench";
inline constexpr char kBenchPin[] = "1234";
inline constexpr char kRsaLabel[] = "bench-rsa";
inline constexpr char kEcLabel[] = "bench-ec";
inline constexpr char kAesLabel[] = "bench-aes";
inline constexpr std::array<CK_BYTE, 16> kAesValue{0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6,
                                                   0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c};
inline constexpr std::array<CK_BYTE, 16> kAesIv{};

// Writes SoftHSM's configuration and an empty token directory below `folder`; the configuration's path.
std::filesystem::path write_softhsm_configuration(const std::filesystem::path& folder);

// Initialises the first free slot of an initialised module and fills the token, with so many keys beside those above;
// throws std::runtime_error.
void prepare_token(CK_FUNCTION_LIST& module, unsigned other_keys);

}  // namespace p11shim
