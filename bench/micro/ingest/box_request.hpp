// One signed request of Box, and all that ingest decides for it: gate, route, verify, normalise,
// answer.
//
// Why:     the micro-benchmarks time it, the replay counts its instructions.
// Thread:  one.  Bounds: one request of about 1.3 kB.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bench/micro/ingest/box_body.hpp"
#include "common/providers/scheme.hpp"
#include "ingest/answer_bytes.hpp"
#include "ingest/gate.hpp"
#include "ingest/receive.hpp"

namespace eventrelay::bench {

// One request of Box in one buffer, as a connection holds it. Thread: one.
class BoxRequest {
 public:
  explicit BoxRequest(const std::vector<Secret>& keys) {
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

inline std::shared_ptr<const Settings> box_settings(const std::vector<Secret>& keys) {
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

// Gate, route, verify, normalise and the bytes of the 202. Thread: one.
class IngestDecision {
 public:
  explicit IngestDecision(const std::vector<Secret>& keys)
      : request_(keys),
        padded_(kBoxBody + std::string(json::kPadding, '\0')),
        receiver_(box_settings(keys)) {}

  // Bytes of the answer; 0: the request was not accepted.
  [[nodiscard]] std::size_t once() {
    if (!request_.pass(gate_)) return 0;
    const auto route = receiver_.route(gate_.head());
    if (!route) return 0;
    const std::string_view body{padded_.data(), kBoxBody.size()};
    const auto received = receiver_.receive(gate_.head(), *route, body, now_);
    if (!received || received->events.empty()) return 0;
    ingest::EventIdText id{};
    received->events.front().id.copy(id.data(), id.size());
    return ingest::render_accepted({&id, 1}, ingest::After::Keep, out_).size();
  }

 private:
  BoxRequest request_;
  std::string padded_;
  WallTime now_ = *providers::parse_stamp(providers::Stamp::Rfc3339, kBoxNow);
  ingest::Gate gate_{ingest::ChunkedBodies::Refused};
  ingest::Receiver receiver_;
  std::array<char, ingest::kAnswerBytesMax> out_;
};

}  // namespace eventrelay::bench
