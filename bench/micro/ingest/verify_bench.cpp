// Cost of one signature check; the answer is compared with one computed apart before any timing.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "bench/micro/ingest/box_body.hpp"
#include "common/providers/scheme.hpp"

namespace eventrelay::bench {
namespace {

// Signed heads of Box with as many keys and signatures as asked for.
struct SignedCall {
  explicit SignedCall(std::size_t count) {
    keys.emplace_back("primary key of the benchmark");
    if (count > 1) keys.emplace_back("secondary key of the benchmark");
    fields = providers::sign(*providers::find_scheme("box-v2"), keys,
                             {.id = "delivery", .timestamp = kBoxStamp, .body = kBoxBody});
    head.method = Method::Post;
    // What stands before the fields of Box in a real head.
    for (const char* name : {"Host", "User-Agent", "Accept", "Content-Type", "Content-Length"}) {
      head.add(name, "x");
    }
    for (const auto& field : fields) head.add(field.name, field.value);
  }
  std::vector<Secret> keys;
  std::vector<providers::SignedField> fields;
  IncomingHead head;
};

void verify_box_v2(benchmark::State& state) {
  const SignedCall call(static_cast<std::size_t>(state.range(0)));
  providers::Verifier verifier(*providers::find_scheme("box-v2"), call.keys, {});
  const WallTime now = *providers::parse_stamp(providers::Stamp::Rfc3339, kBoxNow);
  std::string other = kBoxBody;
  other[100] ^= 1;
  if (!verifier.verify(call.head, kBoxBody, now) || verifier.verify(call.head, other, now)) {
    state.SkipWithError("the verdict is wrong");
    return;
  }
  for (auto _ : state) {
    benchmark::DoNotOptimize(verifier.verify(call.head, kBoxBody, now));
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(kBoxBody.size()));
}
BENCHMARK(verify_box_v2)->ArgName("keys")->Arg(1)->Arg(2);

void hmac_sha256_alone(benchmark::State& state) {
  crypto::Hmac hmac(crypto::Digest::Sha256, "Jefe");
  hmac.start();
  hmac.update("what do ya want for nothing?");
  if (crypto::hex(hmac.finish().view()) !=
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843") {
    state.SkipWithError("the MAC is wrong");
    return;
  }
  for (auto _ : state) {
    hmac.start();
    hmac.update(kBoxBody);
    hmac.update(kBoxStamp);
    benchmark::DoNotOptimize(hmac.finish());
  }
}
BENCHMARK(hmac_sha256_alone);

}  // namespace
}  // namespace eventrelay::bench
