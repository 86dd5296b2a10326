#include "common/kafka/consumer_client.hpp"

#include <atomic>

#include "common/base/assert.hpp"
#include "common/kafka/assignment.hpp"
#include "common/kafka/commit_gate.hpp"
#include "common/kafka/commits.hpp"
#include "common/kafka/group.hpp"
#include "common/kafka/group_client.hpp"
#include "common/observe/log.hpp"

namespace eventrelay::kafka {

// Everything behind ConsumerClient; handlers of the loop keep it alive until they have run.
// Thread: shard thread.  Bounds: ConsumerOptions.
class ConsumerClient::Impl final : public ClientTurns<Impl>, public GroupShare {
 public:
  Impl(Executor executor, std::shared_ptr<Group> group, unsigned shard, ConsumerHandler& handler,
       metrics::Slab& slab)
      : ClientTurns(executor),
        group_(std::move(group)),
        options_(group_->options()),
        shard_(shard),
        handler_(handler),
        slab_(slab),
        handle_(group_->handle()),
        answers_(rd_kafka_queue_new(handle_->client())) {
    rd_kafka_queue_io_event_enable(answers_.get(), wakeup().descriptor(), &kEventsNumber,
                                   sizeof kEventsNumber);
  }

  void begin_share(const Executor& executor) {
    group_->add(shard_, executor, weak_from_this());
    begin();
  }
  void end() {
    stop_turns();
    let_go();
    wakeup().close();
    // What waits in a loop may outlive the leader's.
    std::exchange(group_, nullptr)->gone(shard_);
  }
  void start() { group_->started(shard_); }
  [[nodiscard]] std::optional<Message> next(Partition partition);
  void commit_async(std::span<const Commit> commits);
  [[nodiscard]] bool committing() const noexcept { return gate_.busy(monotonic_now()); }
  [[nodiscard]] bool commit_sync(std::span<const Commit> commits);
  [[nodiscard]] bool confirm(const std::string& topic, const Commit& commit, std::uint64_t token) {
    return handle_ && ask_member(handle_->client(), answers_.get(), topic, {commit, token});
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
  enum class State : std::uint8_t { Idle, Owning, Revoking };

  void take(PartitionsPtr committed) override;
  void give_up(Loss loss) override;
  void fail(const std::string& reason) override {
    if (!stopped()) handler_.on_fatal(reason);
  }
  void closed() override;

  [[nodiscard]] static Duration tick_interval() noexcept { return kTick; }
  void on_numbers(std::span<const std::int32_t> numbers);
  void tick();
  void serve();
  void on_committed(rd_kafka_event_t* event);
  void drop();
  void tell_readable(OwnedPartition& one);
  void wake_fetching(OwnedPartition& one) {
    one.taken = 0;
    handle_->wake_fetching(one.partition);
  }
  void let_go();

  std::shared_ptr<Group> group_;
  const ConsumerOptions options_;
  const unsigned shard_;
  ConsumerHandler& handler_;
  metrics::Slab& slab_;
  std::shared_ptr<ConsumerHandle> handle_;
  QueuePtr answers_;  // to its commits
  Assignment assignment_;
  CommitGate gate_;
  State state_ = State::Idle;
  std::atomic<bool> joined_{false};
  std::function<void()> closed_;
};

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
    const EventPtr event{rd_kafka_queue_poll(answers_.get(), 0)};
    if (!event) break;
    if (rd_kafka_event_type(event.get()) == RD_KAFKA_EVENT_OFFSET_COMMIT) on_committed(event.get());
  }
}

void ConsumerClient::Impl::take(PartitionsPtr committed) {
  if (stopped() || !handle_) return;  // it has ended, and the group knows or will hear of it
  EVENTRELAY_ASSERT(assignment_.owned().empty());
  const auto assigned = assignment_.take(handle_->client(), *committed, wakeup().descriptor());
  state_ = State::Owning;
  handler_.on_assigned(assigned);
  joined_.store(true, std::memory_order_relaxed);
  group_->taken(shard_);
}

void ConsumerClient::Impl::give_up(Loss loss) {
  if (stopped() || state_ != State::Owning) return;
  if (assignment_.owned().empty()) return drop();
  state_ = State::Revoking;
  handler_.on_revoking(assignment_.partitions(), loss);
}

void ConsumerClient::Impl::release() {
  if (state_ == State::Revoking) drop();  // else a close gave up waiting for it
}

void ConsumerClient::Impl::drop() {
  assignment_.drop();
  state_ = State::Idle;
  group_->given_up(shard_);
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
      rd_kafka_commit_queue(handle_->client(), list.get(), answers_.get(), nullptr, nullptr);
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
  group_->close(shard_, deadline);
}

void ConsumerClient::Impl::closed() {
  if (stopped()) return;
  let_go();
  if (closed_) std::exchange(closed_, nullptr)();
}

void ConsumerClient::Impl::let_go() {
  if (!handle_) return;
  assignment_.drop();
  state_ = State::Idle;
  rd_kafka_queue_io_event_enable(answers_.get(), -1, nullptr, 0);
  answers_.reset();
  retire(std::exchange(handle_, nullptr));
}

ConsumerClient::ConsumerClient(Executor executor, GroupClient& group, unsigned shard,
                               ConsumerHandler& handler, metrics::Slab& slab)
    : impl_(std::make_shared<Impl>(executor, group.group(), shard, handler, slab)) {
  impl_->begin_share(executor);
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
