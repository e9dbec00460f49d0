// Tells what came out: tables of ratios, one line per measure, and a file for programs to read.
#pragma once

#include <filesystem>
#include <iosfwd>

#include "results.h"

namespace p11shim {

void print_ratios(std::ostream& out, const Results& results);
void print_data_paths(std::ostream& out, const Results& results);
void print_measures(std::ostream& out, const Results& results);
void write_json(const std::filesystem::path& file, const Results& results);

}  // namespace p11shim
