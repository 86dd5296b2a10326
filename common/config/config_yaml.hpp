// A YAML document as a plain tree that knows the line and column of every key and value.
//
// Why:     doubled keys must be told, quotes matter, and 30 MB of instances must be read within a
//          second: libyaml's events give all three. A tree of the instances alone would cost ten
//          times their text, so they are handed over one by one.
// Owner:   the loader, for the time of one load.
// Thread:  one owner.
// Bounds:  kNodesMax nodes, aliases copied and counted; depth as libyaml's guard, 1000.
// Errors:  YamlError with the place; the text of the document is never part of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
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

// One value of the tree. Bounds: as the document.
struct YamlNode {
  enum class Kind : std::uint8_t { Null, Scalar, List, Map };

  Kind kind = Kind::Null;
  bool quoted = false;  // a scalar in quotes or a block: never a boolean
  Mark mark;
  std::string text;                // Scalar
  std::vector<YamlNode> items;     // List
  std::size_t taken = 0;           // of a list: items that a sink took, they are not in `items`
  std::vector<YamlEntry> entries;  // Map, in the order of the file, doubled keys kept

  [[nodiscard]] const YamlEntry* find(std::string_view key) const noexcept;
};

// One key with its value. Bounds: as the document.
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

// Gets the items of one list of the top level as they are read.
struct ItemSink {
  std::string_view key;
  std::function<void(std::size_t index, const YamlNode& item)> take;
};

// The one document of `text`; an empty text is a Null. Throws YamlError.
[[nodiscard]] YamlNode parse_yaml(const std::string& text, const ItemSink* sink = nullptr);

// "a scalar", "a list", ... for messages.
[[nodiscard]] std::string_view describe(YamlNode::Kind kind) noexcept;

}  // namespace eventrelay::config
