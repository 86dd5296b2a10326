// One record of any topic as `tail` and `replay` show it: which ones are wanted, and their line.
//
// Why:     only this file knows what a topic holds, so all commands show a record the same way.
// Owner:   the command.  Thread: any; pure but for append_*.
// Bounds:  one line per record; a value is printed only on request.
// Errors:  a record that cannot be read says so in its line.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/event.hpp"
#include "common/base/ids.hpp"

namespace eventrelay::cli {

// What the records of a topic are. Thread: value.
enum class RecordKind : std::uint8_t { Event, Parked, Dead, Json, Sealed };

// By the name without prefix: events, retry.5s, dead, state, attempts, instances.
[[nodiscard]] RecordKind kind_of(std::string_view topic) noexcept;

// One record. Bounds: views into the message.
struct RecordView {
  std::string_view topic;  // without prefix
  Partition partition;
  Offset offset;
  WallTime stamped{};
  std::string_view key;
  std::string_view value;
  Expected<Event, RecordError> event;
};

// Which records are wanted; empty members ask for nothing.
struct RecordFilter {
  std::optional<InstanceId> instance;
  std::string subscription;      // id
  std::vector<std::string> ids;  // event ids

  [[nodiscard]] bool wants(const RecordView& record) const;
};

enum class Body : std::uint8_t { Leave, Print };

// One line without its end, ages and waits as of `now`.
[[nodiscard]] std::string text_line(const RecordView& record, Body body, WallTime now);
[[nodiscard]] std::string json_line(const RecordView& record, Body body);

// `4.2s`, `3m`, `2h 5m`, `4d`: for people.
[[nodiscard]] std::string span_words(std::chrono::milliseconds span);
// The instance that a key or a subscription id begins with.
[[nodiscard]] std::optional<InstanceId> leading_instance(std::string_view text) noexcept;

}  // namespace eventrelay::cli
