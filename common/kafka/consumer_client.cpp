#include "common/kafka/consumer_client.hpp"

#include <array>
#include <atomic>

#include "common/base/assert.hpp"
#include "common/base/start_error.hpp"
#include "common/kafka/assignment.hpp"
#include "common/kafka/commit_gate.hpp"
#include "common/kafka/commits.hpp"
#include "common/kafka/consumer_handle.hpp"
#include "common/kafka/stats.hpp"
#include "common/kafka/wakeup.hpp"
#include "common/observe/log.hpp"

namespace eventrelay::kafka {
namespace {

// Polls although nothing woke the shard: the member stays in its group, a lost wake-up is found.
constexpr std::chrono::milliseconds kCloseTick{5};

bool not_allowed(rd_kafka_resp_err_t error) noexcept {
  return error == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED ||
         error == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
}

}  // namespace

// Everything behind ConsumerClient; handlers of the loop keep it alive until they have run.
// Thread: shard thread.  Bounds: ConsumerOptions.
class ConsumerClient::Impl : public ClientTurns<Impl> {
 public:
  Impl(Executor executor, const KafkaConfig& config, const ConsumerOptions& options,
       ConsumerHandler& handler, metrics::Slab& slab)
      : ClientTurns(executor),
        options_(options),
        handler_(handler),
        slab_(slab),
        meter_(slab),
        handle_(std::make_shared<ConsumerHandle>(config, options, wakeup().descriptor())) {}

  void end() {
    stop_turns();
    let_go();
    wakeup().close();
  }
  void start();
  [[nodiscard]] std::optional<Message> next(Partition partition);
  void commit_async(std::span<const Commit> commits);
  [[nodiscard]] bool committing() const noexcept { return gate_.busy(monotonic_now()); }
  [[nodiscard]] bool commit_sync(std::span<const Commit> commits);
  [[nodiscard]] bool confirm(const std::string& topic, const Commit& commit, std::uint64_t token) {
    return handle_ && ask_member(handle_->client(), handle_->events(), topic, {commit, token});
  }
  [[nodiscard]] std::optional<Watermarks> watermarks(Partition partition) const;
  [[nodiscard]] std::int64_t lag() const {
    return handle_ ? assignment_.lag(handle_->client(), options_.topic) : 0;
  }
  void read_anew(Partition partition);
  void release();
  void close(TimePoint deadline, std::function<void()> done);
  [[nodiscard]] bool joined() const noexcept { return joined_.load(std::memory_order_relaxed); }

 private:
  friend class ClientTurns<Impl>;
  enum class State : std::uint8_t { Idle, LookingUp, Owning, Revoking };

  [[nodiscard]] Duration tick_interval() const noexcept { return closed_ ? kCloseTick : kTick; }
  void on_numbers(std::span<const std::int32_t> numbers);
  void tick();
  void serve();
  void on_rebalance(rd_kafka_event_t* event);
  void on_error(rd_kafka_event_t* event);
  void on_committed(rd_kafka_event_t* event);
  void begin_assign(PartitionsPtr partitions);
  void finish_assign(const rd_kafka_topic_partition_list_t& committed);
  void begin_revoke();
  void unassign();
  void tell_readable(OwnedPartition& one);
  void wake_fetching(OwnedPartition& one) {
    one.taken = 0;
    handle_->wake_fetching(one.partition);
  }
  void check_closed();
  void let_go();

