// Which records a replay takes and for which subscriptions: checks its flags, makes its name, and
// reads and prints the note that is kept with its positions.
//
// Why:     a replay that goes on after a kill must mean the same records as before: absolute times
//          and a digest of the selection stand beside its positions.
// Owner:   the command.  Thread: any; pure, time is an argument.
// Bounds:  as the flags.
// Errors:  Failure with the flag, its value and the way out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/event.hpp"
#include "common/registry/settings.hpp"

namespace eventrelay::cli {

enum class ReplayFrom : std::uint8_t { Dead, Events };

// The flags as given.
struct ReplayAsk {
  std::string from = "dead";
  std::uint64_t instance = 0;  // 0 = not given
  std::string subscription{};
  std::string since{};
  std::string until{};
  std::vector<std::string> ids{};
  std::string name{};
};

struct ReplaySelection {
  ReplayFrom from = ReplayFrom::Dead;
  std::optional<InstanceId> instance;
  std::string subscription;
  std::vector<std::string> ids;  // sorted
  std::optional<WallTime> since;
  std::optional<WallTime> until;
  std::string digest;  // of the flags as given, without the name
  std::string name;    // given, or the digest
};

// Throws Failure.
[[nodiscard]] ReplaySelection select(const ReplayAsk& ask, const Settings& settings, WallTime now);
// RFC 3339, a date, or an age such as 2h; `flag` is named in the Failure.
[[nodiscard]] WallTime parse_moment(std::string_view flag, std::string_view text, WallTime now);

enum class ReplayState : std::uint8_t { Open, Done };

[[nodiscard]] std::string print_note(const ReplaySelection& selection, ReplayState state);
// Takes over the times of an earlier run that did not finish. Throws Failure if the note belongs to
// another selection.
[[nodiscard]] ReplayState go_on(ReplaySelection& selection, std::string_view note);

// What a record is to a replay.
enum class Chosen : std::uint8_t {
  Selected,
  NotAsked,
  NoSubscription,  // selected, but no configured subscription takes it
};

// Fills `subscriptions` with the ids of those that get the record.
// Thread: any.  Bounds: views into the settings or the event.
[[nodiscard]] Chosen choose(const ReplaySelection& selection, const Settings& settings,
                            const Event& event, std::vector<std::string_view>& subscriptions);

}  // namespace eventrelay::cli
