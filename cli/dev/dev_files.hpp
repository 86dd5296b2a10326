// What `dev` keeps off its screen: the logs of the services, and the calls to try by hand.
//
// Why:     a screen that shows what happened has no room for what the services log.
// Owner:   dev.cpp.  Thread: main; lines of a log come from any thread.
// Bounds:  one folder. Where none can be made, logs stay on stderr.
// Errors:  std::runtime_error where a named folder can not be used.
#pragma once

#include <string>
#include <string_view>

namespace eventrelay::cli {

// While it lives, what this process writes to stderr goes to `services.log`.
// Thread: main.  Bounds: one descriptor beside stderr.
class DevFiles {
 public:
  // In `folder`; empty: in a new one among the temporary files; "-": logs stay on stderr.
  explicit DevFiles(const std::string& folder);
  DevFiles(const DevFiles&) = delete;
  DevFiles& operator=(const DevFiles&) = delete;
  ~DevFiles();  // stderr is what it was

  [[nodiscard]] bool has_folder() const noexcept { return !folder_.empty(); }
  [[nodiscard]] std::string path(std::string_view name) const;
  // Writes a file of this folder, readable by its owner alone.
  void write(std::string_view name, std::string_view text) const;
  // One line for the person who started this process.
  void say(std::string_view line) const;
  // Takes the folder away again if it was made here.
  void remove();

 private:
  void redirect();

  std::string folder_;
  bool made_ = false;
  int terminal_ = -1;  // what stderr was; -1: it still is
};

}  // namespace eventrelay::cli
