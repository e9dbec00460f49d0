#include "tools/shimctl/automate/custodians.h"

#include <openssl/rand.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <set>
#include <sstream>

extern "C" {
#include <libgfshare.h>
}

#include "config/problem.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/keys/hex.h"
#include "tools/shimctl/keys/public_key.h"

namespace p11shim {

namespace {

constexpr char kSchema[] = "p11shim.share/1";

struct FreeContext {
  void operator()(gfshare_ctx* context) const { gfshare_ctx_free(context); }
};
using Context = std::unique_ptr<gfshare_ctx, FreeContext>;

void fill(unsigned char* buffer, unsigned int count) {
  if (RAND_bytes(buffer, static_cast<int>(count)) != 1)
    throw Failure(ExitCode::kNegative, "no random numbers for the shares", "");
}

// The library has none of its own that is for secrets; it also overwrites with it what it frees.
void use_our_random() { gfshare_fill_rand = &fill; }

std::string checksum(const std::string& text) { return hex(sha256_of(text).substr(0, 4)); }

struct Share {
  std::string bundle;
  unsigned threshold = 0;
  unsigned number = 0;
  std::string bytes;
  ~Share() { wipe(bytes.data(), bytes.size()); }
};

Share parse_share(const std::string& text) {
  std::istringstream stream(text);
  std::string schema;
  std::string digits;
  std::string check;
  Share share;
  stream >> schema >> share.bundle >> share.threshold >> share.number >> digits >> check;
  const std::string checked = schema + " " + share.bundle + " " + std::to_string(share.threshold) + " " +
                              std::to_string(share.number) + " " + digits;
  const auto bytes = parse_hex(digits);
  if (schema != kSchema || !bytes || bytes->empty() || check != checksum(checked) || share.number == 0 ||
      share.number > 255) {
    throw Failure(ExitCode::kUsage, "a share is not what backup create wrote", "look for what was mistyped");
  }
  share.bytes = *bytes;
  wipe(digits.data(), digits.size());
  return share;
}

}  // namespace

Custodians Custodians::parse(const std::string& text) {
  Custodians custodians;
  char rest = 0;
  const int read = std::sscanf(text.c_str(), "%u-of-%u%c", &custodians.threshold, &custodians.shares, &rest);
  if (read == 2 && custodians.threshold >= 2 && custodians.threshold <= custodians.shares && custodians.shares <= 255)
    return custodians;
  throw Failure(ExitCode::kUsage, in_quotes(text) + " names no custodians",
                "--custodians 2-of-3; at least 2 of at most 255");
}

std::vector<std::string> divide_secret(const Secret& secret, const Custodians& custodians, const std::string& bundle) {
  use_our_random();
  std::vector<unsigned char> numbers;
  for (unsigned i = 1; i <= custodians.shares; ++i) numbers.push_back(static_cast<unsigned char>(i));
  const auto size = static_cast<unsigned>(secret.size());
  const Context context(
      gfshare_ctx_init_enc(numbers.data(), custodians.shares, static_cast<unsigned char>(custodians.threshold), size));
  if (!context) throw Failure(ExitCode::kNegative, "the secret cannot be divided", "");
  std::string copy(secret.reveal());
  gfshare_ctx_enc_setsecret(context.get(), reinterpret_cast<unsigned char*>(copy.data()));
  wipe(copy.data(), copy.size());
  std::vector<std::string> shares;
  for (unsigned i = 0; i < custodians.shares; ++i) {
    std::string bytes(size, '\0');
    gfshare_ctx_enc_getshare(context.get(), static_cast<unsigned char>(i),
                             reinterpret_cast<unsigned char*>(bytes.data()));
    const std::string text = std::string(kSchema) + " " + bundle + " " + std::to_string(custodians.threshold) + " " +
                             std::to_string(i + 1) + " " + hex(bytes);
    wipe(bytes.data(), bytes.size());
    shares.push_back(text + " " + checksum(text) + "\n");
  }
  return shares;
}

Secret join_secret(const std::vector<std::string>& texts, const std::string& bundle) {
  use_our_random();
  std::vector<Share> shares;
  std::vector<unsigned char> numbers;
  for (const auto& text : texts) {
    shares.push_back(parse_share(text));
    const Share& share = shares.back();
    if (share.bundle != bundle) throw Failure(ExitCode::kUsage, "a share belongs to another bundle", "");
    if (std::find(numbers.begin(), numbers.end(), share.number) != numbers.end())
      throw Failure(ExitCode::kUsage, "share " + std::to_string(share.number) + " is given twice", "");
    if (share.bytes.size() != shares.front().bytes.size())
      throw Failure(ExitCode::kUsage, "the shares are not of one secret", "");
    numbers.push_back(static_cast<unsigned char>(share.number));
  }
  if (shares.empty() || shares.size() < shares.front().threshold) {
    throw Failure(ExitCode::kPermission,
                  std::to_string(shares.size()) + " shares are too few" +
                      (shares.empty() ? "" : ": " + std::to_string(shares.front().threshold) + " are needed"),
                  "--share FILE, once for each custodian");
  }
  const auto size = static_cast<unsigned>(shares.front().bytes.size());
  const Context context(gfshare_ctx_init_dec(numbers.data(), static_cast<unsigned>(shares.size()), size));
  if (!context) throw Failure(ExitCode::kNegative, "the shares cannot be put together", "");
  for (std::size_t i = 0; i < shares.size(); ++i) {
    gfshare_ctx_dec_giveshare(context.get(), static_cast<unsigned char>(i),
                              reinterpret_cast<unsigned char*>(shares[i].bytes.data()));
  }
  std::string secret(size, '\0');
  gfshare_ctx_dec_extract(context.get(), reinterpret_cast<unsigned char*>(secret.data()));
  Secret joined(secret);
  wipe(secret.data(), secret.size());
  return joined;
}

}  // namespace p11shim
