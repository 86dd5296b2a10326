#include "common/kafka/tools/replay_reader.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <stdexcept>

#include "common/base/assert.hpp"
#include "common/base/start_error.hpp"

namespace eventrelay::kafka {
namespace {

using std::chrono::milliseconds;

// Time stamps of a log are not in order to the millisecond: several writers, each with its clock.
constexpr std::chrono::hours kStampDisorder{1};
constexpr char kEndMark = '|';  // note|end

Defaults reader_settings(const ReplayRoute& route) {
  return {{"group.id", route.group},
          {"isolation.level", "read_committed"},
          {"enable.partition.eof", "true"},  // the last offsets may be marks, not records
          {"queued.max.messages.kbytes", "1024"}};
}

void check(rd_kafka_resp_err_t error, const std::string& what) {
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) throw StartError(what + ": " + rd_kafka_err2str(error));
}

}  // namespace

ReplayReader::ReplayReader(const KafkaConfig& config, const ReplayRoute& route)
    : source_(route.source),
      group_(route.group),
      client_(
          make_client(make_conf(config, Role::Consumer, reader_settings(route)), Role::Consumer)) {
  rd_kafka_poll_set_consumer(client_.get());
  const int partitions = partition_count(route.source);
  const int target = partition_count(route.target);
  if (target != partitions) {
    throw StartError("topic " + route.target + " has " + std::to_string(target) + " partitions, " +
                     route.source + " has " + std::to_string(partitions) + ": they must agree");
  }
  for (int i = 0; i < partitions; ++i) partitions_[i] = {};
}

int ReplayReader::partition_count(const std::string& topic) const {
  const TopicPtr handle(rd_kafka_topic_new(client_.get(), topic.c_str(), nullptr));
  if (!handle) check(rd_kafka_last_error(), "topic " + topic);
  const rd_kafka_metadata_t* raw = nullptr;
  const auto error = rd_kafka_metadata(client_.get(), 0, handle.get(), &raw, kStepMs);
  const MetadataPtr metadata(raw);
  check(error, "topic " + topic);
  check(metadata->topics[0].err, "topic " + topic);
  return metadata->topics[0].partition_cnt;
}

void ReplayReader::read_positions() {
  const PartitionsPtr list(rd_kafka_topic_partition_list_new(static_cast<int>(partitions_.size())));
  for (const auto& [partition, progress] : partitions_) {
    rd_kafka_topic_partition_list_add(list.get(), source_.c_str(), partition);
  }
  check(rd_kafka_committed(client_.get(), list.get(), kStepMs), "positions of " + group_);
  for (int i = 0; i < list->cnt; ++i) {
    const auto& found = list->elems[i];
    check(found.err, "positions of " + group_);
    if (found.offset < 0) continue;
    PartitionProgress& progress = partitions_[found.partition];
    progress.committed = found.offset;
    const std::string_view text(static_cast<const char*>(found.metadata), found.metadata_size);
    const std::size_t mark = text.rfind(kEndMark);
    if (mark == text.npos) continue;
    note_.emplace(text.substr(0, mark));
    (void)std::from_chars(text.data() + mark + 1, text.data() + text.size(), progress.earlier_end);
  }
}

