// A fixed replay of what both services decide for one event, stage by stage, for a tool that counts
// instructions: no socket, no clock, no random number.
//
//   bench_replay          replays every stage; prints `STAGE OPERATIONS`, in the order replayed
//
// Why:     a time says which machine was busy, a count of instructions what the program does.
#include <array>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "bench/micro/ingest/box_request.hpp"
#include "bench/micro/relay/relay_event.hpp"
#include "common/base/assert.hpp"
#include "common/base/event.hpp"
#include "relay/dispatch/scheduler.hpp"
#include "relay/log/offset_ledger.hpp"
#include "relay/request/outgoing_head.hpp"

using Work = std::function<void(int)>;

// The one function whose inside is counted; `tests/instructions` names it.
extern "C" [[gnu::noinline]] void bench_replay_counted(const Work& work, int operations) {
  work(operations);
}

namespace eventrelay::relay {
namespace {

constexpr int kOperations = 200;
constexpr int kWarmUp = 20;  // what is bound or allocated once

// Every stage passes here twice: unmeasured first.
void replay(const char* stage, const Work& work) {
  work(kWarmUp);
  bench_replay_counted(work, kOperations);
  std::printf("%s %d\n", stage, kOperations);
}

void receive() {
  bench::IngestDecision decision({Secret("primary key of the benchmark")});
  replay("receive", [&decision](int n) {
    for (int i = 0; i < n; ++i) EVENTRELAY_ASSERT(decision.once() != 0);
  });
}

void records() {
  const std::string body = box_body();
  const Event event = box_event(body);
  replay("write_headers", [&event](int n) {
    for (int i = 0; i < n; ++i) EVENTRELAY_ASSERT(RecordHeaders(event).size() > 5);
  });
  const RecordHeaders headers(event);
  replay("read_headers", [&headers, &body](int n) {
    for (int i = 0; i < n; ++i) {
      RecordReader reader;
      for (const HeaderField& field : headers) reader.accept(field.name, field.value);
      EVENTRELAY_ASSERT(reader.finish(body).has_value());
    }
  });
}

void schedule(const char* stage, Ordering ordering, std::size_t subscriptions) {
  Scheduler scheduler(SchedulerBounds{});
  OffsetLedger ledger;
  const Epoch epoch = ledger.assign(Offset{0});
  QueueConfig config;
  config.ordering = ordering;
  std::vector<std::array<SubscriptionQueue*, 1>> queues;
  for (std::size_t i = 0; i < subscriptions; ++i) queues.push_back({&scheduler.add_queue(config)});
  HeldEvent held;
  held.event.object_id = "73835521473";
  held.bytes = 1000;
  std::int64_t offset = 0;
  std::size_t turn = 0;
  TimePoint now{};
  replay(stage, [&](int n) {
    for (int i = 0; i < n; ++i) {
      now += Duration{1000};
      EVENTRELAY_ASSERT(ledger.begin(Offset{offset}) == OffsetLedger::Begin::Started);
      EVENTRELAY_ASSERT(scheduler.admit(held, queues[turn++ % subscriptions]) == Admitted::Yes);
      Job* const job = scheduler.next(now);
      EVENTRELAY_ASSERT(job != nullptr && scheduler.finish(*job, now).done);
      ledger.finish(Offset{offset++}, epoch);
      EVENTRELAY_ASSERT(ledger.committable() == Offset{offset});
    }
  });
}

void compose(const char* stage, Signature signature, Format format) {
  const std::string raw = box_body();
  const Event event = box_event(raw);
  Subscription subscription;
  subscription.url = std::make_shared<const CallbackUrl>(
      parse_callback_url("https://hooks.example.com/events", false));
  subscription.keys.emplace_back("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
  DeliveryConfig delivery;
  delivery.signature = signature;
  delivery.format = format;
  subscription.delivery = std::make_shared<const DeliveryConfig>(delivery);
  RequestTemplate compiled(box_instance(), subscription);
  RequestBuffers buffers;
  AttemptInfo info;
  replay(stage, [&](int n) {
    for (int i = 0; i < n; ++i) {
      const Request request = compiled.compose(event, info, buffers);
      EVENTRELAY_ASSERT(request.head.starts_with("POST /events HTTP/1.1\r\n"));
    }
  });
}

void all() {
  receive();
  records();
  schedule("schedule_1", Ordering::None, 1);
  schedule("schedule_100", Ordering::None, 100);
  schedule("schedule_object", Ordering::Object, 100);
  compose("compose_elements", Signature::Elements, Format::Elements);
  compose("compose_raw", Signature::Standard, Format::Raw);
}

}  // namespace
}  // namespace eventrelay::relay

int main() {
  eventrelay::relay::all();
}
