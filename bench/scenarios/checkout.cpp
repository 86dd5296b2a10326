#include "bench/scenarios/checkout.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

namespace eventrelay::bench {
namespace {

constexpr Duration kGitLimit = std::chrono::minutes(1);
constexpr Duration kBuildLimit = std::chrono::minutes(30);
constexpr Duration kBrokerLimit = std::chrono::minutes(5);  // the first time it is fetched

std::string temporary_folder() {
  std::string pattern =
      (std::filesystem::temp_directory_path() / "eventrelay-bench-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) {
    throw std::runtime_error("cannot make a folder like " + pattern);
  }
  return pattern;
}

std::string last_line(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text.substr(text.rfind('\n') + 1);
}

// What a command prints. Throws its last line if it fails.
std::string output_of(const std::vector<std::string>& command, const std::string& folder,
                      Duration limit) {
  Process process(command, folder + "/command.log");
  const int status = process.wait_end(limit);
  const std::string line = last_line(process.output());
  if (status != 0) throw std::runtime_error(command.front() + ": " + line);
  return line;
}

}  // namespace

std::string checkout_folder() {
  auto folder = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  for (; folder.has_relative_path(); folder = folder.parent_path()) {
    if (std::filesystem::exists(folder / ".git") &&
        std::filesystem::exists(folder / "tests/support/kafka_broker")) {
      return folder.string();
    }
  }
  return {};
}

std::string required_checkout(std::string_view what) {
  std::string root = checkout_folder();
  if (root.empty()) {
    throw std::runtime_error(fmt::format("{} needs a checkout of the sources above {}", what,
                                         std::filesystem::read_symlink("/proc/self/exe").string()));
  }
  return root;
}

OwnBroker::OwnBroker() : folder_(temporary_folder()) {
  const std::string root = required_checkout(kOwnBroker);
  process_ = std::make_unique<Process>(
      std::vector<std::string>{"/usr/bin/python3", root + "/tests/support/kafka_broker", "--bench"},
      folder_ + "/broker.log");
  address_ = process_->wait_for("127.0.0.1:", kBrokerLimit);
  std::filesystem::remove_all(folder_);
}

Revision::Revision(const std::string& name, const std::function<void(const std::string&)>& progress)
    : root_(required_checkout("bench compare")), folder_(temporary_folder()) {
  try {
    const std::string commit =
        output_of({"git", "-C", root_, "rev-parse", "--short", "--verify", name + "^{commit}"},
                  folder_, kGitLimit);
    const std::string tree = folder_ + "/tree";
    (void)output_of({"git", "-C", root_, "worktree", "add", "--detach", "--quiet", tree, commit},
                    folder_, kGitLimit);
    progress("building " + commit + ", which takes some minutes");
    (void)output_of({tree + "/.ci/build", "release", "eventrelay-ingest", "eventrelay-relay"},
                    folder_, kBuildLimit);
    build_ = {commit, tree + "/build/release/bin"};
  } catch (const std::exception& error) {
    std::filesystem::remove_all(folder_);
    throw std::runtime_error("revision " + name + " can not be built: " + error.what());
  }
}

Revision::~Revision() {
  try {
    (void)output_of({"git", "-C", root_, "worktree", "remove", "--force", folder_ + "/tree"},
                    folder_, kGitLimit);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
  }
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

}  // namespace eventrelay::bench
