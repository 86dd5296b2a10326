#include "ingest/control/account_calls.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <utility>

#include "ingest/control/json_body.hpp"

namespace eventrelay::control {
namespace {

namespace json = boost::json;

constexpr const char* kPolicy = "notification.webhook.failure.policy";

std::string account_key(std::uint64_t account) {
  return std::string(kAccountPrefix) + std::to_string(account);
}

json::object settings_answer(FailurePolicy policy) {
  return {{kPolicy, policy == FailurePolicy::Queue ? "queue" : "retry"}};
}

Unexpected<Problem> refuse_policy(std::string_view what) {
  return refuse(400, std::string(kPolicy).append(what));
}

// The account the call names, which must be the caller's.
Result<std::uint64_t> account_of_call(const Call& call) {
  const std::uint64_t own = call.caller.account->id;
  const std::string_view text = call.parameter("account");
  if (text.empty() || text == std::to_string(own)) return own;
  return refuse(404, "there is no account " + std::string(text.substr(0, 40)));
}

}  // namespace

void AccountCalls::mount(AdminServer& admin, CallServer& server) {
  using Calls = AccountCalls;
  constexpr Kind kP = Kind::Platform;
  const std::vector<CallRow<Calls>> rows{
      {"GET", "accounts/settings", kP, &Calls::get_settings},
      {"PATCH", "accounts/settings", kP, &Calls::set_settings},
      {"GET", "accounts/{account}/settings", kP, &Calls::get_settings},
      {"POST", "accounts/{account}/settings", kP, &Calls::set_settings},
      {"PATCH", "accounts/{account}/settings", kP, &Calls::set_settings},
  };
  server.mount(admin, kApiBase, *this, rows);
}

FailurePolicy AccountCalls::failure_policy(std::uint64_t account) const {
  const auto found = parts_.documents.store().accounts().find(account_key(account));
  if (found == parts_.documents.store().accounts().end()) return FailurePolicy::Retry;
  boost::system::error_code error;
  const json::value record = json::parse(found->second, error);
  if (error.failed() || !record.is_object()) return FailurePolicy::Retry;
  const json::value* const word = record.get_object().if_contains(kPolicy);
  const bool queue = word != nullptr && word->is_string() && word->get_string() == "queue";
  return queue ? FailurePolicy::Queue : FailurePolicy::Retry;
}

DeliveryConfig AccountCalls::delivery_defaults(std::uint64_t account) const {
  DeliveryConfig out = parts_.settings->config.control.delivery_defaults;
  out.failure_policy = failure_policy(account);
  // With either policy nothing is given up: the subscription is paused and its events wait.
  out.exhausted = Exhausted::Queue;
  return out;
}

Task<Result<Reply>> AccountCalls::get_settings(const Call& call) {
  const Result<std::uint64_t> account = account_of_call(call);
  if (!account) co_return refuse(account.error());
  co_return Reply{settings_answer(failure_policy(*account))};
}

Task<Result<Reply>> AccountCalls::set_settings(const Call& call) {
  if (const auto may = parts_.documents.may_write(); !may) co_return refuse(may.error());
  const Result<std::uint64_t> account = account_of_call(call);
  if (!account) co_return refuse(account.error());
  const Result<json::object> body = parse_body(call.body());
  if (!body) co_return refuse(body.error());
  for (const auto& [key, value] : *body) {
    if (key != kPolicy) co_return refuse(400, std::string(key).substr(0, 200) + ": unknown");
  }
  const json::value* const word = body->if_contains(kPolicy);
  if (word == nullptr) co_return refuse_policy(": required");
  if (!word->is_string() || (word->get_string() != "retry" && word->get_string() != "queue")) {
    co_return refuse_policy(": is not one of retry, queue");
  }
  const json::object record{{"v", 1}, {kPolicy, *word}};
  std::vector<kafka::KeyedRecord> records(1);
  records[0].key = account_key(*account);
  records[0].value = json::serialize(record);
  const Result<bool> written = co_await parts_.documents.write(std::move(records));
  if (!written) co_return refuse(written.error());
  co_return Reply{settings_answer(failure_policy(*account))};
}

}  // namespace eventrelay::control
