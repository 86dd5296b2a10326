// Cost of the offset ledger per event: begin, finish in a shuffled order, committable.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <random>
#include <vector>

#include "common/base/assert.hpp"
#include "relay/log/offset_ledger.hpp"

namespace eventrelay::relay {
namespace {

// The order in which a window of events ends.
std::vector<std::int64_t> shuffled(std::int64_t window) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(window));
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::int64_t>(i);
  std::shuffle(order.begin(), order.end(), std::mt19937_64(1));
  return order;
}

void ledger_window(benchmark::State& state) {
  const std::vector<std::int64_t> order = shuffled(state.range(0));
  const auto window = static_cast<std::int64_t>(order.size());
  OffsetLedger ledger;
  const Epoch epoch = ledger.assign(Offset{0});
  std::int64_t base = 0;
  for ([[maybe_unused]] const auto step : state) {
    for (std::int64_t i = 0; i < window; ++i) {
      EVENTRELAY_ASSERT(ledger.begin(Offset{base + i}) == OffsetLedger::Begin::Started);
    }
    for (const std::int64_t i : order) {
      ledger.finish(Offset{base + i}, epoch);
      benchmark::DoNotOptimize(ledger.committable());
    }
    base += window;
    EVENTRELAY_ASSERT(ledger.committable() == Offset{base});
  }
  state.SetItemsProcessed(state.iterations() * window);
}
BENCHMARK(ledger_window)->Arg(16)->Arg(256)->Arg(4096);

void ledger_encode_ranges(benchmark::State& state) {
  OffsetLedger ledger;
  const Epoch epoch = ledger.assign(Offset{0});
  for (std::int64_t i = 0; i < 1024; ++i) {
    EVENTRELAY_ASSERT(ledger.begin(Offset{i}) == OffsetLedger::Begin::Started);
  }
  for (std::int64_t i = 1; i < 1024; i += 2) ledger.finish(Offset{i}, epoch);
  OffsetLedger other;
  other.assign(ledger.committable());
  EVENTRELAY_ASSERT(other.restore(ledger.encode_ranges()) == 512);
  for ([[maybe_unused]] const auto step : state) {
    benchmark::DoNotOptimize(ledger.encode_ranges());
  }
}
BENCHMARK(ledger_encode_ranges);

}  // namespace
}  // namespace eventrelay::relay
