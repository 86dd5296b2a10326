#include "ingest/request_trace.hpp"

#include <charconv>
#include <utility>

#include "common/base/assert.hpp"

namespace eventrelay::ingest {

namespace {

constexpr int kServerFault = 500;  // and above: what went wrong is ours

}  // namespace

RequestTrace::RequestTrace(trace::SpanQueue& queue, const TraceContext& context,
                           const SpanId& record)
    : queue_(queue), record_(child_of(context, record)) {
  server_.context = context;
  server_.kind = trace::SpanKind::Server;
  server_.begin_ns = begun_.begin_ns;
}

void RequestTrace::begin(const IncomingHead& head, bool tls) {
  const bool named = head.method != Method::Other;
  const std::string_view method = named ? method_word(head.method) : "_OTHER";
  server_.name = named ? method : "HTTP";
  server_.set("http.request.method", method);
  server_.set("url.scheme", tls ? "https" : "http");
  if (head.count("traceparent") == 1) server_.link = parse_traceparent(head.find("traceparent"));
}

void RequestTrace::routed(std::string_view route, std::string_view path) {
  server_.name.append(" ").append(route);
  server_.set("http.route", route);
  server_.set("url.path", path);
}

void RequestTrace::sending(std::string_view topic, std::span<const Event> events) {
  EVENTRELAY_ASSERT(!events.empty());
  trace::Span& span = send_.emplace();
  span.context = record_;
  span.parent = server_.context.span;
  span.kind = trace::SpanKind::Producer;
  span.name.assign("send ").append(topic);
  span.begin_ns = begun_.end_ns(monotonic_now());
  span.set("messaging.system", "kafka");
  span.set("messaging.operation.name", "send");
  span.set("messaging.operation.type", "send");
  span.set("messaging.destination.name", topic);
  span.set("messaging.message.body.size", static_cast<std::int64_t>(events.front().body.size()));
  span.set("eventrelay.source", events.front().element);
  if (events.size() > 1) {
    span.set("messaging.batch.message_count", static_cast<std::int64_t>(events.size()));
    return;
  }
  span.set("messaging.message.id", events.front().id);
  span.set("messaging.kafka.message.key", std::to_string(events.front().instance.value));
}

void RequestTrace::settled(Settled settled) {
  switch (settled) {
    case Settled::Stored:
      return end_send({});
    case Settled::TooLarge:
      return end_send("too_large");
    case Settled::Unavailable:
      return end_send("unavailable");
  }
}

void RequestTrace::end_send(std::string_view failure) {
  if (!send_) return;
  send_->end_ns = begun_.end_ns(monotonic_now());
  if (!failure.empty()) send_->fail(failure);
  queue_.put(std::move(*send_));
  send_.reset();
}

void RequestTrace::end(std::string_view code) {
  end_send("not_acknowledged");  // it may be yet, and nobody waits for that any more
  server_.end_ns = begun_.end_ns(monotonic_now());
  int status = 0;
  std::from_chars(code.data(), code.data() + code.size(), status);
  if (code.empty()) {
    server_.fail("client_left");
  } else {
    server_.set("http.response.status_code", std::int64_t{status});
    if (status >= kServerFault) server_.fail(code);
  }
  queue_.put(std::move(server_));
}

RequestTracer::RequestTracer(trace::TracingPtr tracing, std::string topic)
    : tracing_(std::move(tracing)), queue_(tracing_->add_queue()), topic_(std::move(topic)) {}

std::unique_ptr<RequestTrace> RequestTracer::begin(const IncomingHead& head, bool tls) {
  const TraceSeed seed = trace_seed({random_.next(), random_.next(), random_.next()});
  TraceContext context = start_trace(seed);
  if (!tracing_->sampler().samples(context.trace)) return nullptr;
  context.sampled = true;
  const TraceSeed more = trace_seed({0, 0, random_.next()});
  auto trace = std::make_unique<RequestTrace>(queue_, context, more.span);
  trace->begin(head, tls);
  return trace;
}

}  // namespace eventrelay::ingest
