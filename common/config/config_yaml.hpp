// A YAML document as a plain tree that knows the line and column of every key and value.
//
// Why:     yaml-cpp's own nodes merge doubled keys, forget quotes and cost 20 x the text in memory.
// Owner:   the loader, for the time of one load.
// Thread:  one owner.
// Bounds:  kNodesMax nodes, aliases copied and counted; depth as yaml-cpp's guard.
// Errors:  YamlError with the place; the text of the document is never part of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace eventrelay::config {

inline constexpr std::size_t kNodesMax = 8'000'000;

// Line and column, both from 1; 0 = nowhere.
struct Mark {
  std::uint32_t line = 0;
  std::uint32_t column = 0;
};

struct YamlEntry;

// One value of the tree. Thread: one owner.  Bounds: as the document.
struct YamlNode {
  enum class Kind : std::uint8_t { Null, Scalar, List, Map };

  Kind kind = Kind::Null;
  bool quoted = false;  // a scalar in quotes or a block: never a boolean
  Mark mark;
  std::string text;                // Scalar
  std::vector<YamlNode> items;     // List
  std::vector<YamlEntry> entries;  // Map, in the order of the file, doubled keys kept

  [[nodiscard]] const YamlEntry* find(std::string_view key) const noexcept;
};

// One key with its value. Thread: one owner.  Bounds: as the document.
struct YamlEntry {
  std::string key;
  Mark mark;  // of the key
  YamlNode value;
};

// Why a text is not one YAML document. Thread: value.  Bounds: one line.
class YamlError : public std::runtime_error {
 public:
  YamlError(Mark where, const std::string& reason) : std::runtime_error(reason), mark(where) {}
  Mark mark;
};

// The one document of `text`; an empty text is a Null. Throws YamlError.
[[nodiscard]] YamlNode parse_yaml(const std::string& text);

// "a scalar", "a list", ... for messages.
[[nodiscard]] std::string_view describe(YamlNode::Kind kind) noexcept;

}  // namespace eventrelay::config
