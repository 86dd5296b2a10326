// Commits as the library wants them, and what became of them.
//
// Thread:  as its client.  Bounds: one list per commit.
// Errors:  a reason in words; nothing for success.
#pragma once

#include <algorithm>
#include <chrono>
#include <span>
#include <string>

#include "common/clock.hpp"
#include "common/kafka/consumer_client.hpp"
#include "common/kafka/handle.hpp"

namespace eventrelay::kafka {

void add_commit(rd_kafka_topic_partition_list_t* list, const std::string& topic,
                const Commit& commit);
[[nodiscard]] PartitionsPtr to_list(const std::string& topic, std::span<const Commit> commits);
// Where to begin in partitions with these committed positions; by auto.offset.reset where none is.
[[nodiscard]] PartitionsPtr starts_from(const rd_kafka_topic_partition_list_t& committed);
// Why the commit this event tells of failed; null if it did not.
[[nodiscard]] const char* commit_failure(rd_kafka_event_t* event);
// Commits and blocks for the answer; nothing if none came within `limit`. No other event of the
// client is served meanwhile.
[[nodiscard]] EventPtr commit_and_wait(rd_kafka_t* client,
                                       const rd_kafka_topic_partition_list_t* list, Duration limit);

// Lets one commit be on its way at a time: the library sends a refused one again by itself, so of
// two on their way the older may arrive last, and the position goes back.
// Thread: as its client.  Bounds: fixed size.
class CommitGate {
 public:
  // An answer that is this late is not waited for.
  static constexpr Duration kOverdue = std::chrono::seconds{10};

  [[nodiscard]] bool busy(TimePoint now) const noexcept {
    return on_their_way_ > 0 && now - sent_at_ < kOverdue;
  }
  void sent(TimePoint now) noexcept {
    ++on_their_way_;
    sent_at_ = now;
  }
  void answered() noexcept { on_their_way_ = std::max(0, on_their_way_ - 1); }

 private:
  int on_their_way_ = 0;
  TimePoint sent_at_{};
};

}  // namespace eventrelay::kafka
