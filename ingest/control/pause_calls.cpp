#include "ingest/control/pause_calls.hpp"

#include <algorithm>
#include <boost/json/array.hpp>
#include <set>
#include <utility>

#include "ingest/control/asking.hpp"
#include "ingest/control/event_view.hpp"

namespace eventrelay::control {
namespace {

namespace json = boost::json;
using history::Survey;

constexpr auto kLeave = history::Delays::Leave;
constexpr std::size_t kBatch = 100;  // documents in one transaction

// What `where` selects.
struct Where {
  std::optional<std::string> url;
};

// `name='value'`, a quote within the value doubled. Thread: one call.
class WhereReader {
 public:
  explicit WhereReader(std::string_view text) : rest_(text) {}

  std::optional<std::map<std::string, std::string>> read() {
    std::map<std::string, std::string> out;
    while (true) {
      const std::string name = word();
      skip_blanks();
      if (name.empty() || !take("=")) return std::nullopt;
      skip_blanks();
      std::optional<std::string> value = quoted();
      if (!value || !out.emplace(name, *std::move(value)).second) return std::nullopt;
      skip_blanks();
      if (rest_.empty()) return out;
      const std::string joint = word();
      if (joint != "and" && joint != "AND") return std::nullopt;
    }
  }

 private:
  void skip_blanks() {
    while (!rest_.empty() && rest_.front() == ' ') rest_.remove_prefix(1);
  }
  bool take(std::string_view text) {
    if (!rest_.starts_with(text)) return false;
    rest_.remove_prefix(text.size());
    return true;
  }
  std::string word() {
    skip_blanks();
    const std::size_t end = std::min(rest_.find_first_of(" ='"), rest_.size());
    std::string out(rest_.substr(0, end));
    rest_.remove_prefix(end);
    return out;
  }
  std::optional<std::string> quoted() {
    if (!take("'")) return std::nullopt;
    std::string out;
    while (!rest_.empty()) {
      if (take("''")) {
        out += '\'';
      } else if (take("'")) {
        return out;
      } else {
        out += rest_.front();
        rest_.remove_prefix(1);
      }
    }
    return std::nullopt;
  }

