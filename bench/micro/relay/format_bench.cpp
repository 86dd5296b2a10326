// Cost of building a notification around a 0.9 kB raw body, and of a whole request.
#include <benchmark/benchmark.h>

#include "bench/micro/relay/relay_event.hpp"
#include "common/base/assert.hpp"
#include "relay/request/format.hpp"
#include "relay/request/outgoing_head.hpp"

namespace eventrelay::relay {
namespace {

constexpr std::string_view kHead = R"({"id":)";
constexpr std::string_view kAround = R"(,"topic":"instance-427236-box-events","severity":"low",)"
                                     R"("createdDate":"2016-07-11T17:10:33Z","message":{"raw":)";
constexpr std::string_view kTail =
    R"(,"elementKey":"box","eventId":"0190d7c4-5b7a-7c3e-9d52-3f1d3a1c2b4e","instanceId":427236,)"
    R"("instanceName":"docs","events":[{"objectId":"73835521473","objectType":"file",)"
    R"("eventType":"CREATED","elementKey":"box","hubKey":"documents",)"
    R"("date":"2016-07-11T17:10:32Z"}]}})";

void format_notification(benchmark::State& state) {
  const std::string raw = box_body();
  const Event event = box_event(raw);
  const Formatter formatter(Format::Elements, box_instance());
  std::string buffer;
  const Body first = formatter.body(event, buffer);
  EVENTRELAY_ASSERT(first.prefix.starts_with(kHead) && first.prefix.ends_with(kAround));
  EVENTRELAY_ASSERT(first.raw.data() == raw.data() && first.suffix == kTail);
  for ([[maybe_unused]] const auto step : state) {
    benchmark::DoNotOptimize(formatter.body(event, buffer));
  }
}
BENCHMARK(format_notification);

void format_form(benchmark::State& state) {
  const std::string form =
      R"(userId=["226067247"]&event=uploaded&itemId=73835521473&itemType=file&newItemId=)";
  std::string out;
  EVENTRELAY_ASSERT(append_form_as_json(form, out));
  EVENTRELAY_ASSERT(out == R"({"userId":"[\"226067247\"]","event":"uploaded",)"
                           R"("itemId":"73835521473","itemType":"file","newItemId":""})");
  for ([[maybe_unused]] const auto step : state) {
    out.clear();
    benchmark::DoNotOptimize(append_form_as_json(form, out));
  }
}
BENCHMARK(format_form);

// Body, signature and head: all that the relay computes for one attempt.
void compose_request(benchmark::State& state) {
  const std::string raw = box_body();
  const Event event = box_event(raw);
  Subscription subscription;
  subscription.url = std::make_shared<const CallbackUrl>(
      parse_callback_url("https://hooks.example.com/events", false));
  subscription.keys.emplace_back("abcd1234efgh5678");
  RequestTemplate compiled(box_instance(), subscription);
  RequestBuffers buffers;
  AttemptInfo info;
  const Request first = compiled.compose(event, info, buffers);
  EVENTRELAY_ASSERT(first.head.starts_with("POST /events HTTP/1.1\r\nHost: hooks.example.com\r\n"));
  EVENTRELAY_ASSERT(first.head.find("Elements-Webhook-Signature: sha256=") != std::string::npos);
  for ([[maybe_unused]] const auto step : state) {
    ++info.trace.span.back();
    benchmark::DoNotOptimize(compiled.compose(event, info, buffers));
  }
}
BENCHMARK(compose_request);

}  // namespace
}  // namespace eventrelay::relay
