#include "common/registry/follower.hpp"

#include <unordered_map>
#include <utility>

#include "common/observe/log.hpp"

namespace eventrelay {
namespace {

constexpr std::chrono::milliseconds kPoll{100};
constexpr std::chrono::seconds kReportInterval{10};

}  // namespace

RegistryFollower::RegistryFollower(const KafkaConfig& kafka, std::string topic)
    : reader_(kafka, topic), topic_(std::move(topic)) {}

RegistryFollower::~RegistryFollower() {
  stop();
}

void RegistryFollower::passed(std::int64_t next) noexcept {
  if (next > position_.load(std::memory_order_relaxed)) {
    position_.store(next, std::memory_order_release);
  }
}

std::vector<RegistryRecord> RegistryFollower::load() {
  std::unordered_map<std::string, RegistryRecord> newest;
  TimePoint reported = monotonic_now();
  for (bool end = false; !end;) {
    if (stopping_) return {};
    kafka::CompactedRead read = reader_.next(kPoll);
    if (read.kind == kafka::ReadKind::Record) {
      passed(read.record.offset + 1);
      if (read.record.value) {
        newest[read.record.key] = std::move(read.record);
      } else {
        newest.erase(read.record.key);
      }
    } else if (read.kind == kafka::ReadKind::End) {
      passed(read.record.offset);
      end = true;
    } else if (monotonic_now() - reported > kReportInterval) {
      reported = monotonic_now();
      log::warn("the registry is not read to its end yet",
                {{"topic", topic_}, {"instances", newest.size()}});
    }
  }
  std::vector<RegistryRecord> out;
  out.reserve(newest.size());
  for (auto& [key, record] : newest) out.push_back(std::move(record));
  return out;
}

void RegistryFollower::follow(OnBatch on_batch) {
  thread_ = std::thread([this, on_batch = std::move(on_batch)] { run(on_batch); });
}

void RegistryFollower::run(const OnBatch& on_batch) {
  std::vector<RegistryRecord> batch;
  while (!stopping_) {
    kafka::CompactedRead read = reader_.next(kPoll);
    if (read.kind == kafka::ReadKind::Record) {
      passed(read.record.offset + 1);
      batch.push_back(std::move(read.record));
      if (batch.size() < kBatchMax) continue;
    } else if (read.kind == kafka::ReadKind::End) {
      passed(read.record.offset);
      // A marker of a transaction moves the end without a record; the batch tells that too.
    }
    if (!batch.empty() || read.kind == kafka::ReadKind::End) {
      on_batch(std::exchange(batch, {}));
    }
  }
}

void RegistryFollower::stop() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
}

}  // namespace eventrelay
