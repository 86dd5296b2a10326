// Cost of the record headers of an event: printed by ingest, read again by the relay.
#include <benchmark/benchmark.h>

#include <string>

#include "bench/micro/relay/relay_event.hpp"
#include "common/base/assert.hpp"
#include "common/base/event.hpp"

namespace eventrelay::relay {
namespace {

Expected<Event, RecordError> read_back(const RecordHeaders& headers, std::string_view body) {
  RecordReader reader;
  for (const HeaderField& field : headers) reader.accept(field.name, field.value);
  return reader.finish(body);
}

void write_headers(benchmark::State& state) {
  const std::string body = box_body();
  const Event event = box_event(body);
  EVENTRELAY_ASSERT(read_back(RecordHeaders(event), body)->id == event.id);
  for ([[maybe_unused]] const auto step : state) {
    const RecordHeaders headers(event);
    benchmark::DoNotOptimize(headers.size());
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(write_headers);

void read_headers(benchmark::State& state) {
  const std::string body = box_body();
  const Event event = box_event(body);
  const RecordHeaders headers(event);
  const auto answer = read_back(headers, body);
  EVENTRELAY_ASSERT(answer && answer->id == event.id && answer->object_id == event.object_id);
  for ([[maybe_unused]] const auto step : state) {
    benchmark::DoNotOptimize(read_back(headers, body));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(read_headers);

}  // namespace
}  // namespace eventrelay::relay
