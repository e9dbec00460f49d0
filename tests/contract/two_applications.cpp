#include "two_applications.h"
#include "tests/places.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <system_error>

namespace p11shim::contract {
namespace {

constexpr int kStepDeadlineMs = 60'000;

// Carries out the steps that it is told by number, until nobody is left to tell.
[[noreturn]] void serve(const std::vector<std::function<void(Application&)>>& steps, const Scene& scene, int commands,
                        int answers, int transcript_fd) {
  TranscriptWriter transcript(transcript_fd);
  const Module module(scene.module);
  Application application(scene, module, transcript);
  for (unsigned char number = 0; read(commands, &number, 1) == 1;) {
    std::string failure;
    try {
      steps[number](application);
    } catch (const std::exception& error) {
      failure = error.what();
    }
    failure += '\n';
    if (write(answers, failure.data(), failure.size()) < 0) break;
  }
  _exit(0);
}

}  // namespace

void expect(CK_RV rv, CK_RV expected, const std::string& what) {
  if (rv != expected) throw std::runtime_error(what + ": " + rv_name(rv) + ", not " + rv_name(expected));
}

void expect(bool condition, const std::string& what) {
  if (!condition) throw std::runtime_error("not so: " + what);
}

TwoApplications::Process TwoApplications::launch(const Side::Stage& stage) {
  int to[2], from[2];
  if (pipe(to) != 0 || pipe(from) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
  Process process{fork(), to[1], from[0]};
  if (process.pid < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (process.pid > 0) {
    close(to[0]);
    close(from[1]);
    return process;
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  close(to[1]);
  close(from[0]);
  for (const auto& [name, value] : stage.environment()) setenv(name.c_str(), value.c_str(), 1);
  std::vector<Step> steps;
  for (const Planned& planned : steps_) steps.push_back(planned.step);
  const int nowhere = memfd_create("transcript", MFD_CLOEXEC);
  serve(steps, stage.scene(), to[0], from[1], nowhere);
}

std::string TwoApplications::perform(Process& process, std::size_t number) {
  const auto command = static_cast<unsigned char>(number);
  if (write(process.commands, &command, 1) != 1) return "the process is gone";
  std::string answer;
  for (char c = 0; c != '\n';) {
    pollfd readable{process.answers, POLLIN, 0};
    if (poll(&readable, 1, kStepDeadlineMs) == 0) return "no answer by the deadline";
    if (read(process.answers, &c, 1) != 1) return "the process died";
    answer += c;
  }
  answer.pop_back();
  return answer;
}

void TwoApplications::end(Process& process, bool violently) {
  if (process.pid <= 0) return;
  close(process.commands);
  close(process.answers);
  if (violently) kill(process.pid, SIGKILL);
  waitpid(process.pid, nullptr, 0);
  process.pid = -1;
}

std::string TwoApplications::run(const std::string& name, const std::string& module_lines) {
  const auto backend = Backend::named(name);
  const std::filesystem::path build = build_dir();
  const FreshTokens tokens(*backend, backend->module());
  const Side side(tokens, ProxyPrograms{build / "bin/proxyd", build / "lib/libpkcs11-shim.so", module_lines});
  const Side::Stage stage(side);
  Process processes[2] = {launch(stage), launch(stage)};

  std::string failure;
  for (std::size_t i = 0; i < steps_.size() && failure.empty(); ++i) {
    Process& process = processes[steps_[i].application];
    if (!steps_[i].step) {
      end(process, true);
      continue;
    }
    failure = perform(process, i);
    if (failure.empty()) continue;
    failure =
        std::string(steps_[i].application == 0 ? "A " : "B ") + steps_[i].what + ": " + failure + "\n" + stage.log();
  }
  for (Process& process : processes) end(process, true);
  return failure;
}

}  // namespace p11shim::contract
