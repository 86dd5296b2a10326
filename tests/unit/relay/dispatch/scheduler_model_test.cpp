// Rules of the scheduler that hold in every order of events, over seeded random lives in virtual
// time.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <random>
#include <set>
#include <string>

#include "relay/dispatch/scheduler.hpp"

namespace eventrelay::relay {
namespace {

using std::chrono::milliseconds;

const std::string kObjects[] = {"a", "b", "c", "d", ""};

class Life {
 public:
  explicit Life(std::uint64_t seed) : random_(seed), seed_(seed) {
    const std::size_t queues = 1 + up_to(4);
    for (std::size_t i = 0; i < queues; ++i) {
      QueueConfig config;
      config.ordering = static_cast<Ordering>(up_to(3));
      config.concurrency = static_cast<std::uint32_t>(1 + up_to(4));
      config.jobs_max = static_cast<std::uint32_t>(1 + up_to(10));
      config.rate = up_to(4) == 0 ? 50 : 0;
      config.slow_start = up_to(3) == 0 ? 20 : 0;
      config.breaker = {static_cast<std::uint32_t>(1 + up_to(4)), milliseconds{100},
                        milliseconds{400}};
      queues_.push_back(&scheduler_.add_queue(config));
    }
  }

  void run() {
    for (int step = 0; step < 150 && !::testing::Test::HasFatalFailure(); ++step) act();
    // Each job that was admitted ends once the endpoints answer.
    for (int round = 0; round < 5000 && scheduler_.jobs() != 0; ++round) {
      while (!flying_.empty()) end(0, How::Delivered);
      while (!leaving_.empty()) settle(0);
      send();
      if (scheduler_.jobs() == 0) break;
      if (!flying_.empty() || !leaving_.empty() || ::testing::Test::HasFatalFailure()) continue;
      const auto due = scheduler_.next_due();
      ASSERT_TRUE(due.has_value()) << "jobs left and nothing to wait for, seed " << seed_;
      now_ = std::max(now_, *due);
    }
    ASSERT_EQ(scheduler_.jobs(), 0U) << seed_;
    ASSERT_EQ(scheduler_.held_bytes(), 0U) << seed_;
    ASSERT_EQ(scheduler_.in_flight(), 0U) << seed_;
    ASSERT_EQ(finished_ + dropped_, admitted_) << seed_;
  }

 private:
  struct Record : HeldEvent {
    std::size_t number = 0;
    bool gone = false;
  };

  std::size_t up_to(std::size_t n) { return random_() % n; }

  void act() {
    switch (up_to(9)) {
      case 0:
      case 1:
      case 2:
        admit();
        break;
      case 3:
      case 4:
        send();
        break;
      case 5:
      case 6:
        end_one();
        break;
      case 7:
        if (!leaving_.empty()) settle(up_to(leaving_.size()));
        break;
      default:
        now_ += milliseconds{up_to(200)};
        if (up_to(12) == 0) revoke();
        break;
    }
  }

  void admit() {
    Record& record = records_.emplace_back();
    record.number = records_.size();
    record.event.object_id = kObjects[up_to(5)];
    record.partition = Partition{static_cast<std::int32_t>(up_to(3))};
    record.bytes = 1 + up_to(300);
    std::vector<SubscriptionQueue*> chosen;
    for (SubscriptionQueue* queue : queues_) {
      if (up_to(2) == 0) chosen.push_back(queue);
    }
    if (chosen.empty()) chosen.push_back(queues_[up_to(queues_.size())]);
    if (scheduler_.admit(record, chosen) == Admitted::Full) {
      ASSERT_EQ(record.jobs, 0U) << seed_;
      return;
    }
    ++admitted_;
    ASSERT_LE(scheduler_.jobs(), kBounds.jobs_max) << seed_;
    ASSERT_TRUE(scheduler_.held_bytes() <= kBounds.bytes_max ||
                scheduler_.held_bytes() == record.bytes)
        << seed_;
    for (const SubscriptionQueue* queue : chosen) {
      ASSERT_LE(queue->jobs, queue->config.jobs_max) << seed_;
      order_[key_of(*queue, record)].push_back(record.number);
    }
  }

