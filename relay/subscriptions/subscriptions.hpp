// Which subscriptions an event goes to: the registry's answer with a queue and a target each.
//
// Why:     a queue, a signer and an endpoint are made when the first event of an instance comes,
//          not for 100 000 instances at start; and let go when others came since and nothing of it
//          is under way: one that is made anew would do the same. Of more instances than are kept
//          most have one event and then none for long, so one that is used once goes after a few
//          others, while its memory, which the next one gets, is still in the core's cache; one
//          that is used again stays (Yang and others, "FIFO Queues are All You Need for Cache
//          Eviction", SOSP 2023).
// Owner:   the shard.  Thread: shard thread.
// Bounds:  kKept queues, of some 1.5 KiB with their targets, besides those that have something to
//          do or something to remember; the ids of kGone instances that were let go.
// Errors:  settings were checked before they came here; a target that can not be made all the
//          same is logged and keeps the former one.
#pragma once

#include <algorithm>
#include <boost/container/small_vector.hpp>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/base/linked_list.hpp"
#include "common/observe/metrics.hpp"
#include "common/registry/settings.hpp"
#include "relay/dispatch/scheduler.hpp"
#include "relay/http/deliverer.hpp"
#include "relay/io/endpoint_caller.hpp"
#include "relay/subscriptions/health.hpp"

namespace eventrelay::relay {

// A subscription that fails, for the status page.
struct Failing {
  std::string subscription;
  metrics::Outcome last = metrics::Outcome::Ok;
  std::uint64_t waiting = 0;   // events that failed and are to be tried again
  std::uint64_t failures = 0;  // attempts that failed since the first of them
  WallTime oldest_pending{};   // when the oldest of them was received
  WallTime next_attempt{};     // of any of them, as far as is known
  std::string detail{};        // of the last failure, in the words of a library
};

// Thread: shard thread.  Bounds: see the head of this file.
class Subscriptions {
 public:
  // Unknown: it may yet come, or its events may yet be enabled, as ingest was told before. Deleted:
  // it was known, and nobody will want its events.
  enum class Match : std::uint8_t { Some, None, UnknownInstance, DeletedInstance };

  // Queues that stay, however long nothing comes for them ...
  static constexpr std::size_t kKept = 8192;
  // ... but where there are more instances than that, so many of those that were used once.
  static constexpr std::size_t kOnce = 512;
  static constexpr std::size_t kGone = 16'384;

  // `steps`: the delay topics there are.
  Subscriptions(Scheduler& scheduler, EndpointCaller& caller, std::vector<milliseconds> steps)
      : scheduler_(scheduler), caller_(caller), steps_(std::move(steps)) {}

  // Jobs of subscriptions that are gone end in `finished`; those of changed ones go on under the
  // new ones. All others are touched only where the configuration they share has changed.
  void use(const Update& update, std::vector<Finished>& finished);
  // Events of these instances come next: what match() reads of them is fetched into the cache, if
  // there are more instances than that holds.
  void expect(std::span<const InstanceId> ids) const noexcept;
  // Appends the queues that want `event`. Others may go: of those at rest none is to be kept over
  // this call.
  [[nodiscard]] Match match(const Event& event, std::vector<SubscriptionQueue*>& queues);
  // Whether the instance is known, or was deleted; None: it is known.
  [[nodiscard]] Match knows(InstanceId instance) const noexcept;
  // Whether an event may come for an instance of which none has come so far: it has no queues yet.
  [[nodiscard]] bool any_unseen() const noexcept {
    return settings_ != nullptr && routes_.size() < settings_->registry.size();
  }
  // The queue of one subscription by its id; null: it is gone.
  [[nodiscard]] SubscriptionQueue* find(InstanceId instance, std::string_view subscription);
  // The same, without making one. Nothing: it is gone; no queue: it has none, so nothing of it is
  // under way.
  struct Seen {
    Ordering ordering = Ordering::None;
    const SubscriptionQueue* queue = nullptr;
  };
  [[nodiscard]] std::optional<Seen> see(InstanceId instance, std::string_view subscription) const;
  // As resume_time(), by the id of the subscription.
  [[nodiscard]] std::optional<WallTime> resumed_at(std::string_view subscription) const;
  [[nodiscard]] const TargetPtr& target(const SubscriptionQueue& queue) const {
    return targets_[queue.index];
  }

