// Cursors with a queue that a test opens and a topic that acknowledges when it is told to.
//
// Why:     tests of Cursors read as what happens to one subscription.
// Owner:   the test.  Thread: one.  Bounds: as the test.  Errors:  none.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "relay/backlog/cursor/cursors.hpp"

namespace eventrelay::relay {

using namespace std::chrono_literals;

inline constexpr std::string_view kSub = "7";

// Queues that a test opens and closes. Thread: one.
class Gate final : public ReadinessGate {
 public:
  Readiness look(std::string_view) override { return queue; }
  Readiness queue{true, true, Ordering::None};
};

// One subscription. Thread: one.  Bounds: as the test.
class Bench {
 public:
  explicit Bench(Ordering ordering = Ordering::None, CursorBounds bounds = {})
      : cursors(bounds, 1) {
    gate.queue.ordering = ordering;
  }

  [[nodiscard]] EventKey key(std::string_view object = "") const {
    return EventKey{kSub, object, gate.queue.ordering};
  }
  [[nodiscard]] Moment moment() const {
    return Moment{TimePoint(time),
                  WallTime(1000s + std::chrono::floor<std::chrono::milliseconds>(time))};
  }
  [[nodiscard]] Cover meet(std::int64_t at, std::string_view object = "") {
    return cursors.meet(key(object), Offset{at}, moment());
  }
  CursorId detach(std::int64_t live, std::vector<Offset> queued = {}, std::vector<Offset> held = {},
                  CursorState state = CursorState::Detached) {
    Detach request;
    request.subscription = kSub;
    request.ordering = gate.queue.ordering;
    request.live = Offset{live};
    request.queued = queued;
    request.held = held;
    request.state = state;
    request.reason = "queue_full";
    return cursors.detach(request, moment());
  }
  std::optional<CursorId> block(std::int64_t at, std::string_view object,
                                CursorId whose = kLivePath, std::vector<ChainJob> chain = {}) {
    Block request;
    request.key = key(object);
    request.at = Offset{at};
    request.owner = whose;
    request.chain = chain;
    request.due = moment().wall + 5s;
    request.attempt = 1;
    request.first_failure = moment().wall;
    request.reason = "http_5xx";
    return cursors.block(request, moment());
  }
  // Writes and acknowledges everything that is due, and returns what was written by key.
  std::map<std::string, std::string> settle() {
    std::map<std::string, std::string> written;
    while (const auto write = cursors.next_write()) {
      written[write->key] = write->value;
      cursors.acknowledge(write->token);
    }
    return written;
  }
  // Makes catch-up reads up to `live` and returns the offsets dispatched. Every event is of the
  // object that `object` names.
  std::vector<std::int64_t> catch_up(std::int64_t live, std::string_view (*object)(std::int64_t)) {
    std::vector<std::int64_t> out;
    const auto from = cursors.begin_catch_up(gate, Offset{live}, moment());
    if (!from) return out;
    for (std::int64_t at = from->value; at < live && cursors.following() > 0; ++at) {
      std::vector<CursorId> takers;
      cursors.offer(key(object(at)), Offset{at}, moment(), takers);
      for (const CursorId taker : takers) {
        cursors.dispatched(taker, Offset{at});
        out.push_back(at);
        owner[at] = taker;
      }
      cursors.passed(Offset{at + 1});
    }
    cursors.end_catch_up(Offset{live});
    return out;
  }
  void done(std::int64_t at) { cursors.done(owner.at(at), Offset{at}); }

  Gate gate;
  Duration time{10s};
  Cursors cursors;
  std::map<std::int64_t, CursorId> owner;
};

inline std::string_view none(std::int64_t) {
  return "";
}
inline std::string_view even_a_odd_b(std::int64_t at) {
  return at % 2 == 0 ? "a" : "b";
}

using Offsets = std::vector<std::int64_t>;

}  // namespace eventrelay::relay