  // The key within which the queue's ordering holds; nothing for queues without an order.
  static std::string key_of(const SubscriptionQueue& queue, const HeldEvent& held) {
    const std::string index = std::to_string(queue.index);
    if (queue.config.ordering == Ordering::Object)
      return index + "|" + std::string(held.event.object_id);
    if (queue.config.ordering == Ordering::Instance) return index + "*";
    return {};
  }

  void send() {
    while (Job* job = scheduler_.next(now_)) {
      const SubscriptionQueue& queue = *job->queue;
      ASSERT_LE(queue.in_flight, queue.config.concurrency) << seed_;
      ASSERT_LE(scheduler_.in_flight(), kBounds.in_flight_max) << seed_;
      const auto& record = static_cast<const Record&>(*job->held);
      ASSERT_FALSE(record.gone) << seed_;
      if (const std::string key = key_of(queue, record); !key.empty()) {
        ASSERT_EQ(order_[key].front(), record.number) << "out of order, seed " << seed_;
        ASSERT_TRUE(flying_keys_.insert(key).second) << "two of one key at once, seed " << seed_;
      }
      if (job->probe) {
        ASSERT_TRUE(probes_.insert(queue.index).second) << "two probes, seed " << seed_;
      }
      flying_.push_back(job);
    }
  }

  enum class How : std::uint8_t { Delivered, Failed, GivenUp };

  void end_one() {
    if (flying_.empty()) return;
    end(up_to(flying_.size()), static_cast<How>(up_to(3)));
  }

  void end(std::size_t pick, How how) {
    Job* job = flying_[pick];
    flying_.erase(flying_.begin() + static_cast<std::ptrdiff_t>(pick));
    const std::string key = key_of(*job->queue, *job->held);
    flying_keys_.erase(key);
    if (job->probe) probes_.erase(job->queue->index);
    const std::size_t number = static_cast<const Record&>(*job->held).number;
    if (how == How::Delivered) {
      note(scheduler_.finish(*job, now_));
      if (!key.empty()) forget(key, number);
      return;
    }
    const Answer answer = how == How::Failed ? Answer::Failed : Answer::Answered;
    const std::optional<Finished> gone = scheduler_.leave(*job, answer, now_);
    if (!gone) {
      leaving_.push_back(job);
      if (up_to(3) == 0) take_chain(*job);
      return;
    }
    note(*gone);
    if (!key.empty()) forget(key, number);
  }

  // Earlier jobs of its key wait in a delay topic, so later ones do not wait for them.
  void take_chain(Job& job) {
    const std::string key = key_of(*job.queue, *job.held);
    std::vector<Job*> taken;
    scheduler_.take_chain(job, taken);
    if (!key.empty()) {
      ASSERT_EQ(order_[key].size(), taken.size() + 1) << seed_;
      order_[key].clear();
    }
    for (Job* one : taken) leaving_.push_back(one);
  }

  void settle(std::size_t pick) {
    Job* job = leaving_[pick];
    leaving_.erase(leaving_.begin() + static_cast<std::ptrdiff_t>(pick));
    const std::string key = key_of(*job->queue, *job->held);
    const std::size_t number = static_cast<const Record&>(*job->held).number;
    note(scheduler_.settle(*job, up_to(5) == 0 ? End::NotDone : End::Done));
    if (!key.empty()) std::erase(order_[key], number);
  }

  void forget(const std::string& key, std::size_t number) {
    std::deque<std::size_t>& queue = order_[key];
    queue.erase(std::find(queue.begin(), queue.end(), number));
  }

