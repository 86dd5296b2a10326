#include "relay/http/attempt_trace.hpp"

#include <utility>

#include "relay/http/http_pool.hpp"

namespace eventrelay::relay {

namespace {

std::string_view word_of(metrics::Outcome outcome) noexcept {
  return metrics::kOutcomeWords[static_cast<std::size_t>(outcome)];
}

}  // namespace

AttemptTracer::AttemptTracer(AttemptTracerOptions options)
    : options_(std::move(options)), queue_(options_.tracing->add_queue()) {}

std::unique_ptr<AttemptTrace> AttemptTracer::begin(const Job& job, std::string_view subscription,
                                                   const EndpointKey& endpoint,
                                                   const SpanId& call) {
  const Event& event = job.held->event;
  const std::optional<TraceContext> record = parse_traceparent(event.traceparent);
  if (!record || !record->sampled) return nullptr;
  auto trace = std::make_unique<AttemptTrace>();
  const std::int64_t number = std::int64_t{job.attempts_made} + 1;

  trace::Span& process = trace->process;
  process.context = child_of(*record, trace_seed({0, 0, random_.next()}).span);
  process.parent = record->span;
  process.remote_parent = true;
  process.link = record;
  process.kind = trace::SpanKind::Consumer;
  process.name.assign("process ").append(options_.topic);
  process.begin_ns = trace->begun.begin_ns;
  process.set("messaging.system", "kafka");
  process.set("messaging.operation.name", "process");
  process.set("messaging.operation.type", "process");
  process.set("messaging.destination.name", options_.topic);
  process.set("messaging.consumer.group.name", options_.group);
  process.set("messaging.message.id", event.id);
  process.set("messaging.message.body.size", static_cast<std::int64_t>(event.body.size()));
  process.set("messaging.kafka.message.key", std::to_string(event.instance.value));
  // A parked event has its place in the topic where it waited, and this is not that topic's name.
  if (!event.parked) {
    process.set("messaging.destination.partition.id", std::to_string(job.held->partition.value));
    process.set("messaging.kafka.offset", static_cast<std::int64_t>(job.held->offset.value));
  }
  process.set("eventrelay.subscription", subscription);
  process.set("eventrelay.attempt", number);

  trace::Span& request = trace->call;
  request.context = child_of(*record, call);
  request.parent = process.context.span;
  request.kind = trace::SpanKind::Client;
  request.name = "POST";
  request.begin_ns = trace->begun.begin_ns;
  request.set("http.request.method", "POST");
  request.set("url.scheme", endpoint.tls ? "https" : "http");
  request.set("server.address", endpoint.host);
  request.set("server.port", std::int64_t{endpoint.port});
  if (number > 1) request.set("http.request.resend_count", number - 1);
  request.set("eventrelay.attempt", number);
  return trace;
}

void AttemptTracer::end(std::unique_ptr<AttemptTrace> trace, const Result& result, TimePoint now) {
  if (result.status != 0) {
    trace->call.set("http.response.status_code", std::int64_t{result.status});
  }
  if (result.outcome != metrics::Outcome::Ok) {
    trace->call.fail(word_of(result.outcome));
    trace->process.fail(word_of(result.outcome));
  }
  put(*trace, now);
}

void AttemptTracer::cancel(std::unique_ptr<AttemptTrace> trace, TimePoint now) {
  trace->call.fail("cancelled");
  trace->process.fail("cancelled");
  put(*trace, now);
}

void AttemptTracer::put(AttemptTrace& trace, TimePoint now) {
  trace.call.end_ns = trace.process.end_ns = trace.begun.end_ns(now);
  queue_.put(std::move(trace.call));
  queue_.put(std::move(trace.process));
}

}  // namespace eventrelay::relay
