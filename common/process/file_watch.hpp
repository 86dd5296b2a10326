// Says when one of some files has changed, also when a link on the way to it was swapped.
//
// Why:     a mounted ConfigMap changes by a rename of the folder its links point to; a watch
//          of the file alone never hears of it. So the folders on the way are watched, and
//          what counts is whether the file that a path leads to is another one than before.
// Owner:   ServiceHost.  Thread: control.
// Bounds:  the files given, their folders, and those their links lead through (kLinksMax each).
//          A file system that tells nothing (some network mounts) is looked at every kLookInterval.
// Errors:  none: a file that is gone counts as changed when it is back.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "common/http/types.hpp"

namespace eventrelay {

// Thread: control.  Bounds: see above.
class FileWatch {
 public:
  // `changed` runs on the loop, once per change that has settled for kSettle.
  FileWatch(const Executor& executor, std::function<void()> changed);
  FileWatch(const FileWatch&) = delete;
  FileWatch& operator=(const FileWatch&) = delete;
  ~FileWatch();

  // Replaces the set; how these files are now is what later looks are compared with.
  void watch(std::vector<std::string> files);
  void stop();

  static constexpr std::chrono::milliseconds kSettle{200};
  static constexpr std::chrono::seconds kLookInterval{10};
  static constexpr int kLinksMax = 16;

 private:
  // What a path leads to.
  struct Print {
    std::string real;
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::int64_t size = -1;
    std::int64_t modified_ns = 0;
    friend bool operator==(const Print&, const Print&) = default;
  };

  [[nodiscard]] static Print print_of(const std::string& path);
  void add_folders();
  void read();
  void look_later(Duration wait);
  void look();

  std::function<void()> changed_;
  Descriptor events_;
  Timer timer_;
  std::map<std::string, Print> files_;
  alignas(8) char buffer_[4096] = {};
  bool settling_ = false;
};

}  // namespace eventrelay
