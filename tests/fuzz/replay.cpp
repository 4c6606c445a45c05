// Stands in for libFuzzer where the compiler has none: calls the target once for each file that is named, or that is in
// a folder that is named.
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "support/text_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size);

namespace {

int replay(const std::filesystem::path& file) {
  const std::string input = test::read_text(file.string());
  // A copy of exactly this size: a sanitizer sees a read beyond its end.
  const std::vector<unsigned char> bytes(input.begin(), input.end());
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  int replayed = 0;
  for (int i = 1; i < argc; ++i) {
    if (!std::filesystem::is_directory(argv[i])) {
      replayed += replay(argv[i]);
      continue;
    }
    for (const auto& entry : std::filesystem::directory_iterator(argv[i])) replayed += replay(entry.path());
  }
  std::printf("%d inputs replayed, nothing found\n", replayed);
  return replayed > 0 ? 0 : 1;
}
