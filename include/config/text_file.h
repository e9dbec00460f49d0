// Reads a configuration file whole: a regular file of at most 1 MiB, opened once, so that what is said about
// its owner is true of the text.
#pragma once

#include <sys/types.h>

#include <string>

namespace p11shim {

struct TextFile {
  int error = 0;        // errno of what failed; 0: everything below is valid
  std::string message;  // the same in words, "cannot read: No such file or directory"
  std::string text;
  uid_t owner = 0;
  bool others_may_write = false;  // by group or world permission
};

TextFile read_text_file(const std::string& path);

}  // namespace p11shim
