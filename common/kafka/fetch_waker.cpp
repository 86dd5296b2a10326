#include "common/kafka/fetch_waker.hpp"

#include <utility>

namespace eventrelay::kafka {

FetchWaker::~FetchWaker() {
  {
    const std::lock_guard lock{mutex_};
    ending_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void FetchWaker::wake(Partition partition) {
  if (!needed_) return;
  {
    const std::lock_guard lock{mutex_};
    wanted_.insert(partition.value);
    if (!thread_.joinable()) thread_ = std::thread{[this] { run(); }};
  }
  changed_.notify_all();
}

void FetchWaker::run() {
  std::unique_lock lock{mutex_};
  for (;;) {
    changed_.wait(lock, [this] { return ending_ || !wanted_.empty(); });
    if (ending_) return;
    const std::set<std::int32_t> partitions = std::exchange(wanted_, {});
    lock.unlock();
    ask(partitions);
    lock.lock();
    if (changed_.wait_for(lock, kSpacing, [this] { return ending_; })) return;
  }
}

// Not rd_kafka_query_watermark_offsets(): without an answer it waits far past its limit.
void FetchWaker::ask(const std::set<std::int32_t>& partitions) const {
  const PartitionsPtr list{rd_kafka_topic_partition_list_new(static_cast<int>(partitions.size()))};
  for (const std::int32_t partition : partitions) {
    rd_kafka_topic_partition_list_add(list.get(), topic_.c_str(), partition)->offset =
        RD_KAFKA_OFFSET_END;
  }
  (void)rd_kafka_offsets_for_times(client_, list.get(), static_cast<int>(kQuestionMax.count()));
}

}  // namespace eventrelay::kafka
