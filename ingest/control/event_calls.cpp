#include "ingest/control/event_calls.hpp"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <charconv>
#include <map>
#include <utility>

#include "common/observe/log.hpp"
#include "ingest/control/asking.hpp"
#include "ingest/control/event_view.hpp"

namespace eventrelay::control {
namespace {

namespace json = boost::json;
using history::Page;
using history::Question;
using history::StoredEvent;

constexpr std::chrono::hours kEventSpan{24};
constexpr std::size_t kLivePage = 50;
constexpr int kLivePauseMs = 2000;

// What all questions have: times, page, token.
Result<Question> question_of(const Call& call, std::size_t page_size) {
  const WallTime now = wall_now();
  const Result<WallTime> to = moment_of(call, "to", now + std::chrono::minutes(1));
  const WallTime end = to ? std::min(*to, now) : now;
  const Result<WallTime> from = moment_of(call, "from", end - kEventSpan);
  if (!to) return refuse(to.error());
  if (!from) return refuse(from.error());
  if (*from > *to) return refuse(400, "from: is after to");
  Question question;
  question.from = *from;
  question.to = *to;
  question.page_size = page_size;
  question.token = call.query_value("nextPage").value_or(std::string());
  return question;
}

// Subscriptions of the instances of a page, each looked up once. Thread: one call.
class Subscriptions {
 public:
  explicit Subscriptions(const Documents& documents) : documents_(documents) {}

  const std::vector<Wanting>& of(std::uint64_t instance) {
    const auto [found, fresh] = known_.try_emplace(instance);
    if (fresh) {
      const Result<Document> document = documents_.load(instance);
      if (document) found->second = subscriptions_of(document->instance);
    }
    return found->second;
  }

