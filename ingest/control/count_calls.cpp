#include "ingest/control/count_calls.hpp"

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <charconv>
#include <utility>

#include "common/text/utc.hpp"
#include "ingest/control/asking.hpp"

namespace eventrelay::control {
namespace {

namespace json = boost::json;
using history::SumsPage;
using history::SumsQuestion;

constexpr std::chrono::hours kCountSpan{24};
constexpr std::int64_t kStepsMax = 1500;
constexpr std::size_t kRecordsMax = 20'000;  // of one answer
constexpr std::string_view kTokenForm = "s1-";

struct Interval {
  std::string_view word;
  std::chrono::seconds length;
};
constexpr std::array<Interval, 4> kIntervals{{{"second", std::chrono::seconds{1}},
                                              {"minute", std::chrono::minutes{1}},
                                              {"hour", std::chrono::hours{1}},
                                              {"day", std::chrono::hours{24}}}};

std::optional<std::int64_t> parse_number(std::string_view text) {
  std::int64_t number = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = read.ec == std::errc{} && read.ptr == text.data() + text.size();
  return whole && number >= 0 ? std::optional(number) : std::nullopt;
}

Result<std::chrono::seconds> interval_of(const Call& call) {
  const std::string word = call.query_value("interval").value_or("hour");
  for (const Interval& each : kIntervals) {
    if (each.word == word) return each.length;
  }
  return refuse(400, "interval: is not one of second, minute, hour, day");
}

// Only the caller's own account may be named.
Result<bool> judge_accounts(const Call& call) {
  for (const char* const name : {"accountIds[]", "accountIds"}) {
    for (const std::string_view text : call.request->query_all(name)) {
      const std::optional<std::int64_t> id = parse_number(text);
      if (!id) return refuse(400, "accountIds[]: must be numbers");
      if (static_cast<std::uint64_t>(*id) != call.caller.account->id) {
        return refuse(403, "accountIds[]: " + std::to_string(*id) + " is not yours");
      }
    }
  }
  return true;
}

std::string stamp_of(const SumsQuestion& question, std::int64_t step) {
  std::string out;
  append_utc_ms(WallTime(question.interval * step), out);
  return out;
}

json::object counts_of(const EventCounts& counts) {
  return {{"count", counts.events}, {"success", counts.delivered}, {"failed", counts.failed}};
}

void add(EventCounts& sum, const EventCounts& counts) {
  sum.events += counts.events;
  sum.delivered += counts.delivered;
  sum.failed += counts.failed;
}

}  // namespace

void CountCalls::mount(AdminServer& admin, CallServer& server) {
  using Calls = CountCalls;
  constexpr Kind kP = Kind::Platform;
  const std::vector<CallRow<Calls>> rows{
      {"GET", "instances/events/analytics", kP, &Calls::count_events},
      {"GET", "instances/events/analytics/instances", kP, &Calls::count_by_instance},
      {"GET", "instances/events/analytics/accounts", kP, &Calls::count_by_account},
  };
  server.mount(admin, kApiBase, *this, rows);
}

Task<Result<Reply>> CountCalls::counts_reply(const Call& call, CountForm form) {
  const WallTime now = wall_now();
  const Result<WallTime> to = moment_of(call, "to", now);
  if (!to) co_return refuse(to.error());
  const Result<WallTime> from = moment_of(call, "from", std::min(*to, now) - kCountSpan);
  if (!from) co_return refuse(from.error());
  if (*from > *to) co_return refuse(400, "from: is after to");
  const Result<std::chrono::seconds> interval = interval_of(call);
  if (!interval) co_return refuse(interval.error());
  if (const auto own = judge_accounts(call); !own) co_return refuse(own.error());
  SumsQuestion question;
  question.interval = *interval;
  question.first = std::max<std::int64_t>(unix_seconds(*from), 0) / interval->count();
  question.last = unix_seconds(*to) / interval->count();
  if (question.last - question.first >= kStepsMax) {
    co_return refuse(400, "interval: would give more than " + std::to_string(kStepsMax) +
                              " buckets; ask for a longer one or a shorter time");
  }
  if (const auto token = call.query_value("nextPage")) {
    const bool ours = token->starts_with(kTokenForm);
    const auto step = ours ? parse_number(token->substr(kTokenForm.size())) : std::nullopt;
    if (!step || *step < question.first || *step > question.last) {
      co_return refuse(400, "nextPage: is not a token of an earlier answer");
    }
    question.first = *step;
  }
  Result<std::vector<std::uint64_t>> instances = asked_instances(parts_.documents, call);
  if (!instances) co_return refuse(instances.error());
  question.instances = *std::move(instances);
  const Result<SumsPage> page = co_await ask_sums(parts_, question);
  if (!page) co_return refuse(page.error());
  Reply reply{json::array{}};
  std::size_t records = 0;
  std::int64_t step = question.first;
  for (const SumsPage::Step& each : page->steps) {
    if (form == CountForm::Instances && records > 0 &&
        records + each.by_instance.size() > kRecordsMax) {
      break;
    }
    EventCounts sum;
    json::array list;
    for (const auto& [instance, counts] : each.by_instance) {
      add(sum, counts);
      if (form != CountForm::Instances) continue;
      json::object one = counts_of(counts);
      one["instanceId"] = instance;
      list.push_back(std::move(one));
    }
    if (form == CountForm::Accounts && !each.by_instance.empty()) {
      json::object one = counts_of(sum);
      one["accountId"] = call.caller.account->id;
      list.push_back(std::move(one));
    }
    records += list.size();
    json::object row{{"timestamp", stamp_of(question, step++)}};
    if (form == CountForm::Plain) {
      row["count"] = sum.events;
    } else {
      row["total"] = sum.events;
      row["records"] = std::move(list);
    }
    reply.body.get_array().push_back(std::move(row));
  }
  if (step <= question.last) {
    reply.headers.emplace_back("Elements-Next-Page-Token",
                               std::string(kTokenForm) + std::to_string(step));
  }
  co_return reply;
}

Task<Result<Reply>> CountCalls::count_events(const Call& call) {
  Result<Reply> reply = co_await counts_reply(call, CountForm::Plain);
  co_return reply;
}

Task<Result<Reply>> CountCalls::count_by_instance(const Call& call) {
  Result<Reply> reply = co_await counts_reply(call, CountForm::Instances);
  co_return reply;
}

Task<Result<Reply>> CountCalls::count_by_account(const Call& call) {
  Result<Reply> reply = co_await counts_reply(call, CountForm::Accounts);
  co_return reply;
}

}  // namespace eventrelay::control