  const ConsumerOptions options_;
  ConsumerHandler& handler_;
  metrics::Slab& slab_;
  StatsMeter meter_;
  std::shared_ptr<ConsumerHandle> handle_;
  Assignment assignment_;
  CommitGate gate_;
  State state_ = State::Idle;
  std::atomic<bool> joined_{false};
  std::function<void()> closed_;
  TimePoint close_deadline_{};
};

void ConsumerClient::Impl::start() {
  const PartitionsPtr topics{rd_kafka_topic_partition_list_new(1)};
  rd_kafka_topic_partition_list_add(topics.get(), options_.topic.c_str(), RD_KAFKA_PARTITION_UA);
  const auto error = rd_kafka_subscribe(handle_->client(), topics.get());
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return;
  throw StartError("kafka group \"" + options_.group + "\", topic \"" + options_.topic +
                   "\": " + rd_kafka_err2str(error));
}

void ConsumerClient::Impl::on_numbers(std::span<const std::int32_t> numbers) {
  for (const std::int32_t number : numbers) {
    if (number < 0) continue;
    OwnedPartition* one = assignment_.find(Partition{number});
    if (one != nullptr && one->drained) tell_readable(*one);
  }
  serve();
}

void ConsumerClient::Impl::tell_readable(OwnedPartition& one) {
  if (state_ != State::Owning) return;
  one.drained = false;
  handler_.on_readable(one.partition);
}

void ConsumerClient::Impl::serve() {
  while (handle_) {
    const EventPtr event = handle_->poll();
    if (!event) break;
    switch (rd_kafka_event_type(event.get())) {
      case RD_KAFKA_EVENT_REBALANCE:
        on_rebalance(event.get());
        break;
      case RD_KAFKA_EVENT_ERROR:
        on_error(event.get());
        break;
      case RD_KAFKA_EVENT_OFFSET_COMMIT:
        on_committed(event.get());
        break;
      case RD_KAFKA_EVENT_STATS:
        if (const auto stats = parse_stats(rd_kafka_event_stats(event.get()))) {
          meter_.consumer(*stats);
        }
        break;
      default:
        break;
    }
  }
  if (handle_ && state_ == State::LookingUp) {
    if (const PartitionsPtr committed = handle_->looked_up()) finish_assign(*committed);
  }
  check_closed();
}

void ConsumerClient::Impl::on_rebalance(rd_kafka_event_t* event) {
  const auto what = rd_kafka_event_error(event);
  const auto* partitions = rd_kafka_event_topic_partition_list(event);
  if (what == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
    begin_assign(PartitionsPtr{rd_kafka_topic_partition_list_copy(partitions)});
    return;
  }
  if (what != RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS) {
    log::error("kafka rebalance failed", {{"reason", rd_kafka_err2str(what)}});
  }
  begin_revoke();
}

void ConsumerClient::Impl::begin_assign(PartitionsPtr partitions) {
  EVENTRELAY_ASSERT(assignment_.owned().empty());
  if (partitions->cnt == 0) {
    finish_assign(*partitions);
    return;
  }
  state_ = State::LookingUp;
  handle_->look_up(std::move(partitions));
}

void ConsumerClient::Impl::finish_assign(const rd_kafka_topic_partition_list_t& committed) {
  const auto assigned = assignment_.take(handle_->client(), committed, wakeup().descriptor());
  state_ = State::Owning;
  slab_.kafka_rebalances_total.add();
  handler_.on_assigned(assigned);
  const auto error = rd_kafka_assign(handle_->client(), starts_from(committed).get());
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    log::error("kafka assignment was not taken", {{"reason", rd_kafka_err2str(error)}});
  }
  joined_.store(true, std::memory_order_relaxed);
}

void ConsumerClient::Impl::begin_revoke() {
  if (state_ == State::Revoking) return;
  if (assignment_.owned().empty()) {
    unassign();
    return;
  }
  state_ = State::Revoking;
  slab_.kafka_rebalances_total.add();
  const bool lost = rd_kafka_assignment_lost(handle_->client()) == 1;
  handler_.on_revoking(assignment_.partitions(), lost ? Loss::Lost : Loss::Revoked);
}

