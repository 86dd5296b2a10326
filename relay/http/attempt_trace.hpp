// The spans of one attempt at an event whose trace is sampled: CONSUMER, the work on the event, and
// CLIENT below it, the request to the subscriber.
//
// Why:     ingest has decided whether the trace is recorded; the flag in the record's `traceparent`
//          says it. The subscriber's `traceparent` is the context of CLIENT.
// Owner:   the deliverer.
// Thread:  shard-local; the constructor of the tracer on the control thread.
// Bounds:  two spans an attempt. Nothing is allocated for an attempt that is not sampled.
// Errors:  none.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "common/base/random.hpp"
#include "common/trace/tracing.hpp"
#include "relay/record/attempt_result.hpp"
#include "relay/record/job.hpp"

namespace eventrelay::relay {

struct EndpointKey;

// Bounds: two spans.
struct AttemptTrace {
  trace::Stopwatch begun = trace::Stopwatch::started();
  trace::Span process;
  trace::Span call;
};

// What the attempts of a process have in common.
struct AttemptTracerOptions {
  trace::TracingPtr tracing;
  std::string topic;  // events come from it
  std::string group;
};

// Thread: see the head of this file.  Bounds: likewise.
class AttemptTracer {
 public:
  explicit AttemptTracer(AttemptTracerOptions options);

  // `call`: the span that the subscriber is told. Null: the attempt is not sampled.
  [[nodiscard]] std::unique_ptr<AttemptTrace> begin(const Job& job, std::string_view subscription,
                                                    const EndpointKey& endpoint,
                                                    const SpanId& call);
  void end(std::unique_ptr<AttemptTrace> trace, const Result& result, TimePoint now);
  // The attempt was given up with its partition or with its subscription.
  void cancel(std::unique_ptr<AttemptTrace> trace, TimePoint now);

 private:
  void put(AttemptTrace& trace, TimePoint now);

  AttemptTracerOptions options_;
  trace::SpanQueue& queue_;
  Random random_{random_seed()};
};

}  // namespace eventrelay::relay
