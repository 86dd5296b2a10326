// Structured log lines on stderr: JSON when it is not a terminal, readable text when it is.
//
// Why:     a line tells a change of decision, never a single event, a body or a secret.
// Thread:  any; a line is written whole. Blocks for the write.
// Bounds:  a value longer than 1 KiB is cut; at most 10 lines a second of one message are written,
//          the others are counted and told with the next line that is (`suppressed`).
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>

#include "common/base/ids.hpp"
#include "common/base/secret.hpp"
#include "common/config/config.hpp"

namespace eventrelay::log {

// One named value. A Secret has no conversion, so it cannot be logged. Thread: value.
// Bounds: views until the line is written.
class Field {
 public:
  Field(std::string_view key, std::string_view value) : name(key), text(value), quoted(true) {}
  Field(std::string_view key, const char* value) : Field(key, std::string_view{value}) {}
  Field(std::string_view key, const std::string& value) : Field(key, std::string_view{value}) {}
  template <class Number>
  requires std::is_arithmetic_v<Number> Field(std::string_view key, Number value)
      : name(key), number(number_text(value)) {}
  template <class Tag, class Rep>
  Field(std::string_view key, StrongId<Tag, Rep> id) : Field(key, id.value) {}
  Field(std::string_view key, const Secret& value) = delete;

  std::string_view name;
  std::string_view text;
  std::string number;
  bool quoted = false;

 private:
  template <class Number>
  static std::string number_text(Number value) {
    if constexpr (std::is_same_v<Number, bool>) {
      return value ? "true" : "false";
    } else if constexpr (std::is_floating_point_v<Number>) {
      return real_text(static_cast<double>(value));
    } else {
      return std::to_string(value);
    }
  }
  static std::string real_text(double value);  // null for NaN and infinity: not in JSON
};

using Fields = std::initializer_list<Field>;

// Call at start, before the first shard, and again on reload. `on_line` counts lines by level; may
// be empty.
void configure(const LogConfig& config, std::string_view component,
               std::function<void(LogLevel)> on_line = {});

void write(LogLevel level, std::string_view message, Fields fields = {});
inline void debug(std::string_view message, Fields fields = {}) {
  write(LogLevel::Debug, message, fields);
}
inline void info(std::string_view message, Fields fields = {}) {
  write(LogLevel::Info, message, fields);
}
inline void warn(std::string_view message, Fields fields = {}) {
  write(LogLevel::Warn, message, fields);
}
inline void error(std::string_view message, Fields fields = {}) {
  write(LogLevel::Error, message, fields);
}

}  // namespace eventrelay::log
