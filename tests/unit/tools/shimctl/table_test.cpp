#include "tools/shimctl/output/table.h"

#include <gtest/gtest.h>

#include <sstream>
#include <stdexcept>

namespace p11shim {
namespace {

std::string written(const Table& table, bool emphasis = false) {
  std::ostringstream out;
  table.write(out, emphasis);
  return out.str();
}

TEST(Table, AlignsItsColumns) {
  Table table({{"NAME"}, {"CALLS", Align::kRight}, {"NOTE"}});
  table.add_row({"a", "1", "x"});
  table.add_row({"longer", "12345678", ""});
  EXPECT_EQ(written(table),
            "NAME       CALLS  NOTE\n"
            "a              1  x\n"
            "longer  12345678\n");
}

TEST(Table, CountsCharactersNotBytes) {
  Table table({{"TIME", Align::kRight}, {"X"}});
  table.add_row({"1.00 µs", "x"});
  table.add_row({"10.0 ms", "x"});
  EXPECT_EQ(written(table),
            "   TIME  X\n"
            "1.00 µs  x\n"
            "10.0 ms  x\n");
}

TEST(Table, EmphasisesItsHeadingsOnly) {
  Table table({{"A"}});
  table.add_row({"x"});
  EXPECT_EQ(written(table, true), "\x1b[1mA\x1b[0m\nx\n");
}

TEST(Table, KeepsCellsFromTheTerminal) {
  Table table({{"A"}});
  table.add_row({"\x1b[2Jevil\n"});
  EXPECT_EQ(written(table), "A\n\\x1b[2Jevil\\x0a\n");
}

TEST(Table, RefusesARowOfAnotherLength) {
  Table table({{"A"}, {"B"}});
  EXPECT_THROW(table.add_row({"x"}), std::logic_error);
}

}  // namespace
}  // namespace p11shim
