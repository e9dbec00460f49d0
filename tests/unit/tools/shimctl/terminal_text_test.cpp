#include "tools/shimctl/output/terminal_text.h"

#include <gtest/gtest.h>

namespace p11shim {
namespace {

TEST(TerminalText, KeepsWhatIsPrintable) {
  for (const char* text : {"", "plain text", "schlüssel", "ключ", "鍵", "🔑"}) EXPECT_EQ(terminal_text(text), text);
}

TEST(TerminalText, EscapesControlCharacters) {
  EXPECT_EQ(terminal_text("a\x1b]0;title\x07"), "a\\x1b]0;title\\x07");
  EXPECT_EQ(terminal_text("\r\n\t\x7f"), "\\x0d\\x0a\\x09\\x7f");
  EXPECT_EQ(terminal_text(std::string_view("\0", 1)), "\\x00");
  EXPECT_EQ(terminal_text("\xc2\x9b"
                          "2J"),
            "\\xc2\\x9b"
            "2J")
      << "CSI in its C1 form";
}

TEST(TerminalText, EscapesMarksThatTurnTheWritingRound) {
  EXPECT_EQ(terminal_text("\u202e"), "\\xe2\\x80\\xae");
  EXPECT_EQ(terminal_text("\u2066"), "\\xe2\\x81\\xa6");
  EXPECT_EQ(terminal_text("\u2026"), "…") << "a neighbour";
}

TEST(TerminalText, EscapesWhatIsNoUtf8) {
  EXPECT_EQ(terminal_text("\xff"), "\\xff");
  EXPECT_EQ(terminal_text("\xc3("), "\\xc3(");
  EXPECT_EQ(terminal_text("ok\xe2\x82"), "ok\\xe2\\x82");
  EXPECT_EQ(terminal_text("\x9b"
                          "2J"),
            "\\x9b"
            "2J")
      << "CSI to a terminal that is not in UTF-8 mode";
}

TEST(TerminalText, WidthIsThatOfCharacters) {
  EXPECT_EQ(display_width(""), 0u);
  EXPECT_EQ(display_width("1.00 µs"), 7u);
}

}  // namespace
}  // namespace p11shim
