#include "tools/shimctl/crypto/byte_stream.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "config/problem.h"
#include "tools/shimctl/failure.h"
#include "wire/buffer.h"

namespace p11shim {

namespace {

bool is_standard(const std::string& path) { return path.empty() || path == "-"; }

std::string reason(int error) { return std::generic_category().message(error); }

int open_input(const std::string& path) {
  if (is_standard(path)) return STDIN_FILENO;
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw Failure(ExitCode::kNotFound, "cannot open " + in_quotes(path) + ": " + reason(errno), "");
  return descriptor;
}

std::uint64_t size_of(int descriptor) {
  struct stat status {};
  return ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) ? static_cast<std::uint64_t>(status.st_size) : 0;
}

}  // namespace

InputStream::InputStream(const Invocation& invocation, const std::string& path)
    : path_(is_standard(path) ? "standard input" : path),
      descriptor_(open_input(path)),
      buffer_(kChunk, '\0'),
      progress_(invocation, "reading " + path_, size_of(descriptor_), "B") {}

InputStream::~InputStream() {
  wipe(buffer_.data(), buffer_.size());
  if (descriptor_ != STDIN_FILENO) ::close(descriptor_);
}

std::string_view InputStream::next() {
  if (ended_) return {};
  std::size_t filled = 0;
  while (filled < kChunk) {
    const ssize_t length = ::read(descriptor_, buffer_.data() + filled, kChunk - filled);
    if (length < 0 && errno == EINTR) continue;
    if (length < 0) throw Failure(ExitCode::kNotFound, "cannot read " + in_quotes(path_) + ": " + reason(errno), "");
    if ((ended_ = length == 0)) break;
    filled += static_cast<std::size_t>(length);
  }
  progress_.advance(filled);
  return {buffer_.data(), filled};
}

std::string InputStream::all(std::size_t limit, const std::string& what) {
  std::string bytes;
  for (auto piece = next(); !piece.empty(); piece = next()) {
    if (bytes.size() + piece.size() > limit) {
      throw Failure(ExitCode::kUsage, {.what = in_quotes(path_) + " is not what it should be",
                                       .why = what + " has at most " + std::to_string(limit) + " bytes",
                                       .fix = {}});
    }
    bytes += piece;
  }
  return bytes;
}

OutputStream::OutputStream(const std::string& path, Care care) : path_(path), care_(care), descriptor_(STDOUT_FILENO) {
  if (is_standard(path)) return;
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {  // a device or a pipe
    descriptor_ = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (descriptor_ < 0) fail(errno);
    return;
  }
  temporary_ = path + ".XXXXXX";
  descriptor_ = ::mkostemp(temporary_.data(), O_CLOEXEC);  // 0600
  if (descriptor_ < 0) {
    temporary_.clear();
    fail(errno);
  }
  if (care_ == Care::kDurable) return;
  const mode_t mask = ::umask(0);
  ::umask(mask);
  ::fchmod(descriptor_, 0666 & ~mask);
}

OutputStream::~OutputStream() {
  if (descriptor_ != STDOUT_FILENO && descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void OutputStream::fail(int error) const {
  throw Failure(ExitCode::kPartial,
                "cannot write to " + (is_standard(path_) ? "standard output" : in_quotes(path_)) + ": " + reason(error),
                "");
}

void OutputStream::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(errno);
    bytes.remove_prefix(static_cast<std::size_t>(written));
    size_ += static_cast<std::size_t>(written);
  }
}

void OutputStream::finish() {
  if (temporary_.empty()) return;
  if (care_ == Care::kDurable && ::fsync(descriptor_) != 0) fail(errno);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail(errno);
  temporary_.clear();
  if (care_ == Care::kDurable) sync_folder();
}

// Of the file's name.
void OutputStream::sync_folder() const {
  const auto parent = std::filesystem::path(path_).parent_path();
  const int folder = ::open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const int error = folder < 0 || ::fsync(folder) != 0 ? errno : 0;
  if (folder >= 0) ::close(folder);
  if (error != 0) fail(error);
}

namespace {

void write_whole(OutputStream&& out, std::string_view bytes) {
  out.write(bytes);
  out.finish();
}

}  // namespace

void write_file(const std::string& path, std::string_view bytes) { write_whole(OutputStream(path), bytes); }

void write_durable_file(const std::string& path, std::string_view bytes) {
  write_whole(OutputStream(path, OutputStream::Care::kDurable), bytes);
}

std::string read_file(const Invocation& invocation, const std::string& path, std::size_t limit,
                      const std::string& what) {
  return InputStream(invocation, path).all(limit, what);
}

}  // namespace p11shim
