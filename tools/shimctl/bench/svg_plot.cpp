#include "tools/shimctl/bench/svg_plot.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace p11shim {

namespace {

constexpr char kPageBegin[] = R"(<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>)";
constexpr char kPageStyle[] = R"(</title>
<meta name="viewport" content="width=device-width"><style>
body{font:15px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1d2329;background:#fff}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.2rem;border-bottom:1px solid #d5dae0}h3{font-size:1rem;margin-bottom:.2rem}
table{border-collapse:collapse;font-size:.85rem;display:block;overflow-x:auto}td,th{padding:.15rem .7rem;text-align:right;border-bottom:1px solid #eceff2}
td:first-child,th:first-child,td:last-child,th:last-child{text-align:left}
svg{width:100%;height:auto}svg text{font:11px sans-serif;fill:#444}.grid{stroke:#e1e5e9}.doubt{stroke:#1d2329;stroke-width:2}
.warn{background:#fff2d8;padding:.5rem 1rem}dl{display:grid;grid-template-columns:max-content auto;gap:.1rem 1rem;font-size:.85rem}dd{margin:0}
</style></head><body>
)";

constexpr double kWidth = 720;
constexpr double kHeight = 240;
constexpr double kLeft = 90;
constexpr double kRight = 20;
constexpr double kTop = 14;
constexpr double kBottom = 40;
constexpr double kBarHeight = 20;
constexpr double kLabels = 230;
constexpr std::array kColours{"#2563a8", "#c2571a", "#3b8a4e", "#7a4fa3", "#a83240", "#5c6670"};

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", value);
  return text;
}

std::string point(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", value);
  return text;
}

std::string text_at(double x, double y, const std::string& text, const char* anchor = "start") {
  return "<text x=\"" + point(x) + "\" y=\"" + point(y) + "\" text-anchor=\"" + anchor + "\">" + html_text(text) +
         "</text>";
}

std::string line_between(double x1, double y1, double x2, double y2, const char* style) {
  return "<line x1=\"" + point(x1) + "\" y1=\"" + point(y1) + "\" x2=\"" + point(x2) + "\" y2=\"" + point(y2) +
         "\" class=\"" + style + "\"/>";
}

std::string opened(double width, double height, const std::string& title) {
  return "<svg viewBox=\"0 0 " + point(width) + " " + point(height) + "\" role=\"img\" aria-label=\"" +
         html_text(title) + "\">";
}

class Scale {
 public:
  Scale(double low, double high, double from, double to, bool log)
      : log_(log), low_(map(low)), high_(map(high)), from_(from), to_(to) {
    if (high_ <= low_) high_ = low_ + 1;
  }
  double at(double value) const { return from_ + (map(value) - low_) / (high_ - low_) * (to_ - from_); }
  double value_at(double share) const {
    const double mapped = low_ + share * (high_ - low_);
    return log_ ? std::exp(mapped) : mapped;
  }

 private:
  double map(double value) const { return log_ ? std::log(std::max(value, 1e-9)) : value; }

  bool log_;
  double low_;
  double high_;
  double from_;
  double to_;
};

}  // namespace

std::string html_text(std::string_view text) {
  std::string escaped;
  for (const char byte : text) {
    switch (byte) {
      case '&': escaped += "&amp;"; break;
      case '<': escaped += "&lt;"; break;
      case '>': escaped += "&gt;"; break;
      case '"': escaped += "&quot;"; break;
      default: escaped += static_cast<unsigned char>(byte) < 0x20 && byte != '\n' ? '?' : byte;
    }
  }
  return escaped;
}

std::string html_page_begin(std::string_view title) {
  return kPageBegin + html_text(title) + kPageStyle + "<h1>" + html_text(title) + "</h1>";
}

std::string bar_plot(const std::vector<Bar>& bars) {
  double highest = 0;
  for (const auto& bar : bars) highest = std::max({highest, bar.value, bar.high});
  const double height = kBarHeight * static_cast<double>(bars.size()) + 10;
  const Scale scale(0, highest, kLabels, kWidth - 90, false);
  std::string svg = opened(kWidth, height, "bars");
  for (std::size_t i = 0; i < bars.size(); ++i) {
    const double y = kBarHeight * static_cast<double>(i) + 4;
    const double end = scale.at(bars[i].value);
    svg += text_at(kLabels - 8, y + 12, bars[i].label, "end");
    svg += "<rect x=\"" + point(kLabels) + "\" y=\"" + point(y) + "\" width=\"" + point(std::max(1.0, end - kLabels)) +
           "\" height=\"" + point(kBarHeight - 6) + "\" fill=\"" + kColours[0] + "\"/>";
    if (bars[i].high > bars[i].low)
      svg += line_between(scale.at(bars[i].low), y + 7, scale.at(bars[i].high), y + 7, "doubt");
    svg += text_at(std::max(end, scale.at(bars[i].high)) + 6, y + 12, bars[i].text);
  }
  return svg + "</svg>\n";
}

std::string line_plot(const std::vector<Line>& lines, const PlotAxes& axes) {
  double x_low = HUGE_VAL;
  double x_high = -HUGE_VAL;
  double y_low = axes.log_y ? HUGE_VAL : 0;
  double y_high = -HUGE_VAL;
  for (const auto& line : lines) {
    for (const auto& [x, y] : line.points) {
      if (std::isnan(y)) continue;
      x_low = std::min(x_low, x);
      x_high = std::max(x_high, x);
      y_low = std::min(y_low, y);
      y_high = std::max(y_high, y);
    }
  }
  if (!(x_high >= x_low)) return {};
  const Scale x_scale(x_low, x_high, kLeft, kWidth - kRight, axes.log_x);
  const Scale y_scale(y_low, y_high, kHeight - kBottom, kTop, axes.log_y);
  std::string svg = opened(kWidth, kHeight, axes.y + " over " + axes.x);
  for (int i = 0; i <= 4; ++i) {
    const double y = y_scale.value_at(i / 4.0);
    const double x = x_scale.value_at(i / 4.0);
    svg += line_between(kLeft, y_scale.at(y), kWidth - kRight, y_scale.at(y), "grid");
    svg += text_at(kLeft - 6, y_scale.at(y) + 4, axes.y_text != nullptr ? axes.y_text(y) : number(y), "end");
    // The last one would be cut off at the edge.
    svg += text_at(i == 4 ? kWidth : x_scale.at(x), kHeight - kBottom + 16,
                   axes.x_text != nullptr ? axes.x_text(x) : number(x), i == 4 ? "end" : "middle");
  }
  svg += text_at((kLeft + kWidth) / 2, kHeight - 6, axes.x, "middle");
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const char* colour = kColours[i % kColours.size()];
    std::string path;
    const auto draw = [&] {
      if (path.empty()) return;
      if (path.find(' ') + 1 == path.size()) path += path;  // one point alone is drawn as a dot
      svg += std::string("<polyline fill=\"none\" stroke-width=\"1.6\" stroke-linecap=\"round\" stroke=\"") + colour +
             "\" points=\"" + path + "\"/>";
      path.clear();
    };
    double former = kHeight - kBottom;
    for (const auto& [x, y] : lines[i].points) {
      if (std::isnan(y)) {
        draw();
        continue;
      }
      const std::string at = point(x_scale.at(x)) + "," + point(y_scale.at(y)) + " ";
      if (axes.steps) path += point(x_scale.at(x)) + "," + point(former) + " ";
      path += at;
      former = y_scale.at(y);
    }
    draw();
    svg += std::string("<text x=\"") + point(kWidth - kRight) + "\" y=\"" +
           point(kTop + 4 + 14.0 * static_cast<double>(i)) + "\" text-anchor=\"end\" style=\"fill:" + colour + "\">" +
           html_text(lines[i].name) + "</text>";
  }
  return svg + "</svg>\n";
}

std::string ratio_plot(const std::vector<Bar>& ratios) {
  double furthest = 0.1;
  for (const auto& bar : ratios)
    furthest = std::max({furthest, std::abs(bar.low - 1), std::abs(bar.high - 1), std::abs(bar.value - 1)});
  furthest = std::min(furthest * 1.1, 4.0);
  const double height = kBarHeight * static_cast<double>(ratios.size()) + 10;
  const Scale scale(1 - furthest, 1 + furthest, kLabels, kWidth - 110, false);
  const auto within = [&](double value) { return std::clamp(value, 1 - furthest, 1 + furthest); };
  std::string svg = opened(kWidth, height, "ratios");
  svg += line_between(scale.at(1), 0, scale.at(1), height, "grid");
  for (std::size_t i = 0; i < ratios.size(); ++i) {
    const double y = kBarHeight * static_cast<double>(i) + 11;
    svg += text_at(kLabels - 8, y + 4, ratios[i].label, "end");
    svg += line_between(scale.at(within(ratios[i].low)), y, scale.at(within(ratios[i].high)), y, "doubt");
    svg += "<circle cx=\"" + point(scale.at(within(ratios[i].value))) + "\" cy=\"" + point(y) + "\" r=\"4\" fill=\"" +
           kColours[0] + "\"/>";
    svg += text_at(kWidth - 100, y + 4, ratios[i].text);
  }
  return svg + "</svg>\n";
}

}  // namespace p11shim
