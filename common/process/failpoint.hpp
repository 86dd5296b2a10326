// Named places at which a test makes the process die, stand still, or leave a step out.
//
// Why:     what a crash loses is decided between two instructions; only a test that can choose
//          them shows it. EVENTRELAY_FAILPOINT=name[:nth][:action], e.g. before-park:3:stop; the
//          nth pass (the first, unless given) acts. kill: SIGKILL to itself, the default; stop:
//          SIGSTOP, goes on with SIGCONT. skip: the step is left out at every pass, for steps in
//          kSkips alone; a fault that a test plants in its own process, refused in the
//          environment.
// Thread:  any; armed once, before the first shard.
// Bounds:  one place per process. One pointer test per pass while none is armed.
// Errors:  arm() throws std::invalid_argument naming what it can not read.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>

namespace eventrelay::failpoint {

// Every place there is; a name that is not here is refused.
inline constexpr std::array<std::string_view, 25> kNames{
    "after-consume",        "after-connect",    "after-send",       "before-mark",
    "mid-commit",           "before-park",      "after-park-ack",   "before-dead",
    "before-detach",        "after-detach-ack", "catch-up-begin",   "catch-up-event",
    "before-attach",        "after-attach",     "cursor-commit",    "before-owner",
    "after-owner",          "replay-copied",    "replay-committed", "before-registry-write",
    "after-registry-write", "after-grant",      "after-refresh",    "after-webhook-made",
    "after-clean-webhook"};

// Steps that may be left out.
inline constexpr std::array<std::string_view, 10> kSkips{
    "wait-durable",   "wait-record", "block-ordered", "take-chain",      "tell-ranges",
    "name-in-flight", "give-back",   "end-slow",      "give-back-chain", "await-end"};

// What is armed. Thread: built once; `passes` by any.
struct Armed {
  enum class Action : std::uint8_t { Kill, Stop, Skip };

  std::string_view name;  // one of kNames, or of kSkips to skip it
  std::uint64_t nth = 1;
  Action action = Action::Kill;
  std::atomic<std::uint64_t> passes{0};
};

// Null unless something is armed.
extern Armed* armed;

// Reads a specification as in the environment; empty: nothing is armed. Start only.
void arm(std::string_view specification);
// Reads EVENTRELAY_FAILPOINT. Start only.
void arm_from_environment();
void pass(Armed& point, std::string_view name);

// The place itself. `name` is one of kNames.
inline void at(std::string_view name) {
  if (armed != nullptr) [[unlikely]]
    pass(*armed, name);
}

// Is the step to be left out? `name` is one of kSkips.
[[nodiscard]] inline bool skips(std::string_view name) {
  return armed != nullptr && armed->action == Armed::Action::Skip && armed->name == name;
}

}  // namespace eventrelay::failpoint
