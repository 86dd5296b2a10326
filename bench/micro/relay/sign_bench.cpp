// Cost of the signature fields of a request, by scheme and number of live keys.
#include <benchmark/benchmark.h>

#include "bench/micro/relay/relay_event.hpp"
#include "common/base/assert.hpp"
#include "relay/request/signer.hpp"

namespace eventrelay::relay {
namespace {

constexpr WallTime kNow{std::chrono::seconds{1'614'265'330}};

// The providers' published vectors.
void check_vectors() {
  std::string head;
  const std::vector<Secret> elements{Secret("MySecretEventSignatureKey")};
  Signer(Signature::Elements, elements)
      .append_fields("e1", Body{"", "<INSERT_EVENT_NOTIFICATION_RESPONSE_BODY>", ""}, kNow, head);
  EVENTRELAY_ASSERT(head.find("sha256=jHdbRx5EZAsOfTwAPJOGkNUzQMVVdu5VJlxcsk+G6jQ=\r\n") !=
                    std::string::npos);
  head.clear();
  const std::vector<Secret> standard{Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")};
  Signer(Signature::Standard, standard)
      .append_fields("msg_p5jXN8AQM9LWM0D4loKWxJek", Body{"", R"({"test": 2432232314})", ""}, kNow,
                     head);
  EVENTRELAY_ASSERT(head.find("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=\r\n") !=
                    std::string::npos);
}

void sign(benchmark::State& state, Signature scheme) {
  check_vectors();
  const std::string raw = box_body();
  const Body body{std::string_view(raw).substr(0, 200), raw, std::string_view(raw).substr(0, 300)};
  std::vector<Secret> keys;
  for (std::int64_t i = 0; i < state.range(0); ++i) keys.emplace_back("key-" + std::to_string(i));
  Signer signer(scheme, keys);
  std::string head;
  for ([[maybe_unused]] const auto step : state) {
    head.clear();
    signer.append_fields("0190d7c4-5b7a-7c3e-9d52-3f1d3a1c2b4e", body, kNow, head);
    benchmark::DoNotOptimize(head.data());
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(body.size()));
}
BENCHMARK_CAPTURE(sign, elements, Signature::Elements)->Arg(1)->Arg(2);
BENCHMARK_CAPTURE(sign, standard, Signature::Standard)->Arg(1)->Arg(2);

}  // namespace
}  // namespace eventrelay::relay
