#include "common/process/file_watch.hpp"

#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <climits>
#include <cstdlib>
#include <set>
#include <utility>

namespace eventrelay {

namespace {

constexpr std::uint32_t kEvents = IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM |
                                  IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF;

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Where the link `path` points to, empty if it is none.
std::string link_target(const std::string& path) {
  std::array<char, PATH_MAX> target{};
  const ssize_t size = ::readlink(path.c_str(), target.data(), target.size());
  if (size <= 0) return {};
  const std::string text(target.data(), static_cast<std::size_t>(size));
  return text.front() == '/' ? text : folder_of(path) + "/" + text;
}

// The folders in which a change may lead `path` elsewhere: its own, and that of each link on the
// way. `links` bounds them all together.
void folders_of(const std::string& path, int& links, std::set<std::string>& folders) {
  folders.insert(folder_of(path));
  for (std::string part = path; part != "/" && part != "."; part = folder_of(part)) {
    const std::string target = link_target(part);
    if (target.empty()) continue;
    folders.insert(folder_of(part));
    if (--links >= 0) folders_of(target, links, folders);
  }
}

}  // namespace

FileWatch::FileWatch(const Executor& executor, std::function<void()> changed)
    : changed_(std::move(changed)), events_(executor), timer_(executor) {}

FileWatch::~FileWatch() {
  stop();
}

FileWatch::Print FileWatch::print_of(const std::string& path) {
  Print print;
  struct stat status = {};
  if (::stat(path.c_str(), &status) != 0) return print;
  print.device = status.st_dev;
  print.inode = status.st_ino;
  print.size = status.st_size;
  print.modified_ns = std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec;
  if (char* const real = ::realpath(path.c_str(), nullptr)) {
    print.real = real;
    std::free(real);
  }
  return print;
}

void FileWatch::watch(std::vector<std::string> files) {
  // What was seen of a file before it was read stays: a file that changed again while it was being
  // read differs from that, and the look below finds it.
  std::map<std::string, Print> before = std::exchange(files_, {});
  for (std::string& path : files) {
    const auto known = before.find(path);
    Print print = known == before.end() ? print_of(path) : std::move(known->second);
    files_.emplace(std::move(path), std::move(print));
  }
  add_folders();
  if (!settling_) look_later(kSettle);
}

// A new handle each time: what was watched for former links goes with the old one.
void FileWatch::add_folders() {
  ErrorCode ignored;
  events_.close(ignored);
  const int handle = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (handle < 0) return;  // the look every kLookInterval remains
  std::set<std::string> folders;
  for (const auto& [path, print] : files_) {
    int links = kLinksMax;
    folders_of(path, links, folders);
  }
  for (const std::string& folder : folders) {
    (void)::inotify_add_watch(handle, folder.c_str(), kEvents);
  }
  events_.assign(handle);
  read();
}

void FileWatch::read() {
  events_.async_read_some(asio::buffer(buffer_), [this](ErrorCode error, std::size_t) {
    if (error) return;
    if (!std::exchange(settling_, true)) look_later(kSettle);
    read();
  });
}

void FileWatch::look_later(Duration wait) {
  timer_.expires_after(wait);
  timer_.async_wait([this](ErrorCode error) {
    if (error) return;
    settling_ = false;
    look();
  });
}

void FileWatch::look() {
  bool changed = false;
  for (auto& [path, print] : files_) {
    Print now = print_of(path);
    // A file that is gone for a moment is being replaced.
    if (now.size < 0 || now == print) continue;
    print = std::move(now);
    changed = true;
  }
  if (changed) add_folders();
  look_later(kLookInterval);
  if (changed) changed_();
}

void FileWatch::stop() {
  timer_.cancel();
  ErrorCode ignored;
  events_.close(ignored);
}

}  // namespace eventrelay
