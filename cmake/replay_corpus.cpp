// Stands in for libFuzzer where it is not available: feeds every file of the named corpus
// folders to the fuzz target once, and a few inputs of its own, so that each seed stays a
// regression test in every build.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

void replay(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(stream), {}};
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
}

}  // namespace

int main(int argc, char** argv) {
  std::size_t seeds = 0;
  for (int i = 1; i < argc; ++i) {
    for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
      replay(entry.path());
      ++seeds;
    }
  }
  const std::vector<std::uint8_t> zeros(64, 0x00), ones(64, 0xff);
  for (std::size_t size = 0; size <= zeros.size(); ++size) {
    LLVMFuzzerTestOneInput(zeros.data(), size);
    LLVMFuzzerTestOneInput(ones.data(), size);
  }
  std::printf("replayed %zu seeds\n", seeds);
  return 0;
}