  // An event that had failed before was taken at last, or is dead.
  void note_recovery(const Job& job);
  // Logs it if it is a change of the subscription's state.
  void note_failure(const Job& job, const Result& result, TimePoint now);
  // Likewise; costs one compare while nothing fails.
  void note_answer(const Job& job, TimePoint now) {
    if (health_.all_well() || job.queue->retired) return;
    log_change(*job.queue, health_.answered(job.queue->index, now), {});
  }
  void note_dead_letter(const Job& job, TimePoint now);
  // When what has just failed is tried again; both by the clock of due times.
  void note_next(const Job& job, WallTime due, WallTime now);
  // Partitions have left and with them events that had failed; those that stay will say so again.
  void forget_failing() { failing_.clear(); }
  // At most `max`, oldest first.
  [[nodiscard]] std::vector<Failing> failing(std::size_t max, const Moment& moment) const;

 private:
  struct Arm {
    const Subscription* subscription = nullptr;
    SubscriptionQueue* queue = nullptr;
  };
  struct Route {
    InstanceId id;
    boost::container::small_vector<Arm, 1> arms;
    bool used = false;   // since it was made, or last looked at
    bool stays = false;  // it was used again: in staying_, else in once_
    ListHook in_order;
  };
  using Routes = std::unordered_map<InstanceId, Route>;
  using RouteList = LinkedList<Route, &Route::in_order>;

  [[nodiscard]] static auto arm_of(const Route& route, std::string_view subscription) {
    return std::find_if(route.arms.begin(), route.arms.end(), [subscription](const Arm& arm) {
      return arm.subscription->id == subscription;
    });
  }
  // Null: the instance is not known, or disabled.
  [[nodiscard]] Route* route_of(InstanceId id);
  // Of a route whose instance may have changed, or be gone.
  void refresh(Routes::iterator route, std::vector<Finished>& finished);
  [[nodiscard]] SubscriptionQueue& make_queue(const Instance& instance,
                                              const Subscription& subscription);
  void retire(SubscriptionQueue& queue, std::vector<Finished>& finished);
  // Lets go of what is not used, a few at a time.
  void let_go();
  [[nodiscard]] bool too_many() const noexcept {
    return scheduler_.queues() > kKept || (many_ && once_count_ > kOnce);
  }
  void look_at(Route& route);
  void drop(Route& route);
  void list(Route& route);
  void unlist(Route& route);
  [[nodiscard]] std::uint32_t& gone_at(InstanceId id);
  [[nodiscard]] bool at_rest(const Route& route) const;
  [[nodiscard]] TargetPtr make_target(const Instance& instance, const Subscription& subscription);
  [[nodiscard]] std::shared_ptr<const RetryPolicy> policy_of(const DeliveryConfig& delivery) const;
  void log_change(const SubscriptionQueue& queue, const std::optional<HealthChange>& change,
                  const Result& result) const;
  void set_target(const SubscriptionQueue& queue, TargetPtr target);

  Scheduler& scheduler_;
  EndpointCaller& caller_;
  std::vector<milliseconds> steps_;
  std::shared_ptr<const Settings> settings_;
  std::shared_ptr<const RetryPolicy> common_policy_;
  Routes routes_;
  // Of routes_, each by when it was made or last looked at.
  RouteList once_;
  RouteList staying_;
  std::size_t once_count_ = 0;
  bool many_ = false;                // there are more instances than are kept
  std::vector<std::uint32_t> gone_;  // low bits of ids that were let go; later ones overwrite them
  std::vector<Finished> nothing_;    // scratch
  std::vector<TargetPtr> targets_;   // by queue index
  struct FailingQueue {
    const SubscriptionQueue* queue = nullptr;
    Failing told;
  };
  std::unordered_map<std::uint32_t, FailingQueue> failing_;
  SubscriptionHealth health_;
};

// When the control API last resumed a subscription. Nothing: it never did, or the subscription is
// paused again, alone or with its instance.
[[nodiscard]] std::optional<WallTime> resume_time(const Instance& instance,
                                                  const Subscription& subscription);
// Tries to build what every subscription needs. Throws StartError naming the first that fails.
void check_subscriptions(const Settings& settings);
// What is wrong with subscriptions, one line each, all of them: empty where a start would succeed.
[[nodiscard]] std::vector<std::string> subscription_problems(const Settings& settings);
// What a start takes though nothing can ever be delivered: one line each.
[[nodiscard]] std::vector<std::string> subscription_warnings(const Settings& settings);
// check_subscriptions() of the instances that changed.
void check_changes(const Update& update);

// The ids of the subscriptions that `registry` has and will not have after `changes`.
[[nodiscard]] std::vector<std::string> subscriptions_gone(const Registry& registry,
                                                          const Changes& changes);

}  // namespace eventrelay::relay
