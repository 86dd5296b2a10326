// One log line as JSON or as text, whatever bytes its message and fields hold.
//
// Why:     a provider's bytes must neither break a log line nor act as commands on a terminal.
// Thread:  any.
// Bounds:  a value is cut after kValueMax bytes; output at most 6 x that and the names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/clock.hpp"
#include "common/observe/log.hpp"

namespace eventrelay::log {

inline constexpr std::size_t kValueMax = 1024;

// What a line says. Bounds: views for one call.
struct Line {
  WallTime time{};
  LogLevel level = LogLevel::Info;
  std::string_view component;
  std::string_view message;
  Fields fields;
  std::uint64_t suppressed = 0;  // lines of this message that were not written before it
};

// {"ts":"2026-01-02T03:04:05.678Z","level":"info","msg":..,"component":..,..}, no line end.
[[nodiscard]] std::string json_line(const Line& line);
// `2026-01-02T03:04:05.678Z info  ingest: message key=value key="two words"`, no line end.
[[nodiscard]] std::string text_line(const Line& line);

}  // namespace eventrelay::log
