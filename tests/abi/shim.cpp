#include "shim.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>

namespace p11shim {
namespace {

constexpr unsigned kChildSeconds = 60;

std::filesystem::path& folder() {
  static std::filesystem::path path;
  return path;
}

}  // namespace

void* Shim::symbol(const char* name) const { return ::dlsym(handle, name); }

Shim load_shim(const std::string& path) {
  Shim shim;
  shim.handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (shim.handle == nullptr) fail_msg("%s", ::dlerror());
  const auto get_list = reinterpret_cast<CK_C_GetFunctionList>(shim.symbol("C_GetFunctionList"));
  const auto get_interface = reinterpret_cast<CK_C_GetInterface>(shim.symbol("C_GetInterface"));
  assert_non_null(get_list);
  assert_non_null(get_interface);
  assert_int_equal(get_list(&shim.v2), CKR_OK);
  CK_INTERFACE* interface = nullptr;
  assert_int_equal(get_interface(nullptr, nullptr, &interface, 0), CKR_OK);
  shim.v3 = static_cast<CK_FUNCTION_LIST_3_0*>(interface->pFunctionList);
  return shim;
}

int make_private_folder(void**) {
  std::string pattern = (std::filesystem::temp_directory_path() / "p11abi-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) return -1;
  folder() = pattern;
  ::unsetenv("P11SHIM_ENDPOINT");
  ::unsetenv("P11SHIM_LOG");
  ::setenv("P11SHIM_CONF", private_path("shim.toml").c_str(), 1);
  configure("");
  return 0;
}

int remove_private_folder(void**) {
  std::filesystem::remove_all(folder());
  return 0;
}

std::filesystem::path private_path(const std::string& name) { return folder() / name; }

void configure(const std::string& lines) {
  std::ofstream file(private_path("shim.toml"));
  file << "endpoint = \"unix:" << private_path("nobody.sock").string() << "\"\n" << lines << '\n';
}

int in_child(const std::function<void()>& body) {
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child < 0) fail_msg("cannot fork");
  if (child == 0) {
    const int output = ::open(private_path("output").c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    ::dup2(output, STDOUT_FILENO);
    ::dup2(output, STDERR_FILENO);
    ::close(output);
    ::alarm(kChildSeconds);
    body();
    std::exit(0);
  }
  int status = 0;
  assert_int_equal(::waitpid(child, &status, 0), child);
  const int result = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  if (result != 0) print_error("child: %s\n", read_text(private_path("output")).c_str());
  return result;
}

void expect(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "not so: %s\n", what);
  std::fflush(nullptr);
  ::_exit(1);
}

std::size_t count_entries(const std::string& path) {
  const std::filesystem::directory_iterator entries(path);
  return static_cast<std::size_t>(std::distance(begin(entries), end(entries)));
}

std::string read_text(const std::filesystem::path& file) {
  std::ifstream stream(file);
  return {std::istreambuf_iterator<char>(stream), {}};
}

}  // namespace p11shim
