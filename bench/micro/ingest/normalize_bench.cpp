// Cost of normalising one body, and of all that ingest decides for one request; answers are
// checked first.
#include <benchmark/benchmark.h>

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bench/micro/ingest/box_body.hpp"
#include "common/providers/normalizer.hpp"
#include "common/providers/scheme.hpp"
#include "ingest/answer_bytes.hpp"
#include "ingest/event_id.hpp"
#include "ingest/gate.hpp"
#include "ingest/receive.hpp"

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

// One request of Box in one buffer, as a connection holds it. Thread: one.
class Request {
 public:
  explicit Request(const std::vector<Secret>& keys) {
    const auto fields = providers::sign(
        *providers::find_scheme("box-v2"), keys,
        {.id = "f96bb54b-ee16-4fc5-aa65-8c2d9e5b546f", .timestamp = kBoxStamp, .body = kBoxBody});
    text_ = "/elements/api-v2/events/box/427236";
    target_ = text_.size();
    add("Host", "relay.example");
    add("User-Agent", "Box-WH-Client/0.1");
    add("Content-Type", "application/json;charset=UTF-8");
    add("Content-Length", std::to_string(kBoxBody.size()));
    for (const auto& field : fields) add(field.name, field.value);
  }
  [[nodiscard]] bool pass(ingest::Gate& gate) const {
    const std::string_view text = text_;
    bool good = gate.begin("POST", text.substr(0, target_), 11).has_value();
    for (const Line& line : lines_) {
      good = good && gate.field(text.substr(line.name, line.name_size),
                                text.substr(line.value, line.value_size));
    }
    return good && gate.finish();
  }

 private:
  struct Line {
    std::size_t name, name_size, value, value_size;
  };
  void add(const std::string& name, const std::string& value) {
    lines_.push_back({text_.size(), name.size(), text_.size() + name.size() + 2, value.size()});
    text_ += name + ": " + value;
  }
  std::string text_;
  std::size_t target_ = 0;
  std::vector<Line> lines_;
};

std::shared_ptr<const Settings> settings(const std::vector<Secret>& keys) {
  Config config;
  InstanceConfig instance;
  instance.id = 427236;
  instance.element = "box";
  instance.events_enabled = true;
  instance.callback_url = "https://callback.example/";
  config.instances = {instance};
  config.sources["box"].keys = keys;
  Registry registry(config);
  return std::make_shared<const Settings>(Settings{std::move(config), std::move(registry)});
}

void gate_alone(benchmark::State& state) {
  const Request request({Secret("primary key of the benchmark")});
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
  const Request request(keys);
  const std::string padded = padded_body();
  const std::string_view body{padded.data(), kBoxBody.size()};
  const WallTime now = *providers::parse_stamp(providers::Stamp::Rfc3339, kBoxNow);
  ingest::Gate gate(ingest::ChunkedBodies::Refused);
  ingest::Receiver receiver(settings(keys));
  std::array<char, ingest::kAnswerBytesMax> out;

  const auto once = [&]() -> std::size_t {
    if (!request.pass(gate)) return 0;
    const auto route = receiver.route(gate.head());
    if (!route) return 0;
    const auto received = receiver.receive(gate.head(), *route, body, now);
    if (!received || received->events.empty()) return 0;
    ingest::EventIdText id{};
    received->events.front().id.copy(id.data(), id.size());
    return ingest::render_accepted({&id, 1}, ingest::After::Keep, out).size();
  };
  if (once() == 0) {
    state.SkipWithError("the request is not accepted");
    return;
  }
  for (auto _ : state) benchmark::DoNotOptimize(once());
}
BENCHMARK(receive_box_v2)->ArgName("keys")->Arg(1)->Arg(2);

}  // namespace
}  // namespace eventrelay::bench
