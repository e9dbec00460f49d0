#include "tools/shimctl/bench/result_table.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tools/shimctl/output/quantity_text.h"
#include "tools/shimctl/output/table.h"

namespace p11shim {

using nlohmann::json;

namespace {

std::string time_text(double ns) { return ns < 0 ? "-" : duration_text(static_cast<std::uint64_t>(std::llround(ns))); }

std::string percent_text(double percent) {
  std::ostringstream text;
  text.precision(percent < 10 ? 2 : 3);
  text << percent << " %";
  return text.str();
}

std::string name_of(const json& test) {
  std::string name = test["name"].get<std::string>();
  if (!test["data_size"].is_null()) name += "/" + test["data_size"].dump();
  if (!test["side"].is_null()) name += " " + test["side"].get<std::string>();
  if (test.contains("run") && test["run"].is_string()) name += ", " + test["run"].get<std::string>();
  return name;
}

std::string doubt_text(const json& rate) {
  const double value = rate["per_second"].get<double>();
  if (value <= 0 || rate["low"].is_null()) return "-";
  return "±" + percent_text(50 * (rate["high"].get<double>() - rate["low"].get<double>()) / value);
}

std::string change_text(const json& test) {
  const json& comparison = test["comparison"];
  if (comparison.is_null()) return "";
  const auto verdict = comparison["verdict"].get<std::string>();
  if (verdict == "~") return "~";
  std::ostringstream text;
  text.precision(3);
  text << std::showpos << 100 * (comparison["ratio"].get<double>() - 1) << " % ";
  return text.str() + (verdict == "noisy" ? "? too noisy" : verdict);
}

std::string state_text(const json& test) {
  const auto status = test["status"].get<std::string>();
  std::string text = status == "ok" ? "" : status;
  if (!test["reason"].is_null()) text += (text.empty() ? "" : ": ") + test["reason"].get<std::string>();
  if (!test.contains("latency")) return text;
  for (const auto& [code, count] : test["errors"].items())
    text += (text.empty() ? "" : ", ") + count.dump() + " × " + code;
  if (test["wrong"] != 0) text += ", " + test["wrong"].dump() + " wrong: " + test.value("first_wrong", "");
  if (!test["noise"].is_null() && test["noise"]["too_noisy"] == true)
    text += std::string(text.empty() ? "" : ", ") + "noisy";
  return text;
}

std::vector<std::string> row_of(const json& test, const json& latency, const std::string& name) {
  return {name,
          rate_text(test["rate"]["per_second"].get<double>()),
          doubt_text(test["rate"]),
          time_text(percentile_in(latency, 50)),
          time_text(percentile_in(latency, 90)),
          time_text(percentile_in(latency, 99)),
          time_text(percentile_in(latency, 99.9)),
          time_text(latency["max_ns"].get<double>()),
          change_text(test),
          state_text(test)};
}

}  // namespace

const json& seen_latency(const json& test) {
  static const json kNone;
  if (test.contains("response") && !test["response"].is_null()) return test["response"];
  return test.contains("latency") ? test["latency"] : kNone;
}

double percentile_in(const json& latency, double percent) {
  if (latency.is_null()) return -1;
  for (const auto& entry : latency["percentiles"]) {
    if (entry["percent"] == percent) return entry["ns"].get<double>();
  }
  return -1;
}

void write_test_table(std::ostream& out, const json& tests, const TableStyle& style) {
  Table table({{"TEST"},
               {"OPS/S", Align::kRight},
               {"", Align::kRight},
               {"P50", Align::kRight},
               {"P90", Align::kRight},
               {"P99", Align::kRight},
               {"P99.9", Align::kRight},
               {"MAX", Align::kRight},
               {"CHANGE"},
               {"NOTE"}});
  for (const auto& test : tests) {
    if (!test.contains("latency")) {
      table.add_row({name_of(test), "-", "", "-", "-", "-", "-", "-", "", state_text(test)});
      continue;
    }
    if (test["response"].is_null()) {
      table.add_row(row_of(test, test["latency"], name_of(test)));
      continue;
    }
    // Both, so that nobody takes the one for the other.
    table.add_row(row_of(test, test["response"], name_of(test) + ", from the intended begin"));
    table.add_row(row_of(test, test["latency"], name_of(test) + ", uncorrected"));
  }
  table.write(out, style.emphasis, style.width);
}

void write_histogram(std::ostream& out, const json& test, std::size_t width) {
  const json& latency = seen_latency(test);
  if (latency.is_null() || latency["count"] == 0) return;
  const json& buckets = latency["raw"]["buckets"];
  const double doublings =
      std::log2(std::max(1.0, buckets.back()[0].get<double>()) / std::max(1.0, buckets.front()[0].get<double>()));
  const double steps = doublings <= 3 ? 8 : doublings <= 6 ? 4 : doublings <= 12 ? 2 : 1;  // bars per doubling
  std::map<int, std::uint64_t> bars;
  std::uint64_t highest = 0;
  for (const auto& bucket : buckets) {
    const double low = std::max(1.0, bucket[0].get<double>());
    auto& bar = bars[static_cast<int>(std::floor(steps * std::log2(low)))];
    highest = std::max(highest, bar += bucket[1].get<std::uint64_t>());
  }
  const std::size_t longest =
      std::clamp<std::size_t>(width == 0 ? 60 : width - std::min<std::size_t>(width, 32), 10, 60);
  out << '\n' << name_of(test) << '\n';
  for (const auto& [step, count] : bars) {
    const auto length = std::max<std::size_t>(1, longest * count / highest);
    std::string label = time_text(std::exp2(step / steps));
    label.insert(0, label.size() < 10 ? 10 - label.size() : 0, ' ');
    out << label << "  " << std::string(length, '#') << ' ' << count << '\n';
  }
}

std::string prometheus_text(const json& tests) {
  std::ostringstream text;
  text << "# HELP p11shim_bench_rate Operations per second.\n# TYPE p11shim_bench_rate gauge\n";
  const auto labels = [](const json& test) {
    std::string all = "test=\"" + test["name"].get<std::string>() + "\"";
    if (!test["side"].is_null()) all += ",side=\"" + test["side"].get<std::string>() + "\"";
    if (!test["data_size"].is_null()) all += ",bytes=\"" + test["data_size"].dump() + "\"";
    return all;
  };
  const auto each = [&](auto&& write) {
    for (const auto& test : tests) {
      if (test.contains("latency")) write(test, labels(test));
    }
  };
  each([&](const json& test, const std::string& names) {
    text << "p11shim_bench_rate{" << names << "} " << test["rate"]["per_second"].dump() << '\n';
  });
  text << "# HELP p11shim_bench_failures_total Operations that failed or answered something wrong.\n"
          "# TYPE p11shim_bench_failures_total counter\n";
  each([&](const json& test, const std::string& names) {
    text << "p11shim_bench_failures_total{" << names << "} "
         << test["failed"].get<std::uint64_t>() + test["wrong"].get<std::uint64_t>() << '\n';
  });
  text << "# HELP p11shim_bench_latency_seconds Latency of successful operations.\n"
          "# TYPE p11shim_bench_latency_seconds histogram\n";
  each([&](const json& test, const std::string& names) {
    const json& latency = seen_latency(test);
    std::uint64_t seen = 0;
    std::map<std::uint64_t, std::uint64_t> bounds;  // powers of two
    for (const auto& bucket : latency["raw"]["buckets"])
      bounds[std::bit_ceil(bucket[0].get<std::uint64_t>() + 1)] += bucket[1].get<std::uint64_t>();
    for (const auto& [bound, count] : bounds) {
      seen += count;
      text << "p11shim_bench_latency_seconds_bucket{" << names << ",le=\"" << static_cast<double>(bound) / 1e9 << "\"} "
           << seen << '\n';
    }
    text << "p11shim_bench_latency_seconds_bucket{" << names << ",le=\"+Inf\"} " << seen << '\n'
         << "p11shim_bench_latency_seconds_sum{" << names << "} " << latency["raw"]["sum_ns"].get<double>() / 1e9
         << '\n'
         << "p11shim_bench_latency_seconds_count{" << names << "} " << seen << '\n';
  });
  return text.str();
}

std::vector<ReportColumn> test_columns() {
  std::vector<ReportColumn> columns;
  for (const char* key : {"name",
                          "side",
                          "data_size",
                          "status",
                          "reason",
                          "threads",
                          "count",
                          "failed",
                          "wrong",
                          "rate.per_second",
                          "rate.low",
                          "rate.high",
                          "p50_ns",
                          "p90_ns",
                          "p95_ns",
                          "p99_ns",
                          "p999_ns",
                          "latency.min_ns",
                          "latency.mean_ns",
                          "latency.max_ns",
                          "uncorrected_p99_ns",
                          "bytes_per_second"}) {
    columns.push_back({key, key});
  }
  return columns;
}

}  // namespace p11shim
