// key csr and key cert: requests and self-signed certificates, signed by the token.
#pragma once

#include <string>

#include "tools/shimctl/invocation.h"

namespace p11shim {

struct CertificateOptions {
  std::string key;
  std::string subject;
  std::string hash = "sha256";
  std::string out;
  unsigned days = 365;
  bool der = false;
};
ExitCode make_request(const Invocation& invocation, const CertificateOptions& options);
ExitCode make_certificate(const Invocation& invocation, const CertificateOptions& options);

}  // namespace p11shim
