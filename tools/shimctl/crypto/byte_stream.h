// Files and pipes, read and written piece by piece: memory does not grow with them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tools/shimctl/output/progress.h"

namespace p11shim {

class InputStream {
 public:
  static constexpr std::size_t kChunk = 64 << 10;

  // "-" or nothing: standard input. Throws Failure (kNotFound).
  InputStream(const Invocation& invocation, const std::string& path);
  ~InputStream();
  InputStream(const InputStream&) = delete;
  InputStream& operator=(const InputStream&) = delete;

  // The next piece, kChunk bytes unless it is the last; empty at the end. Valid until the next call.
  std::string_view next();
  // All of it. Throws Failure (kUsage) if it is longer than `limit`; `what` says why that cannot be.
  std::string all(std::size_t limit, const std::string& what);

 private:
  std::string path_;
  int descriptor_;
  std::string buffer_;
  bool ended_ = false;
  Progress progress_;
};

class OutputStream {
 public:
  enum class Care : std::uint8_t {
    kUsual,
    kDurable,  // for its owner's eyes only, and there after a loss of power once finish() has returned
  };
  // "-" or nothing: standard output. A file appears under its name when finish() is called, complete, or not
  // at all.
  explicit OutputStream(const std::string& path, Care care = Care::kUsual);
  ~OutputStream();
  OutputStream(const OutputStream&) = delete;
  OutputStream& operator=(const OutputStream&) = delete;

  void write(std::string_view bytes);  // throws Failure (kPartial)
  void finish();
  std::uint64_t size() const { return size_; }  // written so far

 private:
  [[noreturn]] void fail(int error) const;

  void sync_folder() const;

  std::string path_;
  const Care care_;
  std::string temporary_;
  std::uint64_t size_ = 0;
  int descriptor_;
};

void write_file(const std::string& path, std::string_view bytes);
// What it is about may be destroyed then.
void write_durable_file(const std::string& path, std::string_view bytes);
std::string read_file(const Invocation& invocation, const std::string& path, std::size_t limit,
                      const std::string& what);

}  // namespace p11shim