 private:
  const Documents& documents_;
  std::map<std::uint64_t, std::vector<Wanting>> known_;
};

}  // namespace

void EventCalls::mount(AdminServer& admin, CallServer& server) {
  using Calls = EventCalls;
  constexpr Kind kP = Kind::Platform;
  constexpr Kind kPE = Kind::Either;
  const std::vector<CallRow<Calls>> rows{
      {"GET", "instances/events", kPE, &Calls::list_events},
      {"GET", "instances/events/dispositions", kP, &Calls::list_dispositions},
      {"GET", "instances/{id}/events", kPE, &Calls::list_events},
      {"GET", "instances/{id}/events/{event}", kPE, &Calls::get_event},
  };
  server.mount(admin, kApiBase, *this, rows);
  Route stream{"GET", "/console/live", Access::Own, nullptr};
  stream.produces = "text/event-stream";
  stream.timeout = kCallLimit;
  stream.handler = [this](HttpRequestPtr request, Responder respond) {
    asio::co_spawn(parts_.documents.executor(), serve_live(std::move(request), std::move(respond)),
                   asio::detached);
  };
  admin.add(std::move(stream));
}

Task<Result<Reply>> EventCalls::events_reply(const Call& call, EventForm form) {
  const Result<std::size_t> size = page_size_of(call);
  if (!size) co_return refuse(size.error());
  Result<Question> question = question_of(call, *size);
  if (!question) co_return refuse(question.error());
  Result<std::vector<std::uint64_t>> instances = asked_instances(parts_.documents, call);
  if (!instances) co_return refuse(instances.error());
  Reply reply{json::array{}};
  if (instances->empty()) co_return reply;
  question->instances = *std::move(instances);
  const Result<Page> page = co_await ask_history(parts_, *std::move(question));
  if (!page) co_return refuse(page.error());
  Subscriptions subscriptions(parts_.documents);
  for (const StoredEvent& event : page->events) {
    const auto& wanting = subscriptions.of(event.instance);
    reply.body.get_array().push_back(form == EventForm::Record
                                         ? event_answer(event, wanting)
                                         : disposition_answer(event, wanting));
  }
  if (!page->next.empty()) reply.headers.emplace_back("Elements-Next-Page-Token", page->next);
  co_return reply;
}

Task<Result<Reply>> EventCalls::list_events(const Call& call) {
  Result<Reply> reply = co_await events_reply(call, EventForm::Record);
  co_return reply;
}

Task<Result<Reply>> EventCalls::list_dispositions(const Call& call) {
  Result<Reply> reply = co_await events_reply(call, EventForm::Disposition);
  co_return reply;
}

Task<Result<Reply>> EventCalls::get_event(const Call& call) {
  Result<Question> question = question_of(call, 1);
  if (!question) co_return refuse(question.error());
  // By its id an event is looked for as far back as the log goes.
  if (!call.query_value("from")) question->from = WallTime{};
  Result<std::vector<std::uint64_t>> instances = asked_instances(parts_.documents, call);
  if (!instances) co_return refuse(instances.error());
  question->instances = *std::move(instances);
  question->event = std::string(call.parameter("event"));
  const Result<Page> page = co_await ask_history(parts_, *std::move(question));
  if (!page) co_return refuse(page.error());
  if (page->events.empty()) {
    if (page->next.empty()) co_return refuse(404, "there is no such event");
    co_return refuse(404, "there is no such event among the newest " +
                              std::to_string(page->records) +
                              " records; ask further back with to=");
  }
  Subscriptions subscriptions(parts_.documents);
  const StoredEvent& event = page->events.front();
  const auto& wanting = subscriptions.of(event.instance);
  co_return Reply{event_answer(event, wanting)};
}

Task<void> EventCalls::serve_live(HttpRequestPtr request, Responder respond) {
  HttpResponse response;
  try {
    response = co_await live(request);
  } catch (const std::exception& error) {
    log::error("a call of the console failed",
               {{"requestId", request->request_id}, {"what", error.what()}});
    response = error_response(*request, 500, "internal error");
  }
  respond(std::move(response));
}

// The newest events since the last answer, as one piece of an event stream; the browser asks again
// by itself after a pause, so nothing stays open and nothing is computed for a closed page.
Task<HttpResponse> EventCalls::live(HttpRequestPtr request) {
  Call call;
  call.request = request.get();
  const std::optional<Caller> caller = parts_.console.caller(*request);
  if (!caller) co_return error_response(*request, 401, "session: is over; sign in again");
  call.caller = *caller;
  call.by_session = true;
  Question question;
  question.to = wall_now() + std::chrono::minutes(1);
  question.from = question.to - kEventSpan;
  question.page_size = kLivePage;
  const std::string_view last = request->header("Last-Event-ID");
  std::int64_t last_ms = 0;
  std::from_chars(last.data(), last.data() + last.size(), last_ms);
  if (last_ms > 0) {
    question.from = std::max(question.from, WallTime(std::chrono::milliseconds(last_ms)));
  }
  question.instances.clear();
  const std::optional<std::string> named = call.query_value("instance");
  if (named) {
    const std::optional<std::uint64_t> id = eventrelay::instance_of(*named);
    const StoredInstance* const stored = id ? parts_.documents.store().find(*id) : nullptr;
    if (stored == nullptr || stored->account != caller->account->id) {
      co_return error_response(*request, 404, "there is no instance " + named->substr(0, 40));
    }
    question.instances.push_back(*id);
  } else if (Result<std::vector<std::uint64_t>> all = asked_instances(parts_.documents, call)) {
    question.instances = *std::move(all);
  }
  HttpResponse response;
  response.content_type = "text/event-stream";
  response.headers.emplace_back("Cache-Control", "no-store");
  response.body = "retry: " + std::to_string(kLivePauseMs) + "\n\n";
  if (question.instances.empty()) co_return response;
  const Result<Page> page = co_await ask_history(parts_, std::move(question));
  json::object data;
  if (!page) {
    data["message"] = page.error().message;
    response.body += "event: trouble\ndata: " + json::serialize(data) + "\n\n";
    co_return response;
  }
  Subscriptions subscriptions(parts_.documents);
  json::array list;
  std::int64_t newest = last_ms;
  for (const StoredEvent& event : page->events) {
    newest = std::max(newest, unix_ms(event.received));
    json::object one = event_answer(event, subscriptions.of(event.instance));
    one.erase("providerData");
    one["received"] = one["eventElementInstances"].at(0).at("createdDate");
    one.erase("eventElementInstances");
    list.push_back(std::move(one));
  }
  data["events"] = std::move(list);
  data["more"] = !page->next.empty() && page->events.size() == kLivePage;
  response.body +=
      "id: " + std::to_string(newest) + "\nevent: events\ndata: " + json::serialize(data) + "\n\n";
  co_return response;
}

}  // namespace eventrelay::control
