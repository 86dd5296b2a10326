// The one table of configuration keys: parse, check, help, masked print and reload read it.
//
// Why:     five places that each know the keys drift apart; one row per key cannot.
// Owner:   static tables, one per struct of config.hpp, tied by rows of kind Object, List and Map.
// Thread:  immutable once built.
// Bounds:  in each row.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/base/secret.hpp"

namespace eventrelay::config {

enum class Kind : std::uint8_t {
  Text,
  Boolean,
  WordyBoolean,  // also the strings "true" and "false"
  Number,
  Real,
  Duration,
  Size,
  Word,        // one of Row::words
  SecretText,  // plain, {file: path} or {env: NAME}
  SecretFile,  // a plain string is the path
  Texts,
  TextOrTexts,
  Numbers,
  Delays,  // durations, or the name of a profile
  Secrets,
  Object,  // a struct inside the struct
  List,    // of structs
  Map      // of structs, by name
};

enum class Effect : std::uint8_t { Reload, Restart };

using Value = std::variant<bool, std::int64_t, double, std::chrono::milliseconds, std::string,
                           Secret, std::vector<std::string>, std::vector<std::int64_t>,
                           std::vector<std::chrono::milliseconds>, std::vector<Secret>>;

struct Schema;
// Sees each struct inside a list, map or object: its name (empty for lists) and address.
using Visitor = std::function<void(std::string_view, const void*)>;

// One key. `low` and `high` count characters, entries, milliseconds or bytes, or are the number
// itself, as the kind asks; high < low means unbounded.
struct Row {
  std::string_view key;
  Kind kind = Kind::Text;
  std::string_view sentence;
  double low = 0;
  double high = -1;
  Effect effect = Effect::Reload;
  std::span<const std::string_view> words{};
  std::string_view rule{};                             // what `problem` asks, for the help
  std::string (*problem)(std::string_view) = nullptr;  // empty = the text (or each) fits
  std::string_view shown_default{};                    // where the struct's default says less

  // Made by field(), object(), list() and map() of config_fields.hpp.
  std::optional<Value> (*get)(const void* owner) = nullptr;
  void (*set)(void* owner, Value&& value) = nullptr;
  bool (*written)(const void* owner) = nullptr;  // false: a copy of the struct leaves it out
  const Schema& (*schema)() = nullptr;
  void* (*enter)(void* owner, std::string_view name) = nullptr;  // the member, made if need be
  void (*visit)(const void* owner, const Visitor& visitor) = nullptr;
  void (*clear)(void* owner) = nullptr;
  std::shared_ptr<void> (*fresh)() = nullptr;  // a struct with its defaults; null if inlined
};

// One key of a section that takes keys without a row.
struct OpenValue {
  std::string text;
  bool secret = false;
};

// What a section does with keys that have no row. Bounds: `most` keys.
struct Open {
  std::string_view name;  // how the help writes the key, e.g. <property>
  std::string_view sentence;
  std::size_t most = 0;
  Effect effect = Effect::Reload;
  bool (*secret)(std::string_view key) = nullptr;  // print as ***, allow {file:} and {env:}
  std::string (*problem)(std::string_view key, std::string_view value) = nullptr;
  void (*set)(void* owner, const std::string& key, OpenValue&& value) = nullptr;
  std::map<std::string, OpenValue> (*get)(const void* owner) = nullptr;
};

// The keys of one struct.
struct Schema {
  std::vector<Row> rows;
  std::optional<Open> open{};

  [[nodiscard]] const Row* find(std::string_view key) const noexcept;
};

// The whole file; its owner is a Config.
[[nodiscard]] const Schema& root_schema();

// `***`, what a secret is printed as; refused where a secret is read.
inline constexpr std::string_view kMask = "***";

// Names that by habit hold secrets: password, secret, token, api key, authorization, cookie.
[[nodiscard]] bool looks_secret(std::string_view name);

// The waits of `ce` and `ce-legacy`; empty for another word.
[[nodiscard]] std::vector<std::chrono::milliseconds> retry_profile(std::string_view word);

// `whole number`, `duration`, `one of auto, json, text`.
[[nodiscard]] std::string kind_text(const Row& row);

// `1..65536`, `100ms..5m`, `0..100 characters`; empty where unbounded.
[[nodiscard]] std::string bound_text(const Row& row);

}  // namespace eventrelay::config