void ConsumerClient::Impl::read_anew(Partition partition) {
  OwnedPartition* const one = assignment_.find(partition);
  if (state_ != State::Owning || one == nullptr) return;
  const PartitionsPtr list{rd_kafka_topic_partition_list_new(1)};
  rd_kafka_topic_partition_list_add(list.get(), options_.topic.c_str(), partition.value)->offset =
      RD_KAFKA_OFFSET_BEGINNING;
  // Without a time it only begins: nothing here waits.
  const ErrorPtr error{rd_kafka_seek_partitions(handle_->client(), list.get(), 0)};
  one->done = kNoOffset;
  one->expected = kNoOffset;
  if (!error) return;
  log::error("kafka partition can not be read from its start",
             {{"partition", partition}, {"reason", rd_kafka_error_string(error.get())}});
}

void ConsumerClient::Impl::release() {
  if (state_ == State::Revoking) unassign();  // else a close gave up waiting for it
}

void ConsumerClient::Impl::unassign() {
  handle_->forget_lookup();
  assignment_.drop();
  state_ = State::Idle;
  const auto error = rd_kafka_assign(handle_->client(), nullptr);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    log::error("kafka assignment was not given back", {{"reason", rd_kafka_err2str(error)}});
  }
}

void ConsumerClient::Impl::on_error(rd_kafka_event_t* event) {
  const auto code = rd_kafka_event_error(event);
  if (code == RD_KAFKA_RESP_ERR__PARTITION_EOF) return;
  if (!is_no_news(code)) slab_.kafka_consumer_errors_total.add();
  std::array<char, 512> why{};
  const bool fatal =
      rd_kafka_fatal_error(handle_->client(), why.data(), why.size()) != RD_KAFKA_RESP_ERR_NO_ERROR;
  const std::string_view text = fatal ? why.data() : rd_kafka_event_error_string(event);
  if (fatal || not_allowed(code)) {
    log::error("kafka consumer can not go on",
               {{"error", rd_kafka_err2name(code)}, {"text", text}});
    handler_.on_fatal(text);
    return;
  }
  if (is_no_news(code)) return;
  log::warn("kafka consumer reports an error",
            {{"error", rd_kafka_err2name(code)}, {"text", text}});
}

std::optional<Message> ConsumerClient::Impl::next(Partition partition) {
  if (state_ != State::Owning) return std::nullopt;
  OwnedPartition* one = assignment_.find(partition);
  if (one == nullptr) return std::nullopt;
  for (;;) {
    MessagePtr message{rd_kafka_consume_queue(one->queue.get(), 0)};
    if (!message) {
      one->drained = true;
      return std::nullopt;
    }
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      if (message->offset != one->expected) note_jump(*one, *message, slab_);
      one->expected = message->offset + 1;
      one->taken += message->len + message->key_len;
      if (one->taken >= handle_->wake_after()) wake_fetching(*one);
      return Message{message.release()};
    }
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) continue;
    slab_.kafka_consumer_errors_total.add();
    log::error("kafka partition reports an error",
               {{"partition", partition},
                {"error", rd_kafka_err2name(message->err)},
                {"text", rd_kafka_message_errstr(message.get())}});
  }
}

void ConsumerClient::Impl::commit_async(std::span<const Commit> commits) {
  if (!handle_ || commits.empty()) return;
  const PartitionsPtr list = to_list(options_.topic, commits);
  const auto error =
      rd_kafka_commit_queue(handle_->client(), list.get(), handle_->events(), nullptr, nullptr);
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return gate_.sent(monotonic_now());
  handler_.on_commit_failed(rd_kafka_err2str(error));
}

void ConsumerClient::Impl::on_committed(rd_kafka_event_t* event) {
  if (const std::uint64_t token = asked_with(event)) {
    return handler_.on_confirmed(token, is_member(handle_->client(), event));
  }
  const bool again = gate_.answered();
  if (const char* const reason = commit_failure(event)) return handler_.on_commit_failed(reason);
  assignment_.note_committed(rd_kafka_event_topic_partition_list(event));
  if (again) handler_.on_commit_failed("one may have overtaken another");
}

