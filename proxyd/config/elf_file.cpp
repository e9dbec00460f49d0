#include "proxyd/config/elf_file.h"

#include <elf.h>
#include <link.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

// This program's own ELF header, from the linker: what a module has to match.
// NOLINTNEXTLINE(bugprone-reserved-identifier): the linker's name
extern "C" const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

namespace p11shim {
namespace {

constexpr std::uint64_t kLargestTable = std::uint64_t{64} << 20;  // no module's symbols need more

constexpr std::array<std::pair<unsigned, std::string_view>, 9> kMachines{{{EM_386, "x86"},
                                                                          {EM_X86_64, "x86-64"},
                                                                          {EM_ARM, "ARM"},
                                                                          {EM_AARCH64, "AArch64"},
                                                                          {EM_PPC64, "POWER"},
                                                                          {EM_S390, "s390"},
                                                                          {EM_RISCV, "RISC-V"},
                                                                          {EM_MIPS, "MIPS"},
                                                                          {EM_SPARCV9, "SPARC"}}};

std::string machine_name(unsigned machine) {
  for (const auto& [number, name] : kMachines) {
    if (number == machine) return std::string(name);
  }
  return "machine " + std::to_string(machine);
}

bool read_at(int fd, std::uint64_t offset, void* into, std::size_t length) {
  auto* bytes = static_cast<char*>(into);
  while (length > 0) {
    const ssize_t got = pread(fd, bytes, length, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    bytes += got;
    offset += static_cast<std::uint64_t>(got);
    length -= static_cast<std::size_t>(got);
  }
  return true;
}

// A table of T that lies within a file of `size` bytes; false if it does not.
template <class T>
bool read_table(int fd, std::uint64_t size, std::uint64_t offset, std::uint64_t length, std::vector<T>& table) {
  if (length > kLargestTable || length > size || offset > size - length) return false;
  table.resize(length / sizeof(T));
  return read_at(fd, offset, table.data(), table.size() * sizeof(T));
}

bool defines(const ElfW(Sym) & symbol, const std::vector<char>& names, std::string_view wanted) {
  const unsigned binding = symbol.st_info >> 4;
  if (symbol.st_shndx == SHN_UNDEF || (binding != STB_GLOBAL && binding != STB_WEAK)) return false;
  if (symbol.st_name >= names.size() || names.size() - symbol.st_name <= wanted.size()) return false;
  const char* name = names.data() + symbol.st_name;
  return std::memcmp(name, wanted.data(), wanted.size()) == 0 && name[wanted.size()] == '\0';
}

std::string header_problem(const ElfW(Ehdr) & header) {
  const auto* ident = header.e_ident;
  if (ident[0] == '#' && ident[1] == '!') return "is a script, not a shared object";
  if (std::memcmp(ident, ELFMAG, SELFMAG) != 0) return "is not a shared object (it has no ELF header)";
  const auto* ours = __ehdr_start.e_ident;
  if (ident[EI_CLASS] != ours[EI_CLASS]) {
    const bool is_64 = ident[EI_CLASS] == ELFCLASS64;
    return std::string("is a ") + (is_64 ? "64" : "32") + "-bit object (expected " + (is_64 ? "32" : "64") + "-bit)";
  }
  if (ident[EI_DATA] != ours[EI_DATA]) return "is built for another byte order";
  if (header.e_machine != __ehdr_start.e_machine) {
    return "is built for " + machine_name(header.e_machine) + " (expected " + machine_name(__ehdr_start.e_machine) +
           ')';
  }
  if (header.e_type != ET_DYN) return "is an ELF file but not a shared object";
  return {};
}

}  // namespace

std::string shared_object_problem(int fd, const char* symbol) {
  constexpr std::string_view kDamaged = "is a damaged ELF file (cut short?)";
  struct stat facts {};
  if (fstat(fd, &facts) != 0) return "cannot be read";
  const auto size = static_cast<std::uint64_t>(facts.st_size);
  ElfW(Ehdr) header{};
  if (size == 0) return "is empty";
  if (!read_at(fd, 0, &header, std::min<std::uint64_t>(sizeof header, size))) return "cannot be read";
  if (std::string problem = header_problem(header); !problem.empty()) return problem;
  if (size < sizeof header) return std::string(kDamaged);

  // Without section headers (some vendors strip them) only loading tells what is exported.
  if (header.e_shoff == 0 || header.e_shnum == 0) return {};
  std::vector<ElfW(Shdr)> sections;
  const std::uint64_t sections_length = std::uint64_t{header.e_shnum} * sizeof(ElfW(Shdr));
  const bool readable =
      header.e_shentsize == sizeof(ElfW(Shdr)) && read_table(fd, size, header.e_shoff, sections_length, sections);
  if (!readable) return std::string(kDamaged);

  for (const ElfW(Shdr) & section : sections) {
    if (section.sh_type != SHT_DYNSYM) continue;
    if (section.sh_link >= sections.size()) return std::string(kDamaged);
    const ElfW(Shdr)& strings = sections[section.sh_link];
    std::vector<ElfW(Sym)> symbols;
    std::vector<char> names;
    if (!read_table(fd, size, section.sh_offset, section.sh_size, symbols) ||
        !read_table(fd, size, strings.sh_offset, strings.sh_size, names)) {
      return std::string(kDamaged);
    }
    const auto exported = [&](const ElfW(Sym) & each) { return defines(each, names, symbol); };
    if (std::any_of(symbols.begin(), symbols.end(), exported)) return {};
  }
  return "is not a PKCS#11 module (it does not export " + std::string(symbol) + ')';
}

}  // namespace p11shim
