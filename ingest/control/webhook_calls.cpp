#include "ingest/control/webhook_calls.hpp"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <set>
#include <utility>

#include "common/observe/log.hpp"
#include "common/process/failpoint.hpp"
#include "ingest/control/instance_view.hpp"
#include "ingest/control/json_body.hpp"

namespace eventrelay::control {
namespace {

namespace json = boost::json;

// Keeps what Box says of a webhook; true if the document has changed.
bool remember(Document& document, const Webhook& seen) {
  const auto found = std::find_if(document.webhooks.begin(), document.webhooks.end(),
                                  [&](const Webhook& each) { return each.id == seen.id; });
  if (found == document.webhooks.end()) return false;
  const bool same = found->target_id == seen.target_id && found->target_type == seen.target_type &&
                    found->triggers == seen.triggers && found->address == seen.address &&
                    found->state != WebhookState::Deleted;
  if (same) return false;
  const WebhookState state = found->state;
  *found = seen;
  if (state == WebhookState::NoSession) found->state = state;
  return true;
}

// True if the document has changed.
bool mark_deleted(Document& document, std::string_view hook, std::string reason) {
  const auto found = std::find_if(document.webhooks.begin(), document.webhooks.end(),
                                  [&](const Webhook& each) { return each.id == hook; });
  if (found == document.webhooks.end() || found->state == WebhookState::Deleted) return false;
  found->state = WebhookState::Deleted;
  found->reason = std::move(reason);
  return true;
}

}  // namespace

void WebhookCalls::mount(AdminServer& admin, CallServer& server) {
  using Calls = WebhookCalls;
  constexpr Kind kE = Kind::Element;
  const std::vector<CallRow<Calls>> rows{
      {"POST", "webhooks", kE, &Calls::create_webhook},
      {"GET", "webhooks", kE, &Calls::list_webhooks},
      {"GET", "webhooks/{hook}", kE, &Calls::get_webhook},
      {"PUT", "webhooks/{hook}", kE, &Calls::change_webhook},
      {"DELETE", "webhooks/{hook}", kE, &Calls::delete_webhook},
      {"POST", "hubs/{hub}/webhooks", kE, &Calls::create_webhook},
      {"GET", "hubs/{hub}/webhooks", kE, &Calls::list_webhooks},
      {"GET", "hubs/{hub}/webhooks/{hook}", kE, &Calls::get_webhook},
      {"PUT", "hubs/{hub}/webhooks/{hook}", kE, &Calls::change_webhook},
      {"DELETE", "hubs/{hub}/webhooks/{hook}", kE, &Calls::delete_webhook},
  };
  server.mount(admin, kApiBase, *this, rows);
}

Result<std::uint64_t> WebhookCalls::webhook_instance(const Call& call) const {
  const std::uint64_t id = *call.element_instance;
  const Result<Document> document = parts_.documents.load(id);
  if (!document) return refuse(document.error());
  if (document->disabled) return refuse(403, "this instance is disabled");
  if (document->instance.element != "box") {
    return refuse(404, "the element of this instance has no webhooks of this kind");
  }
  const bool named = !call.parameter("hook").empty();
  if (named && !box::is_webhook_id(call.parameter("hook"))) {
    return refuse(404, "there is no such webhook");
  }
  if (!document->problem.empty()) return refuse(403, document->problem);
  return id;
}

// Changes the newest document of the instance, if `change` says that there is something to write.
Task<Result<bool>> WebhookCalls::update(std::uint64_t id, std::function<bool(Document&)> change,
                                        std::vector<kafka::KeyedRecord> beside) {
  const KeyedLock::Turn turn = co_await parts_.documents.turn(id);
  Result<Document> document = parts_.documents.load(id);
  if (!document) co_return refuse(document.error());
  if (change(*document)) {
    Result<kafka::KeyedRecord> record = parts_.documents.record_of(*document, record_key(id));
    if (!record) co_return refuse(record.error());
    beside.push_back(*std::move(record));
  }
  if (beside.empty()) co_return true;
  const Result<bool> written = co_await parts_.documents.write(std::move(beside));
  co_return written;
}

Task<Result<Reply>> WebhookCalls::create_webhook(const Call& call) {
  if (const auto may = parts_.documents.may_write(); !may) co_return refuse(may.error());
  const Result<std::uint64_t> id = webhook_instance(call);
  if (!id) co_return refuse(id.error());
  const Result<json::object> body = parse_body(call.body());
  if (!body) co_return refuse(body.error());
  const std::string address = event_url(parts_.settings->config, "box", *id);
  const Result<json::object> request = box::webhook_request(*body, box::Members::All, address);
  if (!request) co_return refuse(request.error());
  // A kill from here on leaves a webhook that nobody knows; the intent tells of it.
  kafka::KeyedRecord intent = parts_.box.intent(*id, *request);
  const std::string intent_key = intent.key;
  std::vector<kafka::KeyedRecord> first;
  first.push_back(std::move(intent));
  const Result<bool> intended = co_await parts_.documents.write(std::move(first));
  if (!intended) co_return refuse(intended.error());
  const Result<json::value> answer =
      co_await parts_.box.call(*id, "POST", "/webhooks", json::serialize(*request));
  failpoint::at("after-webhook-made");
  std::vector<kafka::KeyedRecord> over(1);
  over[0].key = intent_key;
  std::optional<Webhook> hook = answer ? box::webhook_of(*answer) : std::nullopt;
  if (!hook) {
    Problem problem;
    problem.status = 502;
    problem.message = "Box's answer holds no webhook";
    if (!answer) problem = answer.error();
    // Box has said no: nothing was made. After anything else the intent stays.
    if (!answer && problem.status < 500) co_await parts_.documents.write(std::move(over));
    co_return refuse(problem);
  }
  const Webhook made = *std::move(hook);
  std::function<bool(Document&)> keep = [&made](Document& document) {
    document.webhooks.push_back(made);
    return true;
  };
  const Result<bool> written = co_await update(*id, std::move(keep), std::move(over));
  if (!written) {
    co_await parts_.box.call(*id, "DELETE", "/webhooks/" + made.id, std::string());
    co_return refuse(written.error());
  }
  co_return Reply{*answer};
}

Task<Result<Reply>> WebhookCalls::list_webhooks(const Call& call) {
  const Result<std::uint64_t> id = webhook_instance(call);
  if (!id) co_return refuse(id.error());
  const Result<std::size_t> size = page_size_of(call);
  if (!size) co_return refuse(size.error());
  std::string path = "/webhooks?limit=" + std::to_string(*size);
  const std::optional<std::string> next = call.query_value("nextPage");
  if (next) path += "&marker=" + box::percent_encoded(*next);
  const Result<json::value> answer = co_await parts_.box.call(*id, "GET", path, std::string());
  if (!answer) co_return refuse(answer.error());
  const json::value* const entries =
      answer->is_object() ? answer->get_object().if_contains("entries") : nullptr;
  if (entries == nullptr || !entries->is_array()) {
    co_return refuse(502, "Box's answer holds no list of webhooks");
  }
  Reply reply{entries->get_array()};
  const json::value* const marker = answer->get_object().if_contains("next_marker");
  const bool more = marker != nullptr && marker->is_string() && !marker->get_string().empty();
  if (more) {
    reply.headers.emplace_back("Elements-Next-Page-Token", std::string(marker->get_string()));
  }
  if (!more && !next && parts_.documents.may_write()) {
    // The whole list: what is not in it was deleted elsewhere.
    std::set<std::string> there;
    for (const json::value& each : entries->get_array()) {
      const json::value* const hook =
          each.is_object() ? each.get_object().if_contains("id") : nullptr;
      if (hook != nullptr && hook->is_string()) there.emplace(hook->get_string());
    }
    std::function<bool(Document&)> change = [&there](Document& document) {
      bool changed = false;
      for (Webhook& each : document.webhooks) {
        if (there.contains(each.id)) continue;
        changed = mark_deleted(document, each.id, "deleted at Box") || changed;
      }
      return changed;
    };
    const Result<bool> noticed =
        co_await update(*id, std::move(change), std::vector<kafka::KeyedRecord>());
    if (!noticed) {
      log::warn("what Box says of an instance's webhooks could not be written",
                {{"instance", *id}, {"reason", noticed.error().message}});
    }
  }
  co_return reply;
}

Task<Result<Reply>> WebhookCalls::get_webhook(const Call& call) {
  const Result<std::uint64_t> id = webhook_instance(call);
  if (!id) co_return refuse(id.error());
  const std::string hook(call.parameter("hook"));
  const Result<json::value> answer =
      co_await parts_.box.call(*id, "GET", "/webhooks/" + hook, std::string());
  const bool gone = !answer && answer.error().status == 404;
  if ((answer || gone) && parts_.documents.may_write()) {
    const std::optional<Webhook> seen = answer ? box::webhook_of(*answer) : std::nullopt;
    std::function<bool(Document&)> change = [&](Document& document) {
      if (gone) return mark_deleted(document, hook, "deleted at Box");
      return seen && remember(document, *seen);
    };
    const Result<bool> noticed =
        co_await update(*id, std::move(change), std::vector<kafka::KeyedRecord>());
    if (!noticed) {
      log::warn("what Box says of an instance's webhooks could not be written",
                {{"instance", *id}, {"reason", noticed.error().message}});
    }
  }
  if (!answer) co_return refuse(answer.error());
  co_return Reply{*answer};
}

Task<Result<Reply>> WebhookCalls::change_webhook(const Call& call) {
  if (const auto may = parts_.documents.may_write(); !may) co_return refuse(may.error());
  const Result<std::uint64_t> id = webhook_instance(call);
  if (!id) co_return refuse(id.error());
  const Result<json::object> body = parse_body(call.body());
  if (!body) co_return refuse(body.error());
  const Result<json::object> request =
      box::webhook_request(*body, box::Members::Given, std::string_view());
  if (!request) co_return refuse(request.error());
  const std::string hook(call.parameter("hook"));
  const Result<json::value> answer =
      co_await parts_.box.call(*id, "PUT", "/webhooks/" + hook, json::serialize(*request));
  if (!answer) co_return refuse(answer.error());
  const std::optional<Webhook> seen = box::webhook_of(*answer);
  std::function<bool(Document&)> change = [&seen](Document& document) {
    return seen && remember(document, *seen);
  };
  const Result<bool> written =
      co_await update(*id, std::move(change), std::vector<kafka::KeyedRecord>());
  if (!written) co_return refuse(written.error());
  co_return Reply{*answer};
}

Task<Result<Reply>> WebhookCalls::delete_webhook(const Call& call) {
  if (const auto may = parts_.documents.may_write(); !may) co_return refuse(may.error());
  const Result<std::uint64_t> id = webhook_instance(call);
  if (!id) co_return refuse(id.error());
  const std::string hook(call.parameter("hook"));
  const Result<json::value> answer =
      co_await parts_.box.call(*id, "DELETE", "/webhooks/" + hook, std::string());
  const bool gone = !answer && answer.error().status == 404;
  if (answer || gone) {
    std::function<bool(Document&)> change = [&hook](Document& document) {
      const auto before = document.webhooks.size();
      std::erase_if(document.webhooks, [&](const Webhook& each) { return each.id == hook; });
      return document.webhooks.size() != before;
    };
    const Result<bool> written =
        co_await update(*id, std::move(change), std::vector<kafka::KeyedRecord>());
    if (!written) co_return refuse(written.error());
  }
  if (!answer) co_return refuse(answer.error());
  co_return Reply{json::object{}};
}

}  // namespace eventrelay::control
