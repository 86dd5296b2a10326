#include "common/kafka/group.hpp"

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <utility>

#include "common/base/assert.hpp"
#include "common/kafka/commits.hpp"
#include "common/observe/log.hpp"

namespace eventrelay::kafka {
namespace {

// Polls although nothing woke it: the member stays in its group, a lost wake-up is found.
constexpr std::chrono::milliseconds kCloseTick{5};

bool not_allowed(rd_kafka_resp_err_t error) noexcept {
  return error == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED ||
         error == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
}

bool empty(const PartitionsPtr& list) noexcept {
  return list == nullptr || list->cnt == 0;
}

// The part of each shard, as `committed` tells it.
std::vector<PartitionsPtr> deal_lists(const rd_kafka_topic_partition_list_t& committed,
                                      unsigned shards) {
  std::vector<std::int32_t> partitions;
  for (int i = 0; i < committed.cnt; ++i) partitions.push_back(committed.elems[i].partition);
  std::vector<PartitionsPtr> parts;
  for (unsigned shard = 0; shard < shards; ++shard) {
    parts.emplace_back(rd_kafka_topic_partition_list_new(committed.cnt));
  }
  const std::vector<unsigned> dealt = deal(partitions, shards);
  for (std::size_t i = 0; i < dealt.size(); ++i) {
    copy_committed(parts[dealt[i]].get(), committed.elems[i]);
  }
  return parts;
}

}  // namespace

Group::Group(Executor leader, const KafkaConfig& config, const ConsumerOptions& options,
             metrics::Slab& slab)
    : ClientTurns(leader),
      options_(options),
      leader_(leader),
      slab_(slab),
      meter_(slab),
      handle_(std::make_shared<ConsumerHandle>(config, options, wakeup().descriptor())),
      members_(options.shards, Member{leader, {}}),
      shares_(options.shards) {
  shares_.ask(ShareStep::Start);
  shares_.ask(ShareStep::Close);
}

void Group::end() {
  stop_turns();
  let_go();
  wakeup().close();
}

Duration Group::tick_interval() const noexcept {
  return closing_ ? kCloseTick : kTick;
}

void Group::add(unsigned shard, const Executor& executor, std::weak_ptr<GroupShare> share) {
  EVENTRELAY_ASSERT(shard < members_.size());
  members_[shard] = Member{executor, std::move(share)};
}

template <class Task>
void Group::tell(const Member& member, Task task) {
  asio::post(member.executor, [share = member.share, task = std::move(task)]() mutable {
    if (const auto one = share.lock()) task(*one);
  });
}

// --- what the shards have done -------------------------------------------------------------------

void Group::post_done(ShareStep step, unsigned shard) {
  asio::post(leader_, [self = shared_from_this(), step, shard] {
    if (!self->stopped() && self->shares_.done(step, shard)) self->on_all_done(step);
  });
}

void Group::gone(unsigned shard) {
  asio::post(leader_, [self = shared_from_this(), shard] {
    if (self->stopped()) return;
    for (const ShareStep step : self->shares_.gone(shard)) self->on_all_done(step);
  });
}

void Group::close(unsigned shard, TimePoint deadline) {
  asio::post(leader_, [self = shared_from_this(), shard, deadline] {
    if (self->stopped()) return;
    self->close_deadline_ = std::max(self->close_deadline_, deadline);
    if (self->shares_.done(ShareStep::Close, shard)) self->on_all_done(ShareStep::Close);
  });
}

void Group::on_all_done(ShareStep step) {
  if (!handle_) return;
  switch (step) {
    case ShareStep::Start:
      return join();
    case ShareStep::Take:
      return assign();
    case ShareStep::GiveUp:
      if (state_ == State::GivingUp) unassign();
      return;
    case ShareStep::Close:
      return leave();
  }
}

void Group::join() {
  const PartitionsPtr topics{rd_kafka_topic_partition_list_new(1)};
  rd_kafka_topic_partition_list_add(topics.get(), options_.topic.c_str(), RD_KAFKA_PARTITION_UA);
  const auto error = rd_kafka_subscribe(handle_->client(), topics.get());
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return;
  fail("kafka group \"" + options_.group + "\", topic \"" + options_.topic +
       "\": " + rd_kafka_err2str(error));
}

void Group::fail(std::string_view reason) {
  tell(members_.front(), [text = std::string(reason)](GroupShare& share) { share.fail(text); });
}

// --- what the group does -------------------------------------------------------------------------

// While shards take partitions over nothing else is heard: what the group wants next is told to
// each of them behind that.
void Group::serve() {
  while (handle_ && state_ != State::Taking) {
    const EventPtr event = handle_->poll();
    if (!event) break;
    switch (rd_kafka_event_type(event.get())) {
      case RD_KAFKA_EVENT_REBALANCE:
        on_rebalance(event.get());
        break;
      case RD_KAFKA_EVENT_ERROR:
        on_error(event.get());
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
    if (const PartitionsPtr committed = handle_->looked_up()) deal_out(*committed);
  }
  check_closed();
}

void Group::on_rebalance(rd_kafka_event_t* event) {
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

void Group::begin_assign(PartitionsPtr partitions) {
  EVENTRELAY_ASSERT(empty(starts_));
  if (partitions->cnt == 0) return deal_out(*partitions);
  state_ = State::LookingUp;
  handle_->look_up(std::move(partitions));
}

void Group::deal_out(const rd_kafka_topic_partition_list_t& committed) {
  state_ = State::Taking;
  starts_ = starts_from(committed);
  slab_.kafka_rebalances_total.add();
  std::vector<PartitionsPtr> parts = deal_lists(committed, options_.shards);
  shares_.ask(ShareStep::Take);
  for (std::size_t shard = 0; shard < parts.size(); ++shard) {
    tell(members_[shard], [part = std::move(parts[shard])](GroupShare& share) mutable {
      share.take(std::move(part));
    });
  }
}

// Every queue is cut off by now, so nothing slips through.
void Group::assign() {
  const auto error = rd_kafka_assign(handle_->client(), starts_.get());
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    log::error("kafka assignment was not taken", {{"reason", rd_kafka_err2str(error)}});
  }
  state_ = State::Owning;
  serve();
}

void Group::begin_revoke() {
  if (state_ == State::GivingUp) return;
  if (empty(starts_)) return unassign();
  state_ = State::GivingUp;
  slab_.kafka_rebalances_total.add();
  const bool lost = rd_kafka_assignment_lost(handle_->client()) == 1;
  shares_.ask(ShareStep::GiveUp);
  for (const Member& member : members_) {
    tell(member,
         [loss = lost ? Loss::Lost : Loss::Revoked](GroupShare& share) { share.give_up(loss); });
  }
}

void Group::unassign() {
  handle_->forget_lookup();
  starts_.reset();
  state_ = State::Idle;
  const auto error = rd_kafka_assign(handle_->client(), nullptr);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    log::error("kafka assignment was not given back", {{"reason", rd_kafka_err2str(error)}});
  }
}

void Group::on_error(rd_kafka_event_t* event) {
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
    fail(text);
    return;
  }
  if (is_no_news(code)) return;
  log::warn("kafka consumer reports an error",
            {{"error", rd_kafka_err2name(code)}, {"text", text}});
}

// --- its end -------------------------------------------------------------------------------------

void Group::leave() {
  closing_ = true;
  if (state_ == State::LookingUp) unassign();  // the group must not wait for the answer
  if (const ErrorPtr error = handle_->begin_close()) {
    log::warn("kafka consumer was not closed", {{"reason", rd_kafka_error_string(error.get())}});
    let_go();
  }
  tick_now();
}

void Group::check_closed() {
  if (!closing_) return;
  if (handle_ && !handle_->closed()) {
    if (monotonic_now() < close_deadline_) return;
    log::error("kafka consumer was not closed in time and is left behind");
  }
  closing_ = false;
  let_go();
  for (const Member& member : members_) {
    tell(member, [](GroupShare& share) { share.closed(); });
  }
}

void Group::let_go() {
  if (!handle_) return;
  state_ = State::Idle;
  starts_.reset();
  handle_->detach();
  retire(std::exchange(handle_, nullptr));
}

}  // namespace eventrelay::kafka
