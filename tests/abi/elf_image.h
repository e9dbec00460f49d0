// The parts of a 64-bit ELF shared library that tell what it asks of the process that loads it.
#pragma once

#include <cstddef>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

namespace p11shim {

struct ElfImage {
  std::set<std::string> exported;         // defined dynamic symbols, global or weak
  std::set<std::string> needed;           // libraries
  std::set<std::string> versions;         // required of them: "GLIBC_2.34"
  std::vector<std::string> constructors;  // local symbols of functions that .init_array calls for C++ objects
  std::size_t init_entries = 0;           // pointers in .init_array
  bool has_text_relocations = false;
  bool has_executable_stack = true;
  bool binds_at_load = false;
  bool has_symbol_table = false;  // not stripped, so `constructors` means something
};

// Aborts if the file is not what the build produces.
ElfImage read_elf(const std::filesystem::path& file);

}  // namespace p11shim
