// Audit lines in a file: appended only, rotated by size (audit.log → audit.log.1 → audit.log.2 …).
//
// A batch is one write(2). If it does not fit (disk full), the file is cut back to where the batch began, so
// that the file consists of whole lines; a half line that a crash of the machine left behind is ended before
// anything is added. Lines are not synced to the disk one by one: a crash of proxyd loses none that flush()
// handed over, a power cut may.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "proxyd/audit/audit_sink.h"

namespace p11shim {

struct FileSinkOptions {
  std::string path;
  mode_t mode = 0640;          // of a file that we make
  std::uint64_t max_size = 0;  // rotated when it has grown to it; 0: never
  std::uint32_t keep = 0;      // rotated files that stay
};

class FileSink final : public AuditSink {
 public:
  // Opens the file, so that a wrong path is found at start: throws AuditSinkError.
  explicit FileSink(FileSinkOptions options);
  ~FileSink() override;
  FileSink(const FileSink&) = delete;
  FileSink& operator=(const FileSink&) = delete;

  void write(std::string_view lines) override;
  void reopen() override;

 private:
  void open();
  void close();
  void end_half_line();
  void append(std::string_view lines);
  void rotate();
  [[noreturn]] void fail(const char* what, int error, bool lost = true) const;

  FileSinkOptions options_;
  int file_ = -1;
  std::uint64_t size_ = 0;
};

}  // namespace p11shim