  void revoke() {
    const Partition partition{static_cast<std::int32_t>(up_to(3))};
    std::set<std::pair<std::string, std::size_t>> flying;
    for (const Job* job : flying_) {
      flying.emplace(key_of(*job->queue, *job->held),
                     static_cast<const Record&>(*job->held).number);
    }
    for (const Job* job : leaving_) {
      flying.emplace(key_of(*job->queue, *job->held),
                     static_cast<const Record&>(*job->held).number);
    }
    std::vector<Finished> finished;
    scheduler_.remove(partition, finished);
    for (auto& [key, queue] : order_) {
      std::erase_if(queue, [&, &key = key](std::size_t number) {
        return records_[number - 1].partition == partition && !flying.contains({key, number});
      });
    }
    for (const Finished& end : finished) {
      ASSERT_FALSE(end.done) << seed_;
      note(end);
    }
  }

  void note(const Finished& end) {
    if (end.held == nullptr) return;
    auto& record = static_cast<Record&>(*end.held);
    ASSERT_FALSE(record.gone) << "ended twice, seed " << seed_;
    ASSERT_EQ(record.jobs, 0U) << seed_;
    record.gone = true;
    ++(end.done ? finished_ : dropped_);
  }

  static constexpr SchedulerBounds kBounds{.in_flight_max = 6, .jobs_max = 24, .bytes_max = 2000};

  std::mt19937_64 random_;
  std::uint64_t seed_;
  Scheduler scheduler_{kBounds};
  std::vector<SubscriptionQueue*> queues_;
  std::deque<Record> records_;
  std::map<std::string, std::deque<std::size_t>> order_;
  std::vector<Job*> flying_;
  std::vector<Job*> leaving_;
  std::set<std::string> flying_keys_;
  std::set<std::uint32_t> probes_;
  TimePoint now_{};
  std::size_t admitted_ = 0;
  std::size_t finished_ = 0;
  std::size_t dropped_ = 0;
};

TEST(SchedulerModel, LosesNothingAndKeepsOrderOverRandomLives) {
  const std::uint64_t first = 20'260'201;
  RecordProperty("first_seed", static_cast<int>(first));
  for (std::uint64_t seed = first; seed < first + 20'000; ++seed) {
    Life(seed).run();
    ASSERT_FALSE(HasFatalFailure()) << "seed " << seed;
  }
}

// With all queues busy, none gets more than one turn ahead of another.
TEST(SchedulerModel, SharesTurnsEvenlyBetweenBusyQueues) {
  Scheduler scheduler({.in_flight_max = 7, .jobs_max = 1 << 16});
  std::vector<SubscriptionQueue*> queues;
  std::deque<HeldEvent> held;
  for (int i = 0; i < 10; ++i)
    queues.push_back(&scheduler.add_queue({.concurrency = 5, .jobs_max = 2000}));
  for (std::size_t i = 0; i < queues.size(); ++i) {
    const std::vector<SubscriptionQueue*> one{queues[i]};
    // The first queues have far more jobs than the last.
    for (std::size_t n = 0; n < 1500 - 100 * i; ++n) {
      ASSERT_EQ(scheduler.admit(held.emplace_back(), one), Admitted::Yes);
    }
  }
  std::map<const SubscriptionQueue*, int> turns;
  std::deque<Job*> flying;
  std::mt19937_64 random(5);
  for (int step = 0; step < 4000; ++step) {
    while (Job* job = scheduler.next({})) {
      ++turns[job->queue];
      flying.push_back(job);
    }
    const auto [least, most] =
        std::minmax_element(turns.begin(), turns.end(),
                            [](const auto& a, const auto& b) { return a.second < b.second; });
    if (turns.size() == queues.size()) {
      ASSERT_LE(most->second - least->second, 1) << step;
    }
    const std::size_t pick = random() % flying.size();
    std::swap(flying[pick], flying.front());
    scheduler.finish(*flying.front(), {});
    flying.pop_front();
  }
}

}  // namespace
}  // namespace eventrelay::relay
