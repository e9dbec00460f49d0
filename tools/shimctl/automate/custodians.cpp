#include "tools/shimctl/automate/custodians.h"

#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <memory>
#include <optional>

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
constexpr std::string_view kBlanks = " \t\r\n";
constexpr std::size_t kTail = 16;  // a blank, the checksum, the line's end

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

std::string checksum(std::string_view text) { return hex(sha256_of(text).substr(0, 4)); }

void append(Secret& text, std::string_view more) {
  for (const char each : more) text.append(each);
}

void append_hex(Secret& text, std::string_view bytes) {
  for (const char each : bytes) {
    text.append("0123456789abcdef"[static_cast<unsigned char>(each) >> 4]);
    text.append("0123456789abcdef"[static_cast<unsigned char>(each) & 15]);
  }
}

struct Share {
  std::string bundle;
  unsigned threshold = 0;
  unsigned number = 0;
  Secret bytes;
};

std::optional<unsigned> number_in(std::string_view text) {
  unsigned number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return number;
}

// Views of the words: no piece of a share is copied but into a Secret.
Share parse_share(std::string_view text) {
  std::array<std::string_view, 6> words;  // schema, bundle, threshold, number, digits, checksum
  std::size_t count = 0;
  std::size_t checked = 0;  // how much of the text the checksum is about
  for (std::size_t at = text.find_first_not_of(kBlanks); at != std::string_view::npos && count < words.size();
       ++count) {
    const auto end = std::min(text.find_first_of(kBlanks, at), text.size());
    words[count] = text.substr(at, end - at);
    if (count == 4) checked = end;
    at = text.find_first_not_of(kBlanks, end);
  }
  const auto threshold = number_in(words[2]);
  const auto number = number_in(words[3]);
  auto bytes = parse_hex(words[4]);
  Share share{.bundle = std::string(words[1]), .threshold = threshold.value_or(0), .number = number.value_or(0)};
  const auto begin = words[0].empty() ? 0 : static_cast<std::size_t>(words[0].data() - text.data());
  const bool good = words[0] == kSchema && threshold && number && *number > 0 && *number <= 255 && bytes &&
                    !bytes->empty() && words[5] == checksum(text.substr(begin, checked - begin));
  if (bytes) {
    share.bytes = Secret(*bytes);
    wipe(bytes->data(), bytes->size());
  }
  if (!good) throw Failure(ExitCode::kUsage, "a share is not what backup create wrote", "look for what was mistyped");
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

std::vector<Secret> divide_secret(const Secret& secret, const Custodians& custodians, const std::string& bundle) {
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
  std::vector<Secret> shares;
  for (unsigned i = 0; i < custodians.shares; ++i) {
    std::string bytes(size, '\0');
    gfshare_ctx_enc_getshare(context.get(), static_cast<unsigned char>(i),
                             reinterpret_cast<unsigned char*>(bytes.data()));
    const std::string head = std::string(kSchema) + " " + bundle + " " + std::to_string(custodians.threshold) + " " +
                             std::to_string(i + 1) + " ";
    Secret& text = shares.emplace_back();
    text.reserve(head.size() + 2 * bytes.size() + kTail);
    append(text, head);
    append_hex(text, bytes);
    wipe(bytes.data(), bytes.size());
    const std::string check = checksum(text.reveal());
    append(text, " " + check + "\n");
  }
  return shares;
}

Secret join_secret(const std::vector<Secret>& texts, const std::string& bundle) {
  use_our_random();
  std::vector<Share> shares;
  std::vector<unsigned char> numbers;
  for (const auto& text : texts) {
    shares.push_back(parse_share(text.reveal()));
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
    // It copies what it is given.
    gfshare_ctx_dec_giveshare(context.get(), static_cast<unsigned char>(i),
                              reinterpret_cast<unsigned char*>(const_cast<char*>(shares[i].bytes.reveal().data())));
  }
  std::string secret(size, '\0');
  gfshare_ctx_dec_extract(context.get(), reinterpret_cast<unsigned char*>(secret.data()));
  Secret joined(secret);
  wipe(secret.data(), secret.size());
  return joined;
}

}  // namespace p11shim
