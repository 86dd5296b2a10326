// The spans of one sampled request: SERVER, from its head to its answer, and PRODUCER below it,
// from the records handed over to their acknowledgement.
//
// Why:     a trace begins here, so here is decided whether it is recorded. What a caller says of
//          its own trace is linked and not gone on with: anybody may have written it.
// Owner:   RequestTracer: the shard, one if tracing is on; RequestTrace: the session.
// Thread:  shard-local; the constructor of the tracer on the control thread.
// Bounds:  two spans a request, whatever it stores. Nothing is allocated for a request that is not
//          sampled.
// Errors:  none.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "common/base/event.hpp"
#include "common/base/random.hpp"
#include "common/providers/incoming_head.hpp"
#include "common/trace/tracing.hpp"
#include "ingest/producer.hpp"

namespace eventrelay::ingest {

// Thread: shard-local.  Bounds: two spans.
class RequestTrace {
 public:
  RequestTrace(trace::SpanQueue& queue, const TraceContext& context, const SpanId& record);
  RequestTrace(const RequestTrace&) = delete;
  RequestTrace& operator=(const RequestTrace&) = delete;

  // What its records carry: the context of the PRODUCER span.
  [[nodiscard]] const TraceContext& record() const noexcept { return record_; }
  void begin(const IncomingHead& head, bool tls);
  // Its path is one of ours: `route` with names in place of values, no query in `path`.
  void routed(std::string_view route, std::string_view path);
  // Pre: `events` is not empty.
  void sending(std::string_view topic, std::span<const Event> events);
  void settled(Settled settled);
  // `code`: the status answered; empty: the client has left. Nothing may follow.
  void end(std::string_view code);

 private:
  void end_send(std::string_view failure);

  trace::SpanQueue& queue_;
  trace::Stopwatch begun_ = trace::Stopwatch::started();
  trace::Span server_;
  TraceContext record_;
  std::optional<trace::Span> send_;
};

// Decides for each request. Thread: see the head of this file.  Bounds: likewise.
class RequestTracer {
 public:
  // `topic`: where records go.
  RequestTracer(trace::TracingPtr tracing, std::string topic);

  // Null: the request is not sampled.
  [[nodiscard]] std::unique_ptr<RequestTrace> begin(const IncomingHead& head, bool tls);
  [[nodiscard]] const std::string& topic() const noexcept { return topic_; }

 private:
  trace::TracingPtr tracing_;
  trace::SpanQueue& queue_;
  std::string topic_;
  Random random_{random_seed()};
};

}  // namespace eventrelay::ingest
