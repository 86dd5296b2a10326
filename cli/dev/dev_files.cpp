#include "cli/dev/dev_files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <system_error>

namespace eventrelay::cli {
namespace {

constexpr std::string_view kLog = "services.log";
constexpr mode_t kOwnerOnly = S_IRUSR | S_IWUSR;

}  // namespace

DevFiles::DevFiles(const std::string& folder) {
  if (folder == "-") return;
  std::error_code error;
  if (folder.empty()) {
    const std::filesystem::path temporary = std::filesystem::temp_directory_path(error);
    std::string pattern = (temporary / "eventrelay-dev-XXXXXX").string();
    if (error || ::mkdtemp(pattern.data()) == nullptr) return;
    folder_ = pattern;
    made_ = true;
  } else {
    std::filesystem::create_directories(folder, error);
    folder_ = std::filesystem::absolute(folder).string();
  }
  redirect();
}

void DevFiles::redirect() {
  const int log = ::open(path(kLog).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, kOwnerOnly);
  if (log < 0) {
    const std::string reason = std::generic_category().message(errno);
    throw std::runtime_error("--files " + folder_ + ": " + reason);
  }
  terminal_ = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
  ::dup2(log, STDERR_FILENO);
  ::close(log);
}

DevFiles::~DevFiles() {
  if (terminal_ < 0) return;
  ::dup2(terminal_, STDERR_FILENO);
  ::close(terminal_);
}

std::string DevFiles::path(std::string_view name) const {
  return (std::filesystem::path(folder_) / name).string();
}

void DevFiles::write(std::string_view name, std::string_view text) const {
  if (folder_.empty()) return;
  const std::string file = path(name);
  const int out = ::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, kOwnerOnly);
  if (out < 0) return say("eventrelay: " + file + " can not be written");
  ::close(out);
  std::ofstream(file, std::ios::binary | std::ios::app) << text;
}

void DevFiles::say(std::string_view line) const {
  const std::string text = std::string(line) + "\n";
  const int out = terminal_ < 0 ? STDERR_FILENO : terminal_;
  // Nobody is left to be told where this fails.
  if (::write(out, text.data(), text.size()) < 0) return;
}

void DevFiles::remove() {
  if (!made_) return;
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

}  // namespace eventrelay::cli
