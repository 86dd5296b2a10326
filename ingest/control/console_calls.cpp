#include "ingest/control/console_calls.hpp"

#include <algorithm>
#include <boost/json/array.hpp>
#include <charconv>
#include <map>
#include <set>
#include <utility>

#include "common/text/utc.hpp"
#include "ingest/control/asking.hpp"
#include "ingest/control/event_view.hpp"

namespace eventrelay::control {
namespace {

namespace json = boost::json;
using history::StoredEvent;
using history::SumsPage;
using history::Survey;

constexpr std::size_t kPageSize = 50;
constexpr std::chrono::hours kDeadSpan{24 * 30};  // as long as dead letters are kept

std::string utc(WallTime time) {
  std::string out;
  append_utc_ms(time, out);
  return out;
}

json::value utc_or_null(WallTime time) {
  return time == WallTime{} ? json::value(nullptr) : json::value(utc(time));
}

// Within how many ms so many of a hundred were delivered; null where nothing was.
json::value within(const LatencyCounts& latency, std::uint64_t percent) {
  std::uint64_t all = 0;
  for (const std::uint32_t each : latency) all += each;
  if (all == 0) return nullptr;
  std::uint64_t seen = 0;
  for (std::size_t bucket = 0; bucket < kLatencyBuckets; ++bucket) {
    seen += latency[bucket];
    if (seen * 100 >= all * percent) return std::uint64_t{1} << bucket;
  }
  return nullptr;
}

std::uint64_t instance_number(std::string_view subscription) {
  std::uint64_t number = 0;
  std::from_chars(subscription.data(), subscription.data() + subscription.size(), number);
  return number;
}

// What stands in the way of one subscription.
struct Trouble {
  bool paused = false;
  bool detached = false;    // its events wait in the log until its endpoint answers again
  std::size_t objects = 0;  // whose events wait for one that failed
  WallTime since{};
  std::string reason;
  std::uint64_t behind = 0;  // records of the log from where it stands; those of others count
  std::uint64_t parked = 0;  // in delay topics
};

std::map<std::string, Trouble> troubles_of(const Survey& survey,
                                           const std::set<std::uint64_t>& own) {
  std::map<std::string, Trouble> out;
  for (const Survey::Row& row : survey.cursors) {
    if (!own.contains(instance_number(row.cursor.subscription))) continue;
    Trouble& trouble = out[row.cursor.subscription];
    const bool whole = !row.cursor.object.has_value();
    if (!whole) ++trouble.objects;
    if (whole && row.cursor.paused) trouble.paused = true;
    if (whole && !row.cursor.paused) trouble.detached = true;
    if (trouble.since == WallTime{} || row.cursor.since < trouble.since) {
      trouble.since = row.cursor.since;
      trouble.reason = row.cursor.reason;
    }
    const auto behind = static_cast<std::uint64_t>(row.behind);
    trouble.behind = whole ? trouble.behind + behind : std::max(trouble.behind, behind);
  }
  for (const auto& [subscription, count] : survey.parked) {
    if (own.contains(instance_number(subscription))) out[subscription].parked = count;
  }
  return out;
}

json::object minute_answer(const SumsPage::Step& step, WallTime at) {
  EventCounts sum;
  for (const auto& [instance, counts] : step.by_instance) {
    sum.events += counts.events;
    sum.delivered += counts.delivered;
    sum.failed += counts.failed;
  }
  return {{"at", utc(at)},
          {"events", sum.events},
          {"delivered", sum.delivered},
          {"failed", sum.failed},
          {"half", within(step.latency, 50)},
          {"most", within(step.latency, 99)}};
}

struct Endpoint {
  std::string subscription;
  std::string url;
  bool paused = false;  // by the control API
};

std::vector<Endpoint> endpoints_of(const Document& document) {
  const InstanceConfig& instance = document.instance;
  const std::string id = std::to_string(instance.id);
  std::vector<Endpoint> out;
  if (!instance.callback_url.empty()) {
    out.push_back({id, instance.callback_url, instance.callback_pause.paused});
  }
  for (const SubscriptionConfig& each : instance.subscriptions) {
    out.push_back({id + "/" + each.name, each.url, each.pause.paused});
  }
  return out;
}

const char* state_word(const Document& document, const Endpoint& endpoint, const Trouble& trouble) {
  if (document.disabled) return "instance";
  if (endpoint.paused || trouble.paused) return "off";
  if (trouble.detached) return "away";
  if (trouble.objects > 0) return "blocked";
  return trouble.parked > 0 ? "retrying" : "on";
}

json::object endpoint_answer(const Document& document, const Endpoint& endpoint,
                             const Trouble& trouble, const EventCounts& counts) {
  return {{"instanceId", document.instance.id},
          {"name", as_utf8(document.instance.name)},
          {"subscription", endpoint.subscription},
          {"url", endpoint.url},
          {"state", state_word(document, endpoint, trouble)},
          {"since", utc_or_null(trouble.since)},
          {"reason", trouble.reason},
          {"objects", trouble.objects},
          {"behind", trouble.behind},
          {"parked", trouble.parked},
          {"delivered", counts.delivered},
          {"failed", counts.failed}};
}

// Counts of the hour by instance.
std::map<std::uint64_t, EventCounts> by_instance(const SumsPage& hour) {
  std::map<std::uint64_t, EventCounts> out;
  for (const SumsPage::Step& step : hour.steps) {
    for (const auto& [instance, counts] : step.by_instance) {
      EventCounts& sum = out[instance];
      sum.events += counts.events;
      sum.delivered += counts.delivered;
      sum.failed += counts.failed;
    }
  }
  return out;
}

}  // namespace

void ConsoleCalls::mount(AdminServer& admin, CallServer& server) {
  using Calls = ConsoleCalls;
  const std::vector<CallRow<Calls>> rows{
      {"GET", "overview", Kind::Platform, &Calls::overview},
      {"GET", "endpoints", Kind::Platform, &Calls::list_endpoints},
      {"GET", "dead", Kind::Platform, &Calls::list_dead_letters},
  };
  server.mount(admin, "/console/data", *this, rows);
}

Task<Result<SumsPage>> ConsoleCalls::last_hour(const Call& call) {
  history::SumsQuestion question;
  question.last = unix_seconds(wall_now()) / question.interval.count();
  question.first = question.last - 60;
  Result<std::vector<std::uint64_t>> instances = asked_instances(parts_.documents, call);
  if (!instances) co_return refuse(instances.error());
  question.instances = *std::move(instances);
  Result<SumsPage> page = co_await ask_sums(parts_, std::move(question));
  co_return page;
}

Task<Result<Reply>> ConsoleCalls::overview(const Call& call) {
  const WallTime now = wall_now();
  const Result<SumsPage> hour = co_await last_hour(call);
  if (!hour) co_return refuse(hour.error());
  const Result<Survey> seen = co_await ask_survey(parts_, history::Delays::Count);
  if (!seen) co_return refuse(seen.error());
  std::set<std::uint64_t> own;
  std::uint64_t off = 0;
  std::uint64_t invalid = 0;
  for (const auto& [id, stored] : parts_.documents.store().all()) {
    if (stored.account != call.caller.account->id) continue;
    own.insert(own.end(), id);
    if (stored.disabled) ++off;
    if (!stored.valid) ++invalid;
  }
  json::array minutes;
  const auto minute = std::chrono::floor<std::chrono::minutes>(now);
  const auto count = static_cast<std::int64_t>(hour->steps.size());
  LatencyCounts latency{};
  for (std::int64_t i = 0; i < count; ++i) {
    const SumsPage::Step& step = hour->steps[static_cast<std::size_t>(i)];
    minutes.push_back(minute_answer(step, minute - std::chrono::minutes(count - 1 - i)));
    for (std::size_t bucket = 0; bucket < kLatencyBuckets; ++bucket) {
      latency[bucket] += step.latency[bucket];
    }
  }
  std::uint64_t paused = 0;
  std::uint64_t detached = 0;
  std::uint64_t parked = 0;
  for (const auto& [subscription, trouble] : troubles_of(*seen, own)) {
    if (trouble.paused) ++paused;
    if (!trouble.paused && trouble.detached) ++detached;
    parked += trouble.parked;
  }
  json::object body{{"now", utc(now)},
                    {"minutes", std::move(minutes)},
                    {"half", within(latency, 50)},
                    {"most", within(latency, 99)},
                    {"unread", seen->unread},
                    {"endpoints",
                     {{"off", paused},
                      {"away", detached},
                      {"parked", parked},
                      {"parkedWhole", seen->parked_whole}}},
                    {"registry",
                     {{"instances", own.size()},
                      {"off", off},
                      {"invalid", invalid},
                      {"writable", parts_.documents.may_write().has_value()},
                      {"replays", parts_.replays.running()}}}};
  co_return Reply{std::move(body)};
}

Task<Result<Reply>> ConsoleCalls::list_endpoints(const Call& call) {
  std::uint64_t after = 0;
  if (const auto token = call.query_value("nextPage")) {
    const auto id = eventrelay::instance_of(*token);
    if (!id) co_return refuse(400, "nextPage: is not a token of an earlier answer");
    after = *id;
  }
  std::set<std::uint64_t> own;
  if (const auto named = call.query_value("instance")) {
    const auto id = eventrelay::instance_of(*named);
    const StoredInstance* const stored = id ? parts_.documents.store().find(*id) : nullptr;
    if (stored == nullptr || stored->account != call.caller.account->id) {
      co_return refuse(404, "there is no instance " + named->substr(0, 40));
    }
    own.insert(*id);
  } else {
    for (const auto& [id, stored] : parts_.documents.store().all()) {
      if (stored.account == call.caller.account->id) own.insert(own.end(), id);
    }
  }
  const bool all = call.query_value("trouble").value_or("") != "1";
  const Result<SumsPage> hour = co_await last_hour(call);
  if (!hour) co_return refuse(hour.error());
  const Result<Survey> seen = co_await ask_survey(parts_, history::Delays::Count);
  if (!seen) co_return refuse(seen.error());
  const std::map<std::uint64_t, EventCounts> counts = by_instance(*hour);
  const std::map<std::string, Trouble> troubles = troubles_of(*seen, own);
  std::set<std::uint64_t> troubled;
  for (const auto& [subscription, trouble] : troubles) {
    troubled.insert(instance_number(subscription));
  }
  for (const auto& [id, sum] : counts) {
    if (sum.failed > 0 && own.contains(id)) troubled.insert(id);
  }
  Reply reply{json::array{}};
  const std::set<std::uint64_t>& listed = all ? own : troubled;
  std::uint64_t last = 0;
  std::size_t instances = 0;
  for (auto each = listed.upper_bound(after); each != listed.end(); ++each) {
    if (++instances > kPageSize) {
      reply.headers.emplace_back("Elements-Next-Page-Token", std::to_string(last));
      break;
    }
    last = *each;
    const Result<Document> document = parts_.documents.load(*each);
    if (!document) continue;  // deleted meanwhile
    const auto sum = counts.find(*each);
    for (const Endpoint& endpoint : endpoints_of(*document)) {
      const auto found = troubles.find(endpoint.subscription);
      reply.body.get_array().push_back(
          endpoint_answer(*document, endpoint, found == troubles.end() ? Trouble{} : found->second,
                          sum == counts.end() ? EventCounts{} : sum->second));
    }
  }
  co_return reply;
}

Task<Result<Reply>> ConsoleCalls::list_dead_letters(const Call& call) {
  history::Question question;
  question.log = history::Log::Dead;
  question.to = wall_now() + std::chrono::minutes(1);
  question.from = question.to - kDeadSpan;
  question.page_size = kPageSize;
  question.token = call.query_value("nextPage").value_or(std::string());
  if (const auto named = call.query_value("instance")) {
    const auto id = eventrelay::instance_of(*named);
    const StoredInstance* const stored = id ? parts_.documents.store().find(*id) : nullptr;
    if (stored == nullptr || stored->account != call.caller.account->id) {
      co_return refuse(404, "there is no instance " + named->substr(0, 40));
    }
    question.instances.push_back(*id);
  } else if (Result<std::vector<std::uint64_t>> own = asked_instances(parts_.documents, call)) {
    question.instances = *std::move(own);
  }
  Reply reply{json::array{}};
  if (question.instances.empty()) co_return reply;
  const Result<history::Page> page = co_await ask_history(parts_, std::move(question));
  if (!page) co_return refuse(page.error());
  std::set<std::pair<std::string, std::string>> shown;
  for (const StoredEvent& event : page->events) {
    // Of what died again after it was sent again the newest letter counts.
    if (!shown.emplace(event.id, event.letter->subscription).second) continue;
    const std::string_view state = word_of(fate_of(event.at(event.letter->subscription, true)));
    reply.body.get_array().push_back(
        json::object{{"id", event.id},
                     {"instanceId", event.instance},
                     {"subscription", event.letter->subscription},
                     {"reason", event.letter->reason},
                     {"attempts", event.letter->attempts_made},
                     {"at", utc(event.when)},
                     {"received", utc(event.received)},
                     {"eventType", as_utf8(event.event_type)},
                     {"objectType", as_utf8(event.object_type)},
                     {"objectId", as_utf8(event.object_id)},
                     {"state", json::string_view(state.data(), state.size())}});
  }
  if (!page->next.empty()) reply.headers.emplace_back("Elements-Next-Page-Token", page->next);
  co_return reply;
}

}  // namespace eventrelay::control
