// Decides when a partition is read a second time, where reading goes on, and when it ends.
//
// Why:     one pass serves all subscriptions that catch up; how often, how far and how patiently is
//          one pure rule, apart from the reading.
// Owner:   CatchUpReader; one per partition.  Thread: shard-local; time is an argument.
// Bounds:  O(1) per call, never allocates.
// Errors:  none; misuse is asserted.
//
//   resting -- interval over, a cursor is ready --> reading -- at the live position --> resting
//                                                    | no room    ^ nobody follows -----^
//                                                 paused -- room -+  paused for long ---^
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "common/base/clock.hpp"
#include "common/base/ids.hpp"

namespace eventrelay::relay {

struct CatchUpRules {
  Duration interval = std::chrono::seconds{1};  // between two starts; pauses for others end with it
  Duration patience =
      std::chrono::milliseconds{100};  // with one that has no room, if others follow
  std::int64_t jump_over = 5'000;      // unwanted offsets: a seek costs as much as reading so many
  // After a catch-up read of which fewer than a fifth of the records were taken comes a rest: the
  // more it read in vain, the longer, so that subscriptions that come back a little later are
  // served together.
  Duration rest = std::chrono::milliseconds{1};  // for each record that was not taken
  int rest_intervals_max = 7;
};

// Thread: shard-local.  Bounds: see the head of this file.
class CatchUpPlan {
 public:
  enum class Action : std::uint8_t { Read, Jump, End };

  // What the next step depends on.
  struct View {
    Offset live;                   // first offset that the live path has not taken
    std::optional<Offset> wanted;  // the lowest that a cursor in the catch-up read still wants
    std::size_t following = 0;     // cursors in the catch-up read
  };

  explicit CatchUpPlan(const CatchUpRules& rules) : rules_(rules) {}

  // May a catch-up read start now? It is the caller who knows whether a cursor is ready.
  [[nodiscard]] bool may_start(TimePoint now) const noexcept;
  void start(Offset from, TimePoint now);
  // Everything below was offered or is not in the log; never moves back.
  void passed(Offset next) noexcept;
  // A record was read.
  void read(bool taken) noexcept { ++(taken ? taken_ : in_vain_); }
  // Jump: go on at `wanted`.
  [[nodiscard]] Action next(const View& view) const noexcept;
  // There was no room for what was read. False: the catch-up read has lasted an interval; end it if
  // others wait for the next one.
  [[nodiscard]] bool pause(TimePoint now) noexcept;
  // True once the read has waited so long for room that it goes on without the subscriptions that
  // have none.
  [[nodiscard]] bool waited_enough(TimePoint now) const noexcept;
  // There is room again.
  void resume() noexcept { paused_since_.reset(); }
  void end() noexcept;

  [[nodiscard]] bool catching_up() const noexcept { return catching_up_; }
  [[nodiscard]] bool paused() const noexcept { return paused_since_.has_value(); }
  [[nodiscard]] Offset position() const noexcept { return position_; }

 private:
  CatchUpRules rules_;
  Offset position_;
  TimePoint next_start_{};
  std::optional<TimePoint> paused_since_;
  std::int64_t taken_ = 0;  // records of this catch-up read
  std::int64_t in_vain_ = 0;
  bool catching_up_ = false;
};

}  // namespace eventrelay::relay
