#include "config/text_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace p11shim {
namespace {

constexpr off_t kLargestFile = off_t{1} << 20;

TextFile failed(int error, std::string message) {
  TextFile file;
  file.error = error;
  file.message = std::move(message);
  return file;
}

TextFile failed(int error) { return failed(error, "cannot read: " + std::generic_category().message(error)); }

TextFile read_all(int fd) {
  struct stat facts {};
  if (fstat(fd, &facts) != 0) return failed(errno);
  if (!S_ISREG(facts.st_mode)) return failed(EINVAL, "is not a regular file");
  TextFile file;
  file.owner = facts.st_uid;
  file.others_may_write = (facts.st_mode & (S_IWGRP | S_IWOTH)) != 0;
  if (facts.st_size > kLargestFile) return failed(EFBIG, "is larger than 1 MiB");
  file.text.resize(static_cast<std::size_t>(facts.st_size) + 1);  // one more, to see the end
  std::size_t length = 0;
  while (length < file.text.size()) {
    const ssize_t got = read(fd, file.text.data() + length, file.text.size() - length);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed(errno);
    if (got == 0) break;
    length += static_cast<std::size_t>(got);
  }
  if (length == file.text.size()) return failed(EAGAIN, "grew while it was read");
  file.text.resize(length);
  return file;
}

}  // namespace

TextFile read_text_file(const std::string& path) {
  // O_NONBLOCK: opening a FIFO would wait for its writer.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return failed(errno);
  TextFile file = read_all(fd);
  close(fd);
  return file;
}

}  // namespace p11shim
