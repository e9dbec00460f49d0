// The differences that may be: the table of docs/differences.md, which both people and the comparator read.
#pragma once

#include <string>
#include <vector>

namespace p11shim::compare {

// One place where two transcripts say different things.
struct Difference {
  std::string test_case;
  std::size_t line = 0;  // of the transcript, from 1
  std::string function;
  std::string field;   // "rv", or a field of the output
  std::string direct;  // "(none)" where a side says nothing
  std::string proxied;
};

class AllowedDifferences {
 public:
  // Reads the rows of the table whose header names function, field, backend, direct, proxied, case and why.
  // Cells are shell patterns, in backquotes or not. Throws std::runtime_error on a table that it does not understand.
  static AllowedDifferences parse(const std::string& markdown);
  static AllowedDifferences read(const std::string& path);

  bool allows(const Difference& difference, const std::string& backend) const;
  std::size_t size() const { return rows_.size(); }
  // Rows for `backend` that no difference has needed so far, as they stand in the table. Of several rows that allow the
  // same, the first one is needed.
  std::vector<std::string> unused(const std::string& backend) const;

 private:
  struct Row {
    std::string function, field, backend, direct, proxied, test_case, why;
    mutable bool used = false;
  };
  std::vector<Row> rows_;
};

}  // namespace p11shim::compare
