#include "common/process/file_watch.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace eventrelay {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

// A folder of its own, and how often a change was told.
class FileWatchTest : public ::testing::Test {
 protected:
  FileWatchTest() { fs::create_directories(root_); }
  ~FileWatchTest() override { fs::remove_all(root_); }

  void write(const std::string& name, const std::string& text) const {
    std::ofstream(root_ + "/" + name) << text;
  }
  // Runs the loop until a change is told; false if none is within `limit`.
  bool told(milliseconds limit = milliseconds{5000}) {
    const int before = changes_;
    const auto end = std::chrono::steady_clock::now() + limit;
    while (changes_ == before && std::chrono::steady_clock::now() < end) {
      loop_.run_one_for(milliseconds{20});
    }
    return changes_ > before;
  }

  std::string root_ = ::testing::TempDir() + "file_watch_" + std::to_string(::getpid());
  asio::io_context loop_{1};
  int changes_ = 0;
  FileWatch watch_{loop_.get_executor(), [this] { ++changes_; }};
};

TEST_F(FileWatchTest, TellsAChangeOnce) {
  write("a.yaml", "one");
  watch_.watch({root_ + "/a.yaml"});
  EXPECT_FALSE(told(milliseconds{300}));
  write("a.yaml", "two two");
  EXPECT_TRUE(told());
  EXPECT_FALSE(told(milliseconds{500}));
  write("other.yaml", "x");  // in the same folder, but nobody's
  EXPECT_FALSE(told(milliseconds{500}));
}

TEST_F(FileWatchTest, TellsAFileThatWasReplaced) {
  write("a.yaml", "one");
  watch_.watch({root_ + "/a.yaml"});
  write("new", "two");
  fs::rename(root_ + "/new", root_ + "/a.yaml");
  EXPECT_TRUE(told());
  fs::remove(root_ + "/a.yaml");
  EXPECT_FALSE(told(milliseconds{500}));  // gone for a moment is not a configuration
  write("a.yaml", "three");
  EXPECT_TRUE(told());
}

// As a mounted ConfigMap: config.yaml -> ..data/config.yaml, ..data -> ..2026_1, renamed over.
TEST_F(FileWatchTest, TellsTheSwapOfALinkOnTheWay) {
  for (const char* version : {"..2026_1", "..2026_2", "..2026_3"}) {
    fs::create_directory(root_ + "/" + version);
    write(std::string{version} + "/config.yaml", "same size");
  }
  fs::create_symlink("..2026_1", root_ + "/..data");
  fs::create_symlink("..data/config.yaml", root_ + "/config.yaml");
  watch_.watch({root_ + "/config.yaml"});
  EXPECT_FALSE(told(milliseconds{300}));
  for (const char* version : {"..2026_2", "..2026_3"}) {
    fs::create_symlink(version, root_ + "/..data_tmp");
    fs::rename(root_ + "/..data_tmp", root_ + "/..data");
    EXPECT_TRUE(told()) << version;
  }
}

}  // namespace
}  // namespace eventrelay
