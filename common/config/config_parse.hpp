// From a YAML tree and the table to the structs; every finding is kept, none stops the parse.
//
// Owner:   the loader, for the time of one load.
// Thread:  one owner.
// Bounds:  kFindingsMax findings are told, the rest is counted: more than a file can sensibly hold.
// Errors:  findings; the value of a secret, a header or a URL is never part of one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/config/config_findings.hpp"
#include "common/config/config_schema.hpp"
#include "common/config/config_variables.hpp"
#include "common/config/config_yaml.hpp"

namespace eventrelay::config {

// Where the values come from. Bounds: views of what the loader holds.
struct ValueSource {
  std::string_view name;           // a file's name, `--set` or the variable
  bool file = false;               // has lines and columns, and ${VAR} is replaced
  const Environment* environment;  // never null
  bool typed = false;  // JSON: a text is a string, and a secret is never {file:} or {env:}
};

// Reads values by the table. Thread: one owner.  Bounds: as the tree.
class Parser {
 public:
  Parser(ValueSource origin, Findings& findings) : origin_(origin), findings_(findings) {}

  void section(const YamlNode& node, const Schema& schema, void* owner, const Path& path);
  // One value of a row, or what a row of kind Object, List or Map contains.
  void value(const YamlNode& node, const Row& row, void* owner, const Path& path);
  // Item `index` of a row of kind List that stands at `list`; without a bound of its own.
  void item(const YamlNode& node, const Row& row, void* owner, const Path& list, std::size_t index);
  // One key of an open section.
  void open_value(const YamlNode& node, const Open& open, void* owner, const Path& path,
                  std::string_view key);
  // Tells that `path` is no key, with the nearest one.
  void unknown(Mark mark, const Schema& schema, const Path& parent, std::string_view key);

 private:
  using Text = std::optional<std::string>;  // nothing: already told

  void finding(Mark mark, const Path& path, std::string_view problem);
  [[nodiscard]] bool kind_is(const YamlNode& node, YamlNode::Kind kind, const Path& path);
  // What a scalar is read for: a text, a value that JSON writes without quotes, or a secret, of
  // which no part is told, whatever is wrong with it.
  enum class Want : std::uint8_t { Text, Any, Secret };
  [[nodiscard]] Text scalar(const YamlNode& node, const Path& path, Want want = Want::Text);
  [[nodiscard]] std::optional<Value> single(const YamlNode& node, const Row& row, const Path& path);
  [[nodiscard]] std::optional<Value> number(const YamlNode& node, const Row& row,
                                            const std::string& text, const Path& path);
  [[nodiscard]] bool within(const YamlNode& node, const Row& row, double number, const Path& path);
  [[nodiscard]] bool fits(const YamlNode& node, const Row& row, std::string_view text,
                          const Path& path);
  [[nodiscard]] std::optional<Value> texts(const YamlNode& node, const Row& row, const Path& path);
  [[nodiscard]] std::optional<Value> numbers(const YamlNode& node, const Row& row,
                                             const Path& path);
  [[nodiscard]] std::optional<Value> delays(const YamlNode& node, const Row& row, const Path& path);
  [[nodiscard]] std::optional<Value> secrets(const YamlNode& node, const Row& row,
                                             const Path& path);
  [[nodiscard]] bool count_fits(const YamlNode& node, const Row& row, const Path& path);
  enum class PlainText : bool { IsSecret, IsPath };
  [[nodiscard]] std::optional<Secret> secret(const YamlNode& node, PlainText plain,
                                             const Path& path);
  [[nodiscard]] std::optional<Secret> secret_from(const YamlEntry& entry, const Path& path);
  void doubled_keys(const YamlNode& node, const Path& path);

  ValueSource origin_;
  Findings& findings_;
};

}  // namespace eventrelay::config
