// Cost of normalising one body, and of all that ingest decides for one request; answers are
// checked first.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "bench/micro/ingest/box_request.hpp"
#include "common/providers/normalizer.hpp"
#include "ingest/event_id.hpp"

namespace eventrelay::bench {
namespace {

std::string padded_body() {
  return kBoxBody + std::string(json::kPadding, '\0');
}

void normalize_box_v2(benchmark::State& state) {
  const std::string padded = padded_body();
  const std::string_view body{padded.data(), kBoxBody.size()};
  providers::Normalizer normalizer;
  const auto event = normalizer.box_v2(body);
  if (!event || event->object_id != "73835521473" || event->date != "2016-07-11T17:10:32Z") {
    state.SkipWithError("the event is wrong");
    return;
  }
  for (auto _ : state) benchmark::DoNotOptimize(normalizer.box_v2(body));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(body.size()));
}
BENCHMARK(normalize_box_v2);

void derived_event_id(benchmark::State& state) {
  const std::string provider_id = "0f5b2a7e-7b1c-4b0e-9d7a-5c1de0e0a111";
  const auto first = ingest::derived_event_id(InstanceId{427236}, provider_id);
  if (first != ingest::derived_event_id(InstanceId{427236}, provider_id) || first[14] != '8') {
    state.SkipWithError("the id is wrong");
    return;
  }
  for (auto _ : state) {
    benchmark::DoNotOptimize(ingest::derived_event_id(InstanceId{427236}, provider_id));
  }
}
BENCHMARK(derived_event_id);

void gate_alone(benchmark::State& state) {
  const BoxRequest request({Secret("primary key of the benchmark")});
  ingest::Gate gate(ingest::ChunkedBodies::Refused);
  if (!request.pass(gate) || gate.head().content_length != kBoxBody.size()) {
    state.SkipWithError("the gate is wrong");
    return;
  }
  for (auto _ : state) benchmark::DoNotOptimize(request.pass(gate));
}
BENCHMARK(gate_alone);

// Gate, route, verify, normalise and the bytes of the 202: all that ingest decides per event.
void receive_box_v2(benchmark::State& state) {
  std::vector<Secret> keys{Secret("primary key of the benchmark")};
  if (state.range(0) > 1) keys.emplace_back("secondary key of the benchmark");
  IngestDecision decision(keys);
  if (decision.once() == 0) {
    state.SkipWithError("the request is not accepted");
    return;
  }
  for (auto _ : state) benchmark::DoNotOptimize(decision.once());
}
BENCHMARK(receive_box_v2)->ArgName("keys")->Arg(1)->Arg(2);

}  // namespace
}  // namespace eventrelay::bench
