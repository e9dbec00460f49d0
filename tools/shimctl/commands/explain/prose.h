// Text for people: paragraphs and lists under headings, filled to the terminal's width.
#pragma once

#include <ostream>
#include <string>
#include <string_view>
#include <vector>

namespace p11shim {

class Prose {
 public:
  // `width` 0: nobody looks, a width for files. `emphasis` makes titles and headings bold.
  Prose(std::ostream& out, std::size_t width, bool emphasis);

  void title(const std::string& text, const std::string& beside = {});
  void paragraph(const std::string& text);
  // A heading and one paragraph beside it; nothing if `text` is empty.
  void field(const std::string& heading, const std::string& text);
  void list(const std::string& heading, const std::vector<std::string>& items);  // nothing if there are none
  // The line has `indent` columns already.
  void hanging(const std::string& text, std::size_t indent) { fill(text, indent, indent); }
  void words(const std::string& heading, const std::vector<std::string>& words);

 private:
  void fill(const std::string& text, std::size_t indent, std::size_t first);
  std::string bold(const std::string& text) const;

  std::ostream& out_;
  std::size_t width_;
  bool emphasis_;
};

}  // namespace p11shim
