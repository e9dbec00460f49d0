// Small plots as SVG text, and the page around them.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace p11shim {

std::string html_text(std::string_view text);  // escaped
// A self-contained page up to its heading; "</body></html>" ends it.
std::string html_page_begin(std::string_view title);

struct Bar {
  std::string label;
  double value;
  double low;  // of its interval; equal to high: none
  double high;
  std::string text;
};
std::string bar_plot(const std::vector<Bar>& bars);

struct Line {
  std::string name;
  std::vector<std::pair<double, double>> points;  // NaN interrupts it
};
struct PlotAxes {
  std::string x;
  std::string y;
  bool log_x = false;
  bool log_y = false;
  std::string (*x_text)(double) = nullptr;
  std::string (*y_text)(double) = nullptr;
  bool steps = false;  // bars that touch, of a histogram
};
std::string line_plot(const std::vector<Line>& lines, const PlotAxes& axes);

// Ratios with their intervals around 1.
std::string ratio_plot(const std::vector<Bar>& ratios);

}  // namespace p11shim
