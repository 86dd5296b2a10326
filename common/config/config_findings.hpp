// What is wrong with a configuration, one line each, with the full name of the key.
//
// Owner:   the loader, for the time of one load.
// Thread:  one owner.
// Bounds:  kFindingsMax findings are told, the rest is counted; kWarningsMax warnings.
// Errors:  none.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace eventrelay::config {

inline constexpr std::size_t kFindingsMax = 100'000;
inline constexpr std::size_t kWarningsMax = 1'000;

// What is wrong, one line each. Thread: one owner.  Bounds: kFindingsMax lines.
class Findings {
 public:
  void add(std::string_view place, std::string_view path, std::string_view problem);
  // What is accepted all the same; at most kWarningsMax.
  void warn(std::string_view place, std::string_view path, std::string_view problem);
  [[nodiscard]] std::vector<std::string> take_warnings() { return std::move(warnings_); }
  [[nodiscard]] bool empty() const noexcept { return count_ == 0; }
  [[nodiscard]] std::size_t warnings() const noexcept { return warnings_.size(); }
  [[nodiscard]] bool full() const noexcept { return lines_.size() >= kFindingsMax; }
  // Was something told of `path` or of what stands in it?
  [[nodiscard]] bool about(std::string_view path) const;
  [[nodiscard]] std::string text() const;

 private:
  [[nodiscard]] static std::string line(std::string_view place, std::string_view path,
                                        std::string_view problem);

  std::vector<std::string> lines_;
  std::vector<std::string> warnings_;
  std::set<std::string, std::less<>> paths_;
  std::size_t count_ = 0;
};

// A key's full name, put together only when it is told. Thread: one owner.
// Bounds: a link per level; lives on the stack below its parent.
class Path {
 public:
  Path() = default;
  Path(const Path& parent, std::string_view key) : parent_(&parent), key_(key) {}
  Path(const Path& parent, std::size_t index) : parent_(&parent), index_(index) {}
  [[nodiscard]] std::string text() const;

 private:
  const Path* parent_ = nullptr;
  std::string_view key_;
  std::optional<std::size_t> index_;
};

}  // namespace eventrelay::config