std::int64_t ReplayReader::offset_at(std::int32_t partition, WallTime time) const {
  const PartitionsPtr list(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(list.get(), source_.c_str(), partition)->offset =
      std::max<std::int64_t>(unix_ms(time), 0);
  check(rd_kafka_offsets_for_times(client_.get(), list.get(), kStepMs), "offsets by time");
  check(list->elems[0].err, "offsets by time");
  return list->elems[0].offset;  // negative: no record is that young
}

void ReplayReader::bound(std::int32_t partition, PartitionProgress& progress) {
  std::int64_t low = 0;
  std::int64_t high = 0;
  check(rd_kafka_query_watermark_offsets(client_.get(), source_.c_str(), partition, &low, &high,
                                         kStepMs),
        "watermarks of " + source_);
  progress.end = high;
  if (window_.same_ends && progress.earlier_end >= 0) {
    progress.end = std::min(progress.earlier_end, high);
  } else if (window_.until) {
    const std::int64_t late = offset_at(partition, *window_.until + kStampDisorder);
    if (late >= 0) progress.end = std::min(late, high);
  }
  if (progress.committed >= 0) {
    progress.first = progress.committed;
  } else if (window_.since) {
    const std::int64_t at = offset_at(partition, *window_.since);
    progress.first = at >= 0 ? at : high;
  } else {
    progress.first = low;
  }
  if (progress.first < low) {
    gone_ += static_cast<std::uint64_t>(low - progress.first);
    progress.first = low;
  }
  progress.next = progress.first;
  progress.done = progress.next >= progress.end;
}

void ReplayReader::begin(const ReplayWindow& window) {
  EVENTRELAY_ASSERT(left_ == 0 && window.note.find(kEndMark) == window.note.npos);
  window_ = window;
  for (auto& [partition, progress] : partitions_) {
    bound(partition, progress);
    left_ += progress.done ? 0U : 1U;
  }
  assign();
}

void ReplayReader::assign() {
  stale_ = false;
  const PartitionsPtr list(rd_kafka_topic_partition_list_new(static_cast<int>(partitions_.size())));
  for (const auto& [partition, progress] : partitions_) {
    if (progress.done) continue;
    rd_kafka_topic_partition_list_add(list.get(), source_.c_str(), partition)->offset =
        progress.next;
  }
  check(rd_kafka_assign(client_.get(), list.get()), "reading " + source_);
}

bool ReplayReader::in_window(WallTime time) const noexcept {
  return (!window_.since || time >= *window_.since) && (!window_.until || time <= *window_.until);
}

void ReplayReader::pass(PartitionProgress& progress, std::int64_t next) {
  progress.next = next;
  if (next < progress.end) return;
  progress.done = stale_ = true;
  --left_;
}

std::optional<Message> ReplayReader::next(Duration limit) {
  const TimePoint until = monotonic_now() + limit;
  while (left_ > 0) {
    const auto wait = std::chrono::ceil<milliseconds>(until - monotonic_now());
    rd_kafka_message_t* raw = rd_kafka_consumer_poll(
        client_.get(), static_cast<int>(std::max<std::int64_t>(wait.count(), 0)));
    if (raw == nullptr) return std::nullopt;
    Message message(raw);
    if (is_no_news(raw->err)) continue;
    const auto found = partitions_.find(raw->partition);
    if (raw->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
      // What lies before the end and was not seen are marks, or records of failed transactions.
      if (!found->second.done) pass(found->second, found->second.end);
      continue;
    }
    if (raw->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      throw std::runtime_error("reading " + source_ + ": " + rd_kafka_message_errstr(raw));
    }
    PartitionProgress& progress = found->second;
    if (progress.done) continue;
    const bool within = raw->offset < progress.end;
    pass(progress, within ? raw->offset + 1 : progress.end);
    if (within && in_window(message.stamped())) return message;
  }
  return std::nullopt;
}

PartitionsPtr ReplayReader::positions() const {
  PartitionsPtr list(rd_kafka_topic_partition_list_new(static_cast<int>(partitions_.size())));
  for (const auto& [partition, progress] : partitions_) {
    auto* one = rd_kafka_topic_partition_list_add(list.get(), source_.c_str(), partition);
    const std::string text = window_.note + kEndMark + std::to_string(progress.end);
    one->offset = progress.next;
    one->metadata_size = text.size();
    one->metadata = std::malloc(text.size());  // the list frees it
    if (one->metadata == nullptr) throw std::bad_alloc();
    std::copy(text.begin(), text.end(), static_cast<char*>(one->metadata));
  }
  return list;
}

void ReplayReader::settle() {
  for (auto& [partition, progress] : partitions_) progress.committed = progress.next;
}

void ReplayReader::rewind() {
  left_ = 0;
  for (auto& [partition, progress] : partitions_) {
    progress.next = std::max(progress.committed, progress.first);
    progress.done = progress.next >= progress.end;
    left_ += progress.done ? 0U : 1U;
  }
  assign();
}

void ReplayReader::trim() {
  if (stale_ && left_ > 0) assign();
}

void ReplayReader::add_progress(ReplayProgress& progress) const noexcept {
  progress.gone += gone_;
  for (const auto& [partition, one] : partitions_) {
    const std::int64_t end = std::max(one.end, one.first);
    progress.offsets += static_cast<std::uint64_t>(end - one.first);
    progress.passed += static_cast<std::uint64_t>(std::min(one.next, end) - one.first);
  }
}

}  // namespace eventrelay::kafka
