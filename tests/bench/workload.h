// What is measured: one logical operation per workload, as an application would write it. A Caller is one
// thread's session with its buffers; workloads are its member functions, listed once in kWorkloads.
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pkcs11/cryptoki.h"

namespace p11shim {

struct BenchKeys {
  CK_OBJECT_HANDLE rsa_private = 0;
  CK_OBJECT_HANDLE rsa_public = 0;
  CK_OBJECT_HANDLE ec_private = 0;
  CK_OBJECT_HANDLE ec_public = 0;
  CK_OBJECT_HANDLE aes = 0;
};

BenchKeys find_bench_keys(CK_FUNCTION_LIST& module, CK_SESSION_HANDLE session);

class Caller {
 public:
  Caller(CK_FUNCTION_LIST& module, CK_SLOT_ID slot, const BenchKeys& keys);

  CK_RV session_info();
  CK_RV random_32();
  CK_RV sha256_1k();
  CK_RV ecdsa_p256();
  CK_RV rsa_2048();
  CK_RV ecdsa_logical();
  CK_RV aes_cbc_1k() { return aes_cbc(1 << 10); }
  CK_RV aes_cbc_64k() { return aes_cbc(64 << 10); }
  CK_RV aes_cbc_1m() { return aes_cbc(1 << 20); }
  CK_RV aes_ecb_1k() { return aes_ecb(1 << 10); }
  CK_RV aes_ecb_64k() { return aes_ecb(64 << 10); }
  CK_RV aes_ecb_1m() { return aes_ecb(1 << 20); }
  CK_RV find();
  CK_RV get_attributes();
  CK_RV find_and_read();
  CK_RV mechanism_info();
  CK_RV token_info();
  CK_RV slot_list();
  CK_RV open_close();

  // Input and result of the last operation, for those who check it.
  std::span<CK_BYTE> input() { return input_; }
  std::span<const CK_BYTE> output() const { return {output_.data(), output_size_}; }

 private:
  CK_RV aes_cbc(CK_ULONG size);
  CK_RV aes_ecb(CK_ULONG size);
  CK_RV encrypt(CK_MECHANISM mechanism, CK_ULONG size);
  CK_RV sign(CK_MECHANISM_TYPE type, CK_OBJECT_HANDLE key, CK_ULONG input_size);

  CK_FUNCTION_LIST& module_;
  const CK_SLOT_ID slot_;
  const BenchKeys keys_;
  CK_SESSION_HANDLE session_;
  std::vector<CK_BYTE> input_;
  std::vector<CK_BYTE> output_;
  CK_ULONG output_size_ = 0;
};

struct Workload {
  std::string_view name;
  CK_RV (Caller::*run)();
};

inline constexpr std::array kWorkloads{
    Workload{"session-info", &Caller::session_info},
    Workload{"random-32", &Caller::random_32},
    Workload{"sha256-1k", &Caller::sha256_1k},
    Workload{"ecdsa-p256", &Caller::ecdsa_p256},
    Workload{"ecdsa-logical", &Caller::ecdsa_logical},
    Workload{"rsa-2048", &Caller::rsa_2048},
    Workload{"aes-cbc-1k", &Caller::aes_cbc_1k},
    Workload{"aes-cbc-64k", &Caller::aes_cbc_64k},
    Workload{"aes-cbc-1m", &Caller::aes_cbc_1m},
    Workload{"aes-ecb-1k", &Caller::aes_ecb_1k},
    Workload{"aes-ecb-64k", &Caller::aes_ecb_64k},
    Workload{"aes-ecb-1m", &Caller::aes_ecb_1m},
    Workload{"find", &Caller::find},
    Workload{"get-attributes", &Caller::get_attributes},
    Workload{"find-and-read", &Caller::find_and_read},
    Workload{"mechanism-info", &Caller::mechanism_info},
    Workload{"token-info", &Caller::token_info},
    Workload{"slot-list", &Caller::slot_list},
    Workload{"open-close", &Caller::open_close},
};

}  // namespace p11shim
