// Behind GroupClient: rebalances of the member, handed to the shards and gathered from them.
//
//   Idle --assign--> LookingUp --> Taking --all have taken--> Owning --revoke--> GivingUp --> Idle
//
// Why:     the library waits for one answer to each step of the group, which is given when the last
//          shard has done its part.
// Owner:   GroupClient; what waits in the loop keeps it alive. A share keeps it until it ends, and
//          is known to it by a weak pointer: neither keeps the other's loop busy for ever.
// Thread:  the leader's, except what says any thread.
// Bounds:  one step at a time.
// Errors:  logged, or told to the first shard.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/kafka/consumer_handle.hpp"
#include "common/kafka/shares.hpp"
#include "common/kafka/stats.hpp"
#include "common/kafka/wakeup.hpp"

namespace eventrelay::kafka {

// What the group asks of one shard. Thread: the shard's.
class GroupShare {
 public:
  // These partitions, with what is committed of each; taken() follows.
  virtual void take(PartitionsPtr committed) = 0;
  // All it has; given_up() follows, at once or later.
  virtual void give_up(Loss loss) = 0;
  virtual void fail(const std::string& reason) = 0;
  // The member has left its group.
  virtual void closed() = 0;

 protected:
  ~GroupShare() = default;
};

// Thread: see the head of this file.  Bounds: likewise.
class Group : public ClientTurns<Group> {
 public:
  Group(Executor leader, const KafkaConfig& config, const ConsumerOptions& options,
        metrics::Slab& slab);
  void end();

  // Before the loops run.
  void add(unsigned shard, const Executor& executor, std::weak_ptr<GroupShare> share);
  [[nodiscard]] const std::shared_ptr<ConsumerHandle>& handle() const noexcept { return handle_; }
  [[nodiscard]] const ConsumerOptions& options() const noexcept { return options_; }

  // Any thread: what a shard has done.
  void started(unsigned shard) { post_done(ShareStep::Start, shard); }
  void taken(unsigned shard) { post_done(ShareStep::Take, shard); }
  void given_up(unsigned shard) { post_done(ShareStep::GiveUp, shard); }
  // Leaves the group once all shards want it, by the last of their deadlines.
  void close(unsigned shard, TimePoint deadline);
  // It has ended: nobody waits for it.
  void gone(unsigned shard);

 private:
  friend class ClientTurns<Group>;
  enum class State : std::uint8_t { Idle, LookingUp, Taking, Owning, GivingUp };
  struct Member {
    Executor executor;
    std::weak_ptr<GroupShare> share;
  };

  [[nodiscard]] Duration tick_interval() const noexcept;
  void on_numbers(std::span<const std::int32_t> /*numbers*/) { serve(); }
  void tick() { serve(); }
  void serve();
  void post_done(ShareStep step, unsigned shard);
  void on_all_done(ShareStep step);
  void join();
  void on_rebalance(rd_kafka_event_t* event);
  void on_error(rd_kafka_event_t* event);
  void begin_assign(PartitionsPtr partitions);
  void deal_out(const rd_kafka_topic_partition_list_t& committed);
  void assign();
  void begin_revoke();
  void unassign();
  void leave();
  void check_closed();
  void let_go();
  void fail(std::string_view reason);
  // Runs `task(share)` in the thread of the shard, if it is still there then.
  template <class Task>
  void tell(const Member& member, Task task);

  const ConsumerOptions options_;
  const Executor leader_;
  metrics::Slab& slab_;
  StatsMeter meter_;
  std::shared_ptr<ConsumerHandle> handle_;
  std::vector<Member> members_;  // by shard
  Shares shares_;
  State state_ = State::Idle;
  PartitionsPtr starts_;  // of the assignment: where reading begins; null or empty: none
  bool closing_ = false;
  TimePoint close_deadline_{};
};

}  // namespace eventrelay::kafka
