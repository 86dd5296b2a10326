// Events sent again on request: dead letters or history, at a pace, each once, also over a restart.
//
//   asked -> its thread: read -> chosen -> copied to the first delay topic, in transactions that
//   carry how far it has come -> finished
//
// Why:     a process that is killed goes on where its last whole transaction ended.
// Owner:   Control.  Thread: control; each replay has a thread of its own.
// Bounds:  kReplaysMax at once; one transaction of 500 records or 8 MiB each.
// Errors:  a replay that can not go on is Failed, with the reason.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.hpp"
#include "common/config/config.hpp"
#include "common/http/types.hpp"

namespace eventrelay::replay {

inline constexpr std::size_t kReplaysMax = 4;
inline constexpr std::uint32_t kRateDefault = 100;
inline constexpr std::uint32_t kRateMax = 10'000;

enum class Source : std::uint8_t { Events, Dead };
enum class Status : std::uint8_t { Running, Finished, Stopped, Failed };
[[nodiscard]] std::string_view word_of(Source source) noexcept;
[[nodiscard]] std::string_view word_of(Status status) noexcept;

// A subscription that may get events of the history.
struct Target {
  std::string id;
  FilterConfig filter;
};

// What is to be sent again.
struct Job {
  std::string id;  // [a-z0-9]{1,64}
  std::uint64_t instance = 0;
  Source source = Source::Events;
  WallTime from{};
  WallTime to{};
  std::vector<Target> targets;         // of the instance; a dead letter must be of one of them
  std::vector<std::string> event_ids;  // sorted; empty: all
  std::uint32_t rate = kRateDefault;   // events a second
  bool dry_run = false;                // counts, and sends nothing
};

// How far it is.
struct Progress {
  Status status = Status::Running;
  std::uint64_t selected = 0;
  std::uint64_t sent = 0;
  std::string reason;  // of Failed
};

// Which of `targets` get an event of that type; pure.
[[nodiscard]] bool wants(const FilterConfig& filter, std::string_view event_type,
                         std::string_view object_type);

// Thread: control.  Bounds: see above.
class Replays {
 public:
  using OnEnd = std::function<void(const std::string& id, Progress progress)>;

  // `on_end` is called on `control` when one is over; not after stop_all().
  Replays(Executor control, const Config& config, OnEnd on_end);
  Replays(const Replays&) = delete;
  Replays& operator=(const Replays&) = delete;
  ~Replays();

  // False: kReplaysMax are running. One of an id that ran before goes on where it stood.
  [[nodiscard]] bool start(Job job);
  // Null where it is not running.
  [[nodiscard]] const Progress* find(const std::string& id);
  // It ends after its open transaction, as Stopped.
  void stop(const std::string& id);
  // The process ends: those that run go on when it is started again.
  void stop_all();
  [[nodiscard]] std::size_t running() const noexcept { return runs_.size(); }

 private:
  class Run;
  Executor control_;
  std::shared_ptr<const Config> config_;
  OnEnd on_end_;
  std::map<std::string, std::shared_ptr<Run>> runs_;
};

}  // namespace eventrelay::replay
