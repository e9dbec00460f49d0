#include "side.h"

#include <stdexcept>

namespace p11shim::compare {
namespace {

constexpr auto kPopulateDeadline = std::chrono::seconds(60);

}  // namespace

FreshTokens::FreshTokens(const Backend& backend, const std::string& module) : backend_(backend), module_(module) {
  const auto tokens = directory_.path() / "t";
  backend_.settle(tokens);
  const ChildEnd end =
      run_in_child(backend_.environment(tokens), kPopulateDeadline, [&](int) { backend_.populate(tokens, module_); });
  if (!end.failure.empty()) throw std::runtime_error("cannot make fresh tokens: " + end.failure);
}

void FreshTokens::copy_to(const std::filesystem::path& directory) const {
  std::filesystem::copy(directory_.path() / "t", directory, std::filesystem::copy_options::recursive);
  backend_.settle(directory);
}

ChildEnd Side::run(const std::function<void(const Scene&, int fd)>& application, std::chrono::seconds deadline) const {
  const Stage stage(*this);
  const Scene scene = stage.scene();
  ChildEnd end = run_in_child(stage.environment(), deadline, [&](int fd) { application(scene, fd); });
  end.log = stage.log();
  if (!end.failure.empty()) end.failure += "\n" + end.log;
  return end;
}

Side::Stage::Stage(const Side& side) : side_(side) {
  const FreshTokens& fresh = side.tokens_;
  fresh.copy_to(directory_.path() / "t");
  if (side.programs_)
    proxy_.emplace(*side.programs_, fresh.backend(), fresh.module(), directory_.path() / "t", directory_.path() / "p");
}

Scene Side::Stage::scene() const {
  const FreshTokens& fresh = side_.tokens_;
  if (proxy_) return {fresh.backend(), side_.programs_->shim.string(), {}};
  return {fresh.backend(), fresh.module(), fresh.backend().library_parameters(directory_.path() / "t")};
}

Environment Side::Stage::environment() const {
  if (proxy_) return proxy_->environment();
  return side_.tokens_.backend().environment(directory_.path() / "t");
}

}  // namespace p11shim::compare
