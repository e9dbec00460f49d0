#include "elf_image.h"

#include <elf.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <span>
#include <string_view>

namespace p11shim {
namespace {

class Reader {
 public:
  explicit Reader(const std::filesystem::path& file) {
    std::ifstream stream(file, std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(stream), {});
    require(bytes_.size() > sizeof(Elf64_Ehdr) && std::memcmp(bytes_.data(), ELFMAG, SELFMAG) == 0);
    header_ = at<Elf64_Ehdr>(0);
    require(header_->e_ident[EI_CLASS] == ELFCLASS64 && header_->e_type == ET_DYN);
  }

  template <class T>
  const T* at(std::size_t offset) const {
    require(offset + sizeof(T) <= bytes_.size());
    return reinterpret_cast<const T*>(bytes_.data() + offset);
  }

  std::span<const Elf64_Shdr> sections() const { return {at<Elf64_Shdr>(header_->e_shoff), header_->e_shnum}; }
  std::span<const Elf64_Phdr> segments() const { return {at<Elf64_Phdr>(header_->e_phoff), header_->e_phnum}; }

  template <class T>
  std::span<const T> content(const Elf64_Shdr& section) const {
    if (section.sh_size == 0) return {};
    return {at<T>(section.sh_offset), section.sh_size / sizeof(T)};
  }

  const char* text(const Elf64_Shdr& user, std::size_t offset) const {
    return at<char>(sections()[user.sh_link].sh_offset + offset);
  }

 private:
  static void require(bool condition) {
    if (!condition) std::abort();
  }

  std::vector<char> bytes_;
  const Elf64_Ehdr* header_ = nullptr;
};

void read_dynamic_symbols(const Reader& reader, const Elf64_Shdr& section, ElfImage& image) {
  for (const Elf64_Sym& symbol : reader.content<Elf64_Sym>(section)) {
    const bool is_local = ELF64_ST_BIND(symbol.st_info) == STB_LOCAL;
    if (!is_local && symbol.st_shndx != SHN_UNDEF) image.exported.insert(reader.text(section, symbol.st_name));
  }
}

// GCC and clang gather what a source constructs before main in one function of this name.
void read_symbols(const Reader& reader, const Elf64_Shdr& section, ElfImage& image) {
  image.has_symbol_table = true;
  for (const Elf64_Sym& symbol : reader.content<Elf64_Sym>(section)) {
    const std::string name = reader.text(section, symbol.st_name);
    if (name.starts_with("_GLOBAL__sub_I_")) image.constructors.push_back(name);
  }
}

void read_dynamic(const Reader& reader, const Elf64_Shdr& section, ElfImage& image) {
  for (const Elf64_Dyn& entry : reader.content<Elf64_Dyn>(section)) {
    if (entry.d_tag == DT_NULL) return;
    if (entry.d_tag == DT_NEEDED) image.needed.insert(reader.text(section, entry.d_un.d_val));
    if (entry.d_tag == DT_TEXTREL) image.has_text_relocations = true;
    if (entry.d_tag == DT_INIT_ARRAYSZ) image.init_entries = entry.d_un.d_val / sizeof(void*);
    if (entry.d_tag == DT_FLAGS && (entry.d_un.d_val & DF_BIND_NOW) != 0) image.binds_at_load = true;
    if (entry.d_tag == DT_FLAGS && (entry.d_un.d_val & DF_TEXTREL) != 0) image.has_text_relocations = true;
  }
}

void read_versions(const Reader& reader, const Elf64_Shdr& section, ElfImage& image) {
  std::size_t at_library = section.sh_offset;
  for (Elf64_Word library = 0; library < section.sh_info; ++library) {
    const auto* need = reader.at<Elf64_Verneed>(at_library);
    std::size_t at_version = at_library + need->vn_aux;
    for (Elf64_Half version = 0; version < need->vn_cnt; ++version) {
      const auto* wanted = reader.at<Elf64_Vernaux>(at_version);
      image.versions.insert(reader.text(section, wanted->vna_name));
      at_version += wanted->vna_next;
    }
    at_library += need->vn_next;
  }
}

}  // namespace

ElfImage read_elf(const std::filesystem::path& file) {
  const Reader reader(file);
  ElfImage image;
  for (const Elf64_Shdr& section : reader.sections()) {
    switch (section.sh_type) {
      case SHT_DYNSYM: read_dynamic_symbols(reader, section, image); break;
      case SHT_SYMTAB: read_symbols(reader, section, image); break;
      case SHT_DYNAMIC: read_dynamic(reader, section, image); break;
      case SHT_GNU_verneed: read_versions(reader, section, image); break;
      default: break;
    }
  }
  for (const Elf64_Phdr& segment : reader.segments()) {
    if (segment.p_type == PT_GNU_STACK) image.has_executable_stack = (segment.p_flags & PF_X) != 0;
  }
  return image;
}

}  // namespace p11shim
