#include "common/kafka/consumer_handle.hpp"

#include <unistd.h>

#include <array>
#include <charconv>

#include "common/base/assert.hpp"
#include "common/base/clock.hpp"
#include "common/kafka/prefetch.hpp"
#include "common/observe/log.hpp"

namespace eventrelay::kafka {
namespace {

// Short, so that a member that must end does not wait for it; a broker answers in milliseconds.
constexpr std::chrono::milliseconds kLookupTimeout{2000};
constexpr std::chrono::milliseconds kLookupPause{100};
constexpr std::chrono::milliseconds kCloseLimit{800};
constexpr int kClosePollMs = 20;

Defaults defaults_of(const ConsumerOptions& options) {
  const Prefetch prefetch = prefetch_for(options);
  return {{"group.id", options.group},
          {"queued.max.messages.kbytes", std::to_string(prefetch.queue_kbytes)},
          {"queued.min.messages", std::to_string(prefetch.queue_messages)},
          {"fetch.message.max.bytes", std::to_string(prefetch.fetch_bytes)},
          {"fetch.wait.max.ms", std::to_string(prefetch.wait_ms)},
          // A member hears with it that others join or leave, and until it does nobody reads what
          // those had: default 3 s.
          {"heartbeat.interval.ms", "500"}};
}

// The member bears the name of the first shard.
KafkaConfig with_member_name(KafkaConfig config) {
  const auto found = config.properties.find("group.instance.id");
  if (found != config.properties.end()) found->second += "-0";
  return config;
}

// Bytes: what the user set, or we did.
std::size_t queue_limit(rd_kafka_t* client) {
  std::array<char, 32> text{};
  std::size_t size = text.size();
  std::size_t kbytes = 0;
  const auto found =
      rd_kafka_conf_get(rd_kafka_conf(client), "queued.max.messages.kbytes", text.data(), &size);
  EVENTRELAY_ASSERT(found == RD_KAFKA_CONF_OK);
  std::from_chars(text.data(), text.data() + text.size(), kbytes);
  return kbytes * 1024;
}

bool ask(rd_kafka_t* client, rd_kafka_topic_partition_list_t* partitions) {
  auto error = rd_kafka_committed(client, partitions, static_cast<int>(kLookupTimeout.count()));
  for (int i = 0; error == RD_KAFKA_RESP_ERR_NO_ERROR && i < partitions->cnt; ++i) {
    error = partitions->elems[i].err;
  }
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return true;
  log::warn("committed positions of the group are not known yet",
            {{"reason", rd_kafka_err2str(error)}});
  return false;
}

}  // namespace

ClientPtr ConsumerHandle::client_of(const KafkaConfig& config, const ConsumerOptions& options) {
  ConfPtr conf = make_conf(with_member_name(config), Role::Consumer, defaults_of(options));
  rd_kafka_conf_set_events(conf.get(),
                           RD_KAFKA_EVENT_REBALANCE | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_STATS);
  return make_client(std::move(conf), Role::Consumer);
}

ConsumerHandle::ConsumerHandle(const KafkaConfig& config, const ConsumerOptions& options,
                               int wake_descriptor)
    : client_(client_of(config, options)),
      wake_descriptor_(wake_descriptor),
      wake_after_(queue_limit(client_.get()) / 2),
      waker_(client_.get(), options.topic) {
  rd_kafka_poll_set_consumer(client_.get());
  events_.reset(rd_kafka_queue_get_consumer(client_.get()));
  rd_kafka_queue_io_event_enable(events_.get(), wake_descriptor, &kEventsNumber,
                                 sizeof kEventsNumber);
}

ConsumerHandle::~ConsumerHandle() {
  detach();
  end_lookup();
  finish_close();
  closing_.reset();
  events_.reset();
  // A close that did not end in time must not begin again here.
  rd_kafka_destroy_flags(client_.release(), RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

EventPtr ConsumerHandle::poll() const noexcept {
  return EventPtr{rd_kafka_queue_poll(closing_ ? closing_.get() : events_.get(), 0)};
}

void ConsumerHandle::look_up(PartitionsPtr partitions) {
  end_lookup();
  const std::lock_guard lock{mutex_};
  cancelled_ = false;
  found_.reset();
  lookup_ = std::thread{
      [this, partitions = std::move(partitions)]() mutable { run_lookup(std::move(partitions)); }};
}

void ConsumerHandle::run_lookup(PartitionsPtr partitions) {
  while (!ask(client_.get(), partitions.get())) {
    std::unique_lock lock{mutex_};
    if (cancelled_changed_.wait_for(lock, kLookupPause, [this] { return cancelled_; })) return;
  }
  const std::lock_guard lock{mutex_};
  if (cancelled_) return;
  found_ = std::move(partitions);
  // Under the lock: detach() must not return while the descriptor is being written.
  if (wake_descriptor_ < 0) return;
  (void)!::write(wake_descriptor_, &kLookedUpNumber, sizeof kLookedUpNumber);
}

PartitionsPtr ConsumerHandle::looked_up() {
  const std::lock_guard lock{mutex_};
  return std::move(found_);
}

void ConsumerHandle::forget_lookup() {
  const std::lock_guard lock{mutex_};
  cancelled_ = true;
  found_.reset();
  cancelled_changed_.notify_all();
}

void ConsumerHandle::end_lookup() {
  forget_lookup();
  if (lookup_.joinable()) lookup_.join();
}

ErrorPtr ConsumerHandle::begin_close() {
  closing_.reset(rd_kafka_queue_new(client_.get()));
  rd_kafka_queue_io_event_enable(closing_.get(), wake_descriptor_, &kEventsNumber,
                                 sizeof kEventsNumber);
  return ErrorPtr{rd_kafka_consumer_close_queue(client_.get(), closing_.get())};
}

// A rebalance without an answer would delay the end. Partitions that are given back stop in the
// library's own time, and a client that is destroyed before may wait for them for ever.
void ConsumerHandle::finish_close() {
  rd_kafka_assign(client_.get(), nullptr);
  const TimePoint since = monotonic_now();
  while (closing_ && !closed() && monotonic_now() - since < kCloseLimit) {
    const EventPtr event{rd_kafka_queue_poll(closing_.get(), kClosePollMs)};
    if (!event || rd_kafka_event_type(event.get()) != RD_KAFKA_EVENT_REBALANCE) continue;
    rd_kafka_assign(client_.get(), nullptr);
  }
}

void ConsumerHandle::detach() {
  if (closing_) rd_kafka_queue_io_event_enable(closing_.get(), -1, nullptr, 0);
  rd_kafka_queue_io_event_enable(events_.get(), -1, nullptr, 0);
  const std::lock_guard lock{mutex_};
  wake_descriptor_ = -1;
}

}  // namespace eventrelay::kafka
