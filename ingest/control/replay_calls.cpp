#include "ingest/control/replay_calls.hpp"

#include <algorithm>
#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <utility>

#include "common/base/crypto.hpp"
#include "common/observe/log.hpp"
#include "common/providers/stamp.hpp"
#include "ingest/control/event_view.hpp"
#include "ingest/control/json_body.hpp"
#include "ingest/control/json_members.hpp"
#include "ingest/control/waiting.hpp"

namespace eventrelay::control {
namespace {

namespace json = boost::json;
using replay::Job;
using replay::Progress;
using replay::Source;
using replay::Status;

constexpr std::chrono::seconds kLookInterval{1};
constexpr std::size_t kEventIdsMax = 1000;
constexpr std::size_t kKeptMax = 200;  // records of replays that are over

std::uint64_t number_of(const json::object& record, json::string_view name) {
  const json::value* const value = record.if_contains(name);
  boost::system::error_code error;
  const auto number =
      value != nullptr && value->is_number() ? value->to_number<std::uint64_t>(error) : 0;
  return error.failed() ? 0 : number;
}

std::optional<json::object> parsed(const std::string& value) {
  boost::system::error_code error;
  json::value out = json::parse(value, error);
  if (error.failed() || !out.is_object()) return std::nullopt;
  return std::move(out.get_object());
}

bool is_running(const json::object& record) {
  return text_member(record, "status") == "running";
}

json::object replay_answer(const std::string& id, const json::object& record) {
  json::object out{{"id", id},
                   {"status", record.at("status")},
                   {"selected", number_of(record, "selected")},
                   {"sent", number_of(record, "sent")}};
  if (const std::string reason = text_member(record, "reason"); !reason.empty()) {
    out["reason"] = reason;
  }
  return out;
}

void put(json::object& record, const Progress& progress) {
  const std::string_view word = word_of(progress.status);
  record["status"] = json::string_view(word.data(), word.size());
  record["selected"] = progress.selected;
  record["sent"] = progress.sent;
  if (!progress.reason.empty()) record["reason"] = progress.reason;
}

Result<WallTime> time_member(const json::object& body, const char* name) {
  const json::value* const value = body.if_contains(name);
  if (value == nullptr) return refuse(400, std::string(name) + ": required");
  if (value->is_string()) {
    const auto at = providers::parse_stamp(providers::Stamp::Rfc3339, view(value->get_string()));
    if (at && unix_ms(*at) >= 0) return *at;
  }
  return refuse(400, std::string(name) + ": must be a time such as 2026-11-24T10:00:00Z");
}

Result<bool> put_ids(const json::object& body, json::object& record) {
  const json::value* const ids = body.if_contains("eventIds");
  if (ids == nullptr || ids->is_null()) return true;
  if (!ids->is_array() || ids->get_array().empty() || ids->get_array().size() > kEventIdsMax) {
    return refuse(400, "eventIds: must be a list of 1..1000 texts");
  }
  for (const json::value& each : ids->get_array()) {
    if (!each.is_string() || each.get_string().empty() || each.get_string().size() > 200) {
      return refuse(400, "eventIds: each must be a text of 1..200 characters");
    }
  }
  record["eventIds"] = *ids;
  return true;
}

// The subscription's id by its id, its name, or `callback`.
Result<std::string> subscription_of(std::string_view given, const Document& document) {
  const std::string number = std::to_string(document.instance.id);
  for (const Wanting& each : subscriptions_of(document.instance)) {
    if (each.id == given || (given == "callback" && each.id == number) ||
        each.id == number + "/" + std::string(given)) {
      return each.id;
    }
  }
  return refuse(400, "subscription: this instance has none of that name");
}

// What is asked for, as it is kept.
Result<json::object> record_of(const json::object& body, const Document& document) {
  constexpr std::array<std::string_view, 7> kMembers{"from",     "to",   "source", "subscription",
                                                     "eventIds", "rate", "dryRun"};
  for (const auto& [key, value] : body) {
    if (std::find(kMembers.begin(), kMembers.end(), std::string_view(key.data(), key.size())) ==
        kMembers.end()) {
      return refuse(400, std::string(key).substr(0, 200) + ": unknown");
    }
  }
  const Result<WallTime> from = time_member(body, "from");
  if (!from) return refuse(from.error());
  const Result<WallTime> to = time_member(body, "to");
  if (!to) return refuse(to.error());
  if (*from > *to) return refuse(400, "from: is after to");
  const std::string source = text_member(body, "source");
  if (source != "events" && source != "dead") {
    return refuse(400, "source: is not one of events, dead");
  }
  json::object record{{"v", 1},
                      {"instance", document.instance.id},
                      {"account", document.account},
                      {"source", source},
                      {"from", unix_ms(*from)},
                      {"to", unix_ms(*to)},
                      {"rate", replay::kRateDefault},
                      {"dryRun", false},
                      {"created", unix_ms(wall_now())}};
  if (const json::value* const named = body.if_contains("subscription")) {
    if (!named->is_string()) return refuse(400, "subscription: must be a text");
    Result<std::string> id = subscription_of(view(named->get_string()), document);
    if (!id) return refuse(id.error());
    record["subscription"] = *id;
  }
  if (const auto ids = put_ids(body, record); !ids) return refuse(ids.error());
  if (const json::value* const rate = body.if_contains("rate")) {
    boost::system::error_code error;
    const auto number = rate->is_number() ? rate->to_number<std::int64_t>(error) : 0;
    if (error.failed() || number < 1 || number > replay::kRateMax) {
      return refuse(400, "rate: must be a number 1..10000, in events a second");
    }
    record["rate"] = number;
  }
  if (const json::value* const dry = body.if_contains("dryRun")) {
    if (!dry->is_bool()) return refuse(400, "dryRun: must be true or false");
    record["dryRun"] = dry->get_bool();
  }
  put(record, Progress{});
  return record;
}

}  // namespace

void ReplayCalls::mount(AdminServer& admin, CallServer& server) {
  using Calls = ReplayCalls;
  constexpr Kind kP = Kind::Platform;
  const std::vector<CallRow<Calls>> rows{
      {"POST", "instances/{id}/events/replay", kP, &Calls::start_replay},
      {"GET", "instances/{id}/events/replay/{replay}", kP, &Calls::get_replay},
      {"DELETE", "instances/{id}/events/replay/{replay}", kP, &Calls::stop_replay},
  };
  server.mount(admin, kApiBase, *this, rows);
}

Result<Job> ReplayCalls::job_of(const std::string& id, const json::object& record) const {
  Job job;
  job.id = id;
  job.instance = number_of(record, "instance");
  job.source = text_member(record, "source") == "dead" ? Source::Dead : Source::Events;
  job.from = WallTime(std::chrono::milliseconds(number_of(record, "from")));
  job.to = WallTime(std::chrono::milliseconds(number_of(record, "to")));
  job.rate = static_cast<std::uint32_t>(number_of(record, "rate"));
  const json::value* const dry = record.if_contains("dryRun");
  job.dry_run = dry != nullptr && dry->is_bool() && dry->get_bool();
  const Result<Document> document = parts_.documents.load(job.instance);
  if (!document) return refuse(document.error());
  const std::string only = text_member(record, "subscription");
  for (Wanting& each : subscriptions_of(document->instance)) {
    if (only.empty() || each.id == only) job.targets.push_back({each.id, each.filter});
  }
  if (const json::value* const ids = record.if_contains("eventIds"); ids != nullptr) {
    for (const json::value& each : ids->get_array()) {
      job.event_ids.emplace_back(each.get_string());
    }
    std::sort(job.event_ids.begin(), job.event_ids.end());
  }
  return job;
}

Task<Result<bool>> ReplayCalls::write_replay(std::string id, json::object record) {
  std::vector<kafka::KeyedRecord> records(1);
  records[0].key = std::string(kReplayPrefix) + id;
  records[0].value = json::serialize(record);
  // The oldest of those that are over make room.
  const auto& kept = parts_.documents.store().replays();
  if (kept.size() > kKeptMax) {
    const std::string* oldest = nullptr;
    std::uint64_t created = 0;
    for (const auto& [key, value] : kept) {
      const std::optional<json::object> one = parsed(value);
      if (!one || is_running(*one)) continue;
      const std::uint64_t at = number_of(*one, "created");
      if (oldest == nullptr || at < created) {
        oldest = &key;
        created = at;
      }
    }
    if (oldest != nullptr && *oldest != records[0].key) {
      records.emplace_back();
      records.back().key = *oldest;
    }
  }
  const Result<bool> written = co_await parts_.documents.write(std::move(records));
  co_return written;
}

Task<Result<Reply>> ReplayCalls::start_replay(const Call& call) {
  if (const auto may = parts_.documents.may_write(); !may) co_return refuse(may.error());
  const Result<std::uint64_t> instance = instance_of_call(parts_.documents, call);
  if (!instance) co_return refuse(instance.error());
  const Result<json::object> body = parse_body(call.body());
  if (!body) co_return refuse(body.error());
  const Result<Document> document = parts_.documents.load(*instance);
  if (!document) co_return refuse(document.error());
  const Result<json::object> record = record_of(*body, *document);
  if (!record) co_return refuse(record.error());
  const std::string full =
      std::to_string(replay::kReplaysMax) + " replays are running; wait for one, or stop it";
  std::size_t running = 0;
  for (const auto& [key, value] : parts_.documents.store().replays()) {
    const std::optional<json::object> one = parsed(value);
    if (one && is_running(*one)) ++running;
  }
  if (running + starting_ >= replay::kReplaysMax) co_return refuse(409, full);
  std::array<char, 12> bytes{};
  crypto::random_bytes(bytes.data(), bytes.size());
  const std::string id = crypto::hex({bytes.data(), bytes.size()});
  ++starting_;
  const Result<bool> written = co_await write_replay(id, *record);
  --starting_;
  if (!written) co_return refuse(written.error());
  Result<Job> job = job_of(id, *record);
  if (!job) co_return refuse(job.error());
  if (!parts_.replays.start(*std::move(job))) co_return refuse(409, full);
  co_return Reply{replay_answer(id, *record)};
}

Result<json::object> ReplayCalls::replay_of(const Call& call) const {
  const Result<std::uint64_t> instance = instance_of_call(parts_.documents, call);
  if (!instance) return refuse(instance.error());
  const std::string key = std::string(kReplayPrefix).append(call.parameter("replay"));
  const auto found = parts_.documents.store().replays().find(key);
  std::optional<json::object> record;
  if (found != parts_.documents.store().replays().end()) record = parsed(found->second);
  if (!record || number_of(*record, "instance") != *instance) {
    return refuse(404, "there is no such replay");
  }
  return *std::move(record);
}

Task<Result<Reply>> ReplayCalls::get_replay(const Call& call) {
  Result<json::object> record = replay_of(call);
  if (!record) co_return refuse(record.error());
  const std::string id(call.parameter("replay"));
  if (const Progress* const now = parts_.replays.find(id)) put(*record, *now);
  co_return Reply{replay_answer(id, *record)};
}

Task<Result<Reply>> ReplayCalls::stop_replay(const Call& call) {
  if (const auto may = parts_.documents.may_write(); !may) co_return refuse(may.error());
  Result<json::object> record = replay_of(call);
  if (!record) co_return refuse(record.error());
  const std::string id(call.parameter("replay"));
  if (is_running(*record)) {
    parts_.replays.stop(id);
    // It ends after its open transaction.
    for (int tries = 0; tries < 100 && parts_.replays.find(id) != nullptr; ++tries) {
      Timer pause(parts_.documents.executor());
      pause.expires_after(std::chrono::milliseconds(100));
      co_await pause.async_wait(kWaitToken);
    }
    for (int tries = 0; tries < 100 && closing_.contains(id); ++tries) {
      Timer pause(parts_.documents.executor());
      pause.expires_after(std::chrono::milliseconds(100));
      co_await pause.async_wait(kWaitToken);
    }
    record = replay_of(call);
    if (!record) co_return refuse(record.error());
    if (is_running(*record)) {
      put(*record,
          Progress{
              Status::Stopped, number_of(*record, "selected"), number_of(*record, "sent"), {}});
      const Result<bool> written = co_await write_replay(id, *record);
      if (!written) co_return refuse(written.error());
    }
  }
  co_return Reply{replay_answer(id, *record)};
}

void ReplayCalls::replay_ended(const std::string& id, Progress progress) {
  closing_.insert(id);
  asio::co_spawn(parts_.documents.executor(), close_replay(id, std::move(progress)),
                 asio::detached);
}

Task<void> ReplayCalls::close_replay(std::string id, Progress progress) {
  const auto found = parts_.documents.store().replays().find(std::string(kReplayPrefix) + id);
  std::optional<json::object> record;
  if (found != parts_.documents.store().replays().end()) record = parsed(found->second);
  // Without the role another process has it: that one goes on with it, and writes its end.
  if (record && parts_.documents.may_write()) {
    put(*record, progress);
    const Result<bool> written = co_await write_replay(id, *record);
    if (!written) {
      log::warn("the end of a replay is not written",
                {{"replay", id}, {"reason", written.error().message}});
    }
  }
  closing_.erase(id);
}

Task<void> ReplayCalls::keep_replays() {
  Timer timer(parts_.documents.executor());
  while (!parts_.documents.stopped()) {
    timer.expires_after(kLookInterval);
    co_await timer.async_wait(kWaitToken);
    if (parts_.documents.stopped() || !parts_.documents.may_write()) continue;
    for (const auto& [key, value] : parts_.documents.store().replays()) {
      const std::string id = key.substr(kReplayPrefix.size());
      if (closing_.contains(id) || parts_.replays.find(id) != nullptr) continue;
      const std::optional<json::object> record = parsed(value);
      if (!record || !is_running(*record)) continue;
      const Result<Job> job = job_of(id, *record);
      if (!job || job->dry_run) {
        // Its instance is gone; or it only counted, and its count ended with the process.
        Progress over;
        over.status = Status::Stopped;
        replay_ended(id, over);
        continue;
      }
      if (!parts_.replays.start(*job)) break;
      log::info("a replay goes on", {{"replay", id}});
    }
  }
}

}  // namespace eventrelay::control
