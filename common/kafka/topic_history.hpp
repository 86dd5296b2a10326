// What looks at the cluster say, one after the other: does Kafka answer, are all topics there, do
// their partitions agree, has a log begun anew.
//
// Why:     a topic that is deleted, made again or grown while everything runs must be noticed by
//          somebody, and a broker that hangs is no error that a client reports.
// Owner:   TopicWatch.  Thread: one owner; pure, time is an argument.
// Bounds:  three numbers per partition.  Errors: none; what is wrong is a reason.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/ids.hpp"
#include "common/kafka/topics.hpp"

namespace eventrelay::kafka {

// A topic and the number of one of its partitions.
using LogPlace = std::pair<std::string, std::int32_t>;

// A fact about a log that stays true while it lasts: no record below `offset` has a time at or
// after `time_ms`. A log made anew under the same name, of which a record is younger, breaks it,
// however long that log is by then. Whose clock the times are of does not matter.
struct LogMark {
  std::int64_t time_ms = 0;  // since 1970
  std::int64_t offset = 0;
};

// One look. Bounds: the topics of the plan.
struct ClusterSight {
  std::optional<std::string> silent;      // why there is no answer; all else is empty then
  std::map<std::string, int> partitions;  // of the topics that are there
  std::set<std::string> unclear;          // there, or not: a broker can not say now
  // The end of each log of which it is known.
  std::map<LogPlace, std::int64_t> ends;
  // What the marks of the looks before find now: the first offset at or after their time, -1 where
  // there is none. A mark that was not answered is not here.
  std::map<LogPlace, std::int64_t> found;
  std::map<LogPlace, LogMark> marks;  // of this look, where a log has grown
  // What those who read the logs know of them: one of which the offset was reached has begun before
  // the time. And the first offset at or after that time.
  std::map<LogPlace, LogMark> read;
  std::map<LogPlace, std::int64_t> read_found;
};

// What a look has changed.
struct TopicChange {
  enum class Kind : std::uint8_t {
    Silent,     // Kafka does not answer; `text` says why
    Answers,    // again
    Gone,       // `topic` is not there
    Back,       // `topic` is there again
    Disagrees,  // `topic` has another number of partitions than `events`; `text` says which
    Agrees,     // again
    Anew,       // the log of `partition` of `topic` has begun anew
    Grown,      // `topic`, which is `events`, has `partition` partitions now
  };
  Kind kind;
  std::string topic;
  Partition partition{};
  std::string text;
  Offset end{};  // of a log that has begun anew
};

// Thread: one owner.  Bounds: see the head of this file.
class TopicHistory {
 public:
  // The longest without an answer before Kafka counts as silent.
  static constexpr Duration kSilentAfter = std::chrono::seconds(5);
  // `events` counts as made anew after so many looks without it, or when it is shorter than it was:
  // what follows from that can not be taken back. One look is enough for the others.
  static constexpr int kGoneLooks = 2;

  explicit TopicHistory(std::vector<TopicSpec> plan) : plan_(std::move(plan)) {}

  [[nodiscard]] std::vector<TopicChange> look(const ClusterSight& sight, TimePoint now);
  // What is wrong now, one sentence each; `events` first.
  [[nodiscard]] std::vector<std::string> reasons() const;
  // An event topic is not there, or does not agree with `events`.
  [[nodiscard]] bool held() const;
  // Event topics that have fewer partitions than `events`, and how many they must have.
  [[nodiscard]] std::vector<std::pair<std::string, int>> to_grow() const;
  // What the next look asks the logs about.
  [[nodiscard]] const std::map<LogPlace, LogMark>& marks() const noexcept { return marks_; }

 private:
  void look_at(const TopicSpec& spec, const ClusterSight& sight, std::vector<TopicChange>& changes);
  void look_at_logs(const ClusterSight& sight, std::vector<TopicChange>& changes);
  // A record that is younger than the mark stands below it.
  [[nodiscard]] bool breaks_mark(const LogPlace& place, const ClusterSight& sight) const;
  // It has begun after what was read under its name.
  [[nodiscard]] static bool is_not_the_one_read(const LogPlace& place, const ClusterSight& sight);

  struct Known {
    int partitions = 0;  // as of the last look that saw it
    bool gone = false;
    int gone_looks = 0;  // until its logs were told as new ones
    std::string disagrees;
  };
  std::vector<TopicSpec> plan_;
  std::map<std::string, Known> topics_;
  std::map<LogPlace, std::int64_t> ends_;
  std::map<LogPlace, LogMark> marks_;
  std::optional<TimePoint> answered_;
  std::string silent_;  // why; empty: it answers
};

}  // namespace eventrelay::kafka