bool ConsumerClient::Impl::commit_sync(std::span<const Commit> commits) {
  if (!handle_) return false;
  if (commits.empty()) return true;
  const PartitionsPtr list = to_list(options_.topic, commits);
  const EventPtr event = commit_and_wait(handle_->client(), list.get(), options_.commit_timeout);
  const char* reason = event ? commit_failure(event.get()) : "no answer in time";
  if (reason == nullptr)
    assignment_.note_committed(rd_kafka_event_topic_partition_list(event.get()));
  if (reason != nullptr) log::warn("kafka commit was refused", {{"reason", reason}});
  return reason == nullptr;
}

void ConsumerClient::Impl::tick() {
  serve();
  if (state_ == State::Owning) {
    auto& owned = assignment_.owned();
    // By index: the handler may give everything back while it is told.
    // NOLINTNEXTLINE(modernize-loop-convert)
    for (std::size_t i = 0; i < owned.size(); ++i) {
      if (owned[i].drained && rd_kafka_queue_length(owned[i].queue.get()) > 0) {
        tell_readable(owned[i]);
      }
    }
  }
}

std::optional<Watermarks> ConsumerClient::Impl::watermarks(Partition partition) const {
  if (!handle_) return std::nullopt;
  return known_watermarks(handle_->client(), options_.topic, partition);
}

void ConsumerClient::Impl::close(TimePoint deadline, std::function<void()> done) {
  EVENTRELAY_ASSERT(!closed_);
  closed_ = std::move(done);
  close_deadline_ = deadline;
  if (state_ == State::LookingUp) unassign();  // the group must not wait for the answer
  if (const ErrorPtr error = handle_->begin_close()) {
    log::warn("kafka consumer was not closed", {{"reason", rd_kafka_error_string(error.get())}});
    let_go();
  }
  tick_now();
}

void ConsumerClient::Impl::check_closed() {
  if (!closed_) return;
  if (handle_ && !handle_->closed()) {
    if (monotonic_now() < close_deadline_) return;
    log::error("kafka consumer was not closed in time and is left behind");
  }
  let_go();
  std::exchange(closed_, nullptr)();
}

void ConsumerClient::Impl::let_go() {
  if (!handle_) return;
  assignment_.drop();
  state_ = State::Idle;
  handle_->detach();
  retire(std::exchange(handle_, nullptr));
}

ConsumerClient::ConsumerClient(Executor executor, const KafkaConfig& config,
                               const ConsumerOptions& options, ConsumerHandler& handler,
                               metrics::Slab& slab)
    : impl_(std::make_shared<Impl>(executor, config, options, handler, slab)) {
  impl_->begin();
}

ConsumerClient::~ConsumerClient() {
  impl_->end();
}

void ConsumerClient::start() {
  impl_->start();
}

std::optional<Message> ConsumerClient::next(Partition partition) {
  return impl_->next(partition);
}

void ConsumerClient::commit_async(std::span<const Commit> commits) {
  impl_->commit_async(commits);
}

bool ConsumerClient::committing() const noexcept {
  return impl_->committing();
}

bool ConsumerClient::commit_sync(std::span<const Commit> commits) {
  return impl_->commit_sync(commits);
}

bool ConsumerClient::confirm(const std::string& topic, const Commit& commit, std::uint64_t token) {
  return impl_->confirm(topic, commit, token);
}

std::optional<Watermarks> ConsumerClient::watermarks(Partition partition) const {
  return impl_->watermarks(partition);
}

std::int64_t ConsumerClient::lag() const {
  return impl_->lag();
}

void ConsumerClient::read_anew(Partition partition) {
  impl_->read_anew(partition);
}

void ConsumerClient::release() {
  impl_->release();
}

void ConsumerClient::close(TimePoint deadline, std::function<void()> done) {
  impl_->close(deadline, std::move(done));
}

bool ConsumerClient::joined() const noexcept {
  return impl_->joined();
}

}  // namespace eventrelay::kafka
