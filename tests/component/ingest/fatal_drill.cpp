// One shard of ingest before a real broker, whose producer is made to fail: run by a system test.
//
//   fatal_drill BOOTSTRAP PREFIX     lines out: step, then figures as JSON; a line in: go on
//
// Thread: main, and the shard's.  Bounds: kClientPatience per wait.
#include <cstdio>
#include <exception>
#include <iostream>
#include <set>

#include "common/kafka/topics.hpp"
#include "tests/component/ingest/rig.hpp"

namespace eventrelay::ingest::test {
namespace {

constexpr int kWaiting = 50;

// Sends `count` events on connections of their own and notes which were taken.
struct Wave {
  Wave(Rig& rig, const std::string& name, int count) {
    for (int i = 0; i < count; ++i) {
      ids.push_back(name + "-" + std::to_string(i));
      clients.push_back(rig.client());
      clients.back().send(BoxEvent{.id = ids.back()}.request());
    }
  }
  void answers(std::vector<std::string>& taken) {
    for (std::size_t i = 0; i < clients.size(); ++i) {
      const auto answer = clients[i].answer();
      const int status = answer ? answer->status : 0;
      ++(status == 202 ? accepted : status == 503 ? refused : other);
      if (status == 202) taken.push_back(ids[i]);
    }
  }
  std::vector<std::string> ids;
  std::vector<Client> clients;
  int accepted = 0;
  int refused = 0;
  int other = 0;
};

void wait_for_line(const char* step) {
  std::printf("%s\n", step);
  std::fflush(stdout);
  std::string line;
  if (!std::getline(std::cin, line)) throw std::runtime_error("the test has gone");
}

double seconds_since(TimePoint since) {
  return std::chrono::duration<double>(monotonic_now() - since).count();
}

// Until one event is taken; the seconds since `since`.
double taken_again(Rig& rig, const std::string& name, TimePoint since,
                   std::vector<std::string>& taken) {
  for (int i = 0; seconds_since(since) < 20; ++i) {
    Wave one(rig, name + "-" + std::to_string(i), 1);
    one.answers(taken);
    if (one.accepted == 1) return seconds_since(since);
  }
  throw std::runtime_error("no event is taken any more");
}

void fail_producer(Rig& rig) {
  rig.on_shard([&rig] { rig.shard().producer().inject_fatal_error(); });
}

void make_topics(const std::string& bootstrap, const std::string& prefix) {
  Config config;
  config.kafka.properties["bootstrap.servers"] = bootstrap;
  config.topics.prefix = prefix;
  config.topics.partitions = 3;
  (void)kafka::ensure_topics(config.kafka, kafka::topic_plan(config), kafka::Create::Yes);
}

int drill(const std::string& bootstrap, const std::string& prefix) {
  make_topics(bootstrap, prefix);
  Rig rig({.bootstrap = bootstrap, .prefix = prefix});
  std::vector<std::string> taken;
  Wave before(rig, "before", kWaiting);
  before.answers(taken);

  // While the broker answers: whatever was on its way is 202 or 503, and it goes on.
  Wave busy(rig, "busy", kWaiting);
  const TimePoint failed = monotonic_now();
  fail_producer(rig);
  busy.answers(taken);
  const double busy_answered = seconds_since(failed);
  const double busy_again = taken_again(rig, "busy-again", failed, taken);

  // While it does not: all of them wait, and all of them are told at once.
  wait_for_line("stop the broker");
  Wave stuck(rig, "stuck", kWaiting);
  if (!eventually([&] { return rig.shard().figures().inflight == kWaiting; })) return 1;
  const TimePoint stuck_failed = monotonic_now();
  fail_producer(rig);
  stuck.answers(taken);
  const double stuck_answered = seconds_since(stuck_failed);
  wait_for_line("start the broker");
  const double stuck_again = taken_again(rig, "stuck-again", monotonic_now(), taken);

  std::string ids;
  for (const std::string& id : taken) ids += (ids.empty() ? "\"" : ",\"") + id + "\"";
  std::printf(
      "{\"before\":%d,\"busy\":%d,\"busy_other\":%d,\"busy_answered\":%.3f,"
      "\"busy_again\":%.3f,\"stuck_refused\":%d,\"stuck_answered\":%.3f,"
      "\"stuck_again\":%.3f,\"rebuilds\":%llu,\"taken\":[%s]}\n",
      before.accepted, busy.accepted + busy.refused, busy.other, busy_answered, busy_again,
      stuck.refused, stuck_answered, stuck_again,
      static_cast<unsigned long long>(rig.slab().kafka_producer_rebuilds_total.read()),
      ids.c_str());
  return 0;
}

}  // namespace
}  // namespace eventrelay::ingest::test

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  try {
    return eventrelay::ingest::test::drill(argv[1], argv[2]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "fatal_drill: %s\n", error.what());
    return 1;
  }
}
