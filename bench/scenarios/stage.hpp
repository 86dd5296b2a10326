// What a bench run needs around it: a temporary folder, topics, a configuration, the programs.
//
// Why:     every scenario measures the shipped programs as processes, against a real broker.
// Thread:  one owner.  Bounds: loopback only; the folder goes with the stage.
// Errors:  std::runtime_error or StartError with one line.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/load/process.hpp"
#include "bench/load/requests.hpp"
#include "bench/scenarios/scenarios.hpp"
#include "common/config/config.hpp"

namespace eventrelay::bench {

inline constexpr std::uint64_t kFirstInstance = 427'001;
inline constexpr const char* kSourceKey = "SamplePrimaryKey";
inline constexpr const char* kCallbackKey = "MySecretEventSignatureKey";

struct StageOptions {
  std::string kafka;  // HOST:PORT on loopback
  int partitions = 12;
  std::uint16_t callback_port = 0;  // 0: instances without a callback
  unsigned inflight = 64;           // relay: requests in flight, as many as the limit has
  unsigned shards = 1;
  unsigned instances = 100;    // each with one subscription; enough of them use all partitions
  std::size_t kept_bytes = 0;  // that the topic of the events keeps; 0: all
};

// A program of a round: what its rows are called, and which build it is of.
struct Contender {
  enum class Kind : std::uint8_t { Bare, Plain, Lean, Product };
  std::string name;
  Kind kind = Kind::Product;
  std::string folder;  // of its programs; empty: beside this one
};

// `0.9 kB` for the provider's example, else the bytes.
[[nodiscard]] std::string body_words(std::size_t size);

// Throws one line that names all of `programs` that are not built, and the one command that builds
// them.
void require_programs(const std::vector<std::string>& programs);

// The contenders of a round, the limit programs first: those of `product` (`ingest` for
// `ingest_limit` and `ingest_lean`), then each build. Where limit programs are not built the run
// goes without them and says so; throws where their figures are what is asked for.
[[nodiscard]] std::vector<Contender> contenders(const std::string& product,
                                                const std::vector<std::string>& limits,
                                                const BenchOptions& options);

// Adds what is to be compared: `product` beside each limit program and each build beside the first,
// CPU per event and pace; the objectives that `options` states are asked of the plain limit.
void add_ratios(Report& report, const std::string& product, const BenchOptions& options);

// Thread: one owner.  Bounds: removes its folder and its topics, which have a prefix of this run.
class Stage {
 public:
  explicit Stage(const StageOptions& options);
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;
  ~Stage();

  // Starts a program of ours, out of `folder` or beside this one, with this stage's configuration.
  [[nodiscard]] Process start(const std::string& program, const std::string& folder = {},
                              std::vector<std::string> overrides = {});
  // A limit program: prints `ready PORT`.
  [[nodiscard]] Process start_limit(const std::string& program, std::vector<std::string> arguments);
  // The port a started program serves on.
  [[nodiscard]] static std::uint16_t port_of(Process& process);
  // Likewise of its admin listener.
  [[nodiscard]] static std::uint16_t admin_port_of(Process& process);

  [[nodiscard]] const std::string& topic() const noexcept { return topic_; }
  [[nodiscard]] const std::string& folder() const noexcept { return folder_; }
  [[nodiscard]] std::vector<std::string> event_paths() const;

 private:
  StageOptions options_;
  std::string folder_;
  std::string topic_;
  std::string config_;
  KafkaConfig kafka_;
  std::vector<std::string> topics_;
  unsigned started_ = 0;
};

}  // namespace eventrelay::bench