  std::string_view rest_;
};

Result<Where> where_of(const Call& call) {
  const Unexpected<Problem> bad = refuse(
      400, "where: must be channel='webhook' and status='queued', and config.url='..' at most");
  const std::optional<std::string> text = call.query_value("where");
  if (!text) return bad;
  auto parts = WhereReader(*text).read();
  if (!parts) return bad;
  Where out;
  if (const auto url = parts->extract("config.url"); !url.empty()) out.url = url.mapped();
  const std::map<std::string, std::string> rest{{"channel", "webhook"}, {"status", "queued"}};
  if (*parts != rest) return bad;
  return out;
}

// What is said of a subscription, by its id; null where there is none.
PauseSetting* pause_of(Document& document, std::string_view subscription) {
  InstanceConfig& instance = document.instance;
  const std::string id = std::to_string(instance.id);
  if (subscription == id) return instance.callback_url.empty() ? nullptr : &instance.callback_pause;
  for (SubscriptionConfig& each : instance.subscriptions) {
    if (subscription == id + "/" + each.name) return &each.pause;
  }
  return nullptr;
}

std::string url_of(const Document& document, std::string_view subscription) {
  const std::string id = std::to_string(document.instance.id);
  if (subscription == id) return document.instance.callback_url;
  for (const SubscriptionConfig& each : document.instance.subscriptions) {
    if (subscription == id + "/" + each.name) return each.url;
  }
  return {};
}

}  // namespace

void PauseCalls::mount(AdminServer& admin, CallServer& server) {
  using Calls = PauseCalls;
  constexpr Kind kP = Kind::Platform;
  const std::vector<CallRow<Calls>> rows{
      {"PUT", "instances/{id}/subscriptions/{name}/enabled", kP, &Calls::enable_subscription},
      {"DELETE", "instances/{id}/subscriptions/{name}/enabled", kP, &Calls::disable_subscription},
      {"GET", "notifications/subscriptions/deliveries", kP, &Calls::list_deliveries},
      {"PUT", "notifications/subscriptions/deliveries", kP, &Calls::release_deliveries},
  };
  server.mount(admin, kApiBase, *this, rows);
}

// Since when each paused subscription of the account is paused, by its id.
std::map<std::string, WallTime> PauseCalls::paused_of(const Survey& survey,
                                                      std::uint64_t account) const {
  std::map<std::string, WallTime> out;
  for (const Survey::Row& row : survey.cursors) {
    if (!row.cursor.paused) continue;
    const std::string& subscription = row.cursor.subscription;
    const auto instance = instance_of(subscription.substr(0, subscription.find('/')));
    const StoredInstance* const stored =
        instance ? parts_.documents.store().find(*instance) : nullptr;
    if (stored == nullptr || stored->account != account) continue;
    WallTime& since = out[subscription];
    since = std::max(since, row.cursor.since);
  }
  return out;
}

Task<Result<Reply>> PauseCalls::list_deliveries(const Call& call) {
  const Result<Where> where = where_of(call);
  if (!where) co_return refuse(where.error());
  const Result<std::size_t> size = page_size_of(call);
  if (!size) co_return refuse(size.error());
  const Result<Survey> seen = co_await ask_survey(parts_, kLeave);
  if (!seen) co_return refuse(seen.error());
  std::set<std::string> wanted;
  std::set<std::uint64_t> instances;
  for (const auto& [subscription, since] : paused_of(*seen, call.caller.account->id)) {
    const auto id = instance_of(subscription.substr(0, subscription.find('/')));
    const Result<Document> document = parts_.documents.load(*id);
    if (!document) continue;
    const std::string url = url_of(*document, subscription);
    if (url.empty() || (where->url && *where->url != url)) continue;
    wanted.insert(subscription);
    instances.insert(*id);
  }
  Reply reply{json::array{}};
  if (wanted.empty()) co_return reply;
  history::Question question;
  question.instances.assign(instances.begin(), instances.end());
  question.to = wall_now() + std::chrono::minutes(1);
  question.page_size = *size;
  question.token = call.query_value("nextPage").value_or(std::string());
  const Result<history::Page> page = co_await ask_history(parts_, std::move(question));
  if (!page) co_return refuse(page.error());
  for (const history::StoredEvent& event : page->events) {
    const Result<Document> document = parts_.documents.load(event.instance);
    if (!document) continue;
    const std::vector<Wanting> all = subscriptions_of(document->instance);
    const bool queued = std::any_of(all.begin(), all.end(), [&](const Wanting& each) {
      return wanted.contains(each.id) && fate_at(event, each) == history::Fate::Queued;
    });
    if (queued) reply.body.get_array().push_back(event_answer(event, all));
  }
  if (!page->next.empty()) reply.headers.emplace_back("Elements-Next-Page-Token", page->next);
  co_return reply;
}

// Resumes subscriptions of these instances, in one transaction. `paused`: since when they are.
Task<Result<bool>> PauseCalls::resume_all(std::map<std::uint64_t, std::vector<std::string>> batch,
                                          std::map<std::string, WallTime> paused) {
  std::vector<KeyedLock::Turn> turns;
  std::vector<kafka::KeyedRecord> records;
  // In the order of the ids, so that two calls which take several never wait for each other.
  for (const auto& [id, subscriptions] : batch) {
    turns.push_back(co_await parts_.documents.turn(id));
    Result<Document> document = parts_.documents.load(id);
    if (!document) continue;  // deleted meanwhile
    for (const std::string& subscription : subscriptions) {
      PauseSetting* const pause = pause_of(*document, subscription);
      if (pause == nullptr) continue;
      // The worker's clock said when it was paused; ours may be behind it.
      *pause = PauseSetting{false, std::max(wall_now(), paused[subscription])};
    }
    Result<kafka::KeyedRecord> record = parts_.documents.record_of(*document, record_key(id));
    if (!record) co_return refuse(record.error());
    records.push_back(*std::move(record));
  }
  if (records.empty()) co_return true;
  const Result<bool> written = co_await parts_.documents.write(std::move(records));
  co_return written;
}

Task<Result<Reply>> PauseCalls::release_deliveries(const Call& call) {
  if (const auto may = parts_.documents.may_write(); !may) co_return refuse(may.error());
  const Result<Where> where = where_of(call);
  if (!where) co_return refuse(where.error());
  const Result<Survey> seen = co_await ask_survey(parts_, kLeave);
  if (!seen) co_return refuse(seen.error());
  const std::map<std::string, WallTime> paused = paused_of(*seen, call.caller.account->id);
  json::array list;
  std::map<std::uint64_t, std::vector<std::string>> batch;
  for (const auto& [subscription, since] : paused) {
    const auto id = instance_of(subscription.substr(0, subscription.find('/')));
    const Result<Document> document = parts_.documents.load(*id);
    // What waits because its whole instance is disabled goes on with the instance.
    if (!document || document->disabled) continue;
    const std::string url = url_of(*document, subscription);
    if (url.empty() || (where->url && *where->url != url)) continue;
    batch[*id].push_back(subscription);
    list.push_back(json::object{
        {"subscriptionId", subscription}, {"instanceId", *id}, {"config", {{"url", url}}}});
    if (batch.size() < kBatch) continue;
    auto whole = std::exchange(batch, {});
    std::map<std::string, WallTime> known = paused;
    const Result<bool> written = co_await resume_all(std::move(whole), std::move(known));
    if (!written) co_return refuse(written.error());
  }
  const Result<bool> written =
      co_await resume_all(std::move(batch), std::map<std::string, WallTime>(paused));
  if (!written) co_return refuse(written.error());
  co_return Reply{std::move(list)};
}

Task<Result<Reply>> PauseCalls::pause_subscription(const Call& call, bool paused) {
  if (const auto may = parts_.documents.may_write(); !may) co_return refuse(may.error());
  const Result<std::uint64_t> id = instance_of_call(parts_.documents, call);
  if (!id) co_return refuse(id.error());
  const std::string name(call.parameter("name"));
  std::string subscription = std::to_string(*id);
  if (name != "callback") subscription += "/" + name;
  std::map<std::string, WallTime> known;
  if (!paused) {
    const Result<Survey> seen = co_await ask_survey(parts_, kLeave);
    if (!seen) co_return refuse(seen.error());
    known = paused_of(*seen, call.caller.account->id);
  }
  const KeyedLock::Turn turn = co_await parts_.documents.turn(*id);
  Result<Document> document = parts_.documents.load(*id);
  if (!document) co_return refuse(document.error());
  PauseSetting* const pause = pause_of(*document, subscription);
  if (pause == nullptr) {
    co_return refuse(404, "there is no subscription " + name.substr(0, 80));
  }
  if (paused && pause->paused) co_return Reply{json::object{}};
  pause->paused = paused;
  if (!paused) pause->resumed = std::max(wall_now(), known[subscription]);
  const Result<bool> written = co_await parts_.documents.write(*document);
  if (!written) co_return refuse(written.error());
  co_return Reply{json::object{}};
}

Task<Result<Reply>> PauseCalls::enable_subscription(const Call& call) {
  Result<Reply> reply = co_await pause_subscription(call, false);
  co_return reply;
}

Task<Result<Reply>> PauseCalls::disable_subscription(const Call& call) {
  Result<Reply> reply = co_await pause_subscription(call, true);
  co_return reply;
}

}  // namespace eventrelay::control
