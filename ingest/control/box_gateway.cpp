#include "ingest/control/box_gateway.hpp"

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <set>
#include <utility>

#include "common/base/crypto.hpp"
#include "common/http/client_tls.hpp"
#include "common/observe/log.hpp"
#include "common/process/failpoint.hpp"
#include "ingest/control/json_members.hpp"

namespace eventrelay::control {
namespace {

namespace json = boost::json;

constexpr std::chrono::milliseconds kHousekeeping{1000};
constexpr std::chrono::minutes kLookForUnused{1};
constexpr std::chrono::hours kCleanUpLimit{24};
constexpr std::chrono::seconds kRefreshGrace{10};  // for Kafka, behind the provider
constexpr std::chrono::seconds kRetryMax{600};
constexpr std::size_t kListPages = 20;
constexpr std::size_t kQuotasMax = 10'000;
constexpr std::size_t kNoticesMax = 1000;

std::string id_text(const json::value& object) {
  if (!object.is_object()) return {};
  const json::value* const id = object.get_object().if_contains("id");
  if (id != nullptr && id->is_int64()) return std::to_string(id->get_int64());
  return text_of(id);
}

}  // namespace

BoxGateway::BoxGateway(Documents& documents, metrics::Slab& slab)
    : documents_(documents), slab_(slab) {}

void BoxGateway::use(const BoxProviderConfig& config) {
  auto next = std::make_shared<BoxEndpoints>();
  next->token_url = parse_origin(config.token_url);
  next->revoke_url = parse_origin(config.revoke_url);
  next->api_url = parse_origin(config.api_url);
  next->timeout = config.timeout;
  ClientTlsConfig tls;
  tls.ca_file = config.ca_file;
  if (next->token_url.tls || next->revoke_url.tls || next->api_url.tls) {
    next->tls = make_client_tls(tls);
  }
  box_ = std::move(next);
}

Task<ExchangeResult> BoxGateway::ask(const HttpOrigin& origin, ExchangeRequest request) {
  const std::shared_ptr<const BoxEndpoints> box = box_;  // a reload may change it meanwhile
  ExchangeResult result =
      co_await exchange(documents_.executor(), origin, box->tls, std::move(request), box->timeout);
  using Outcome = metrics::ProviderOutcome;
  Outcome outcome = Outcome::Ok;
  if (!result) {
    outcome =
        result.error().error == ExchangeError::Timeout ? Outcome::Timeout : Outcome::Unreachable;
  } else if (result->status >= 500) {
    outcome = Outcome::Http5xx;
  } else if (result->status >= 400) {
    outcome = Outcome::Http4xx;
  } else if (result->status >= 300) {
    outcome = Outcome::Http3xx;
  }
  slab_.provider_requests_total.add(outcome);
  co_return result;
}

Task<Result<bool>> BoxGateway::grant(Document& document, std::string code,
                                     std::string refresh_token) {
  const std::shared_ptr<const BoxEndpoints> box = box_;
  const box::App app = box::app_of(document.instance);
  ExchangeRequest request = code.empty() ? box::refresh_request(box->token_url, app, refresh_token)
                                         : box::code_request(box->token_url, app, code);
  const ExchangeResult answer = co_await ask(box->token_url, std::move(request));
  Result<OAuthTokens> tokens = box::tokens_of(answer, wall_now());
  if (!tokens) {
    Problem problem = tokens.error();
    // A grant that Box refuses is the caller's mistake, whatever status Box has for it.
    if (problem.status == 403 && box::grant_is_gone(answer)) problem.status = 400;
    if (problem.status == 400) {
      problem.message =
          (code.empty() ? "configuration.oauth.user.refresh_token: " : "providerData.code: ") +
          problem.message;
    }
    co_return refuse(problem);
  }
  failpoint::at("after-grant");
  document.oauth = *std::move(tokens);
  ExchangeRequest whose = box::api_request(box->api_url, "GET", "/users/me", std::string(),
                                           document.oauth->access.reveal());
  const ExchangeResult me = co_await ask(box->api_url, std::move(whose));
  const Result<json::value> user = box::answer_of(me);
  Result<bool> result = true;
  std::string id;
  if (!user) {
    result = refuse(user.error());
  } else {
    id = id_text(*user);
    if (id.empty() || id.size() > 256) result = refuse(502, "Box's answer holds no user id");
  }
  if (!result) {
    co_await revoke(document);
    document.oauth.reset();
    co_return result;
  }
  document.instance.oauth_user_id = id;
  co_return true;
}

Task<bool> BoxGateway::revoke(const Document& document) {
  if (!document.oauth) co_return true;
  const std::shared_ptr<const BoxEndpoints> box = box_;
  // The refresh token's end is the end of the whole grant.
  ExchangeRequest request = box::revoke_request(box->revoke_url, box::app_of(document.instance),
                                                document.oauth->refresh.reveal());
  const ExchangeResult answer = co_await ask(box->revoke_url, std::move(request));
  const bool done = answer && answer->status < 500 && answer->status != 429;
  if (!done) {
    log::warn("tokens could not be given back",
              {{"instance", document.instance.id},
               {"reason",
                answer ? "Box answered " + std::to_string(answer->status) : answer.error().what}});
  }
  co_return done;
}

Task<Result<bool>> BoxGateway::replace_tokens(std::uint64_t id, std::string worn) {
  Result<Document> document = documents_.load(id);
  if (!document) co_return refuse(document.error());
  if (!document->oauth) co_return refuse(403, "this instance has no grant of the provider");
  if (document->oauth->access.reveal() != worn && !unwritten_.contains(id)) co_return true;
  if (!unwritten_.contains(id)) {
    const std::shared_ptr<const BoxEndpoints> box = box_;
    ExchangeRequest request = box::refresh_request(box->token_url, box::app_of(document->instance),
                                                   document->oauth->refresh.reveal());
    const ExchangeResult answer = co_await ask(box->token_url, std::move(request));
    Result<OAuthTokens> tokens = box::tokens_of(answer, wall_now());
    using Outcome = metrics::RefreshOutcome;
    if (!tokens) {
      const bool gone = box::grant_is_gone(answer);
      slab_.provider_token_refreshes_total.add(gone ? Outcome::InvalidGrant : Outcome::Failed);
      if (gone) co_await withdraw(id);
      Problem problem = tokens.error();
      if (gone) problem.status = 403;
      co_return refuse(problem);
    }
    slab_.provider_token_refreshes_total.add(Outcome::Ok);
    unwritten_[id] = Unwritten{*std::move(tokens), worn};
    failpoint::at("after-refresh");
  }
  // From here to Kafka's acknowledgement a kill costs the grant: nothing else happens in between.
  const KeyedLock::Turn turn = co_await documents_.turn(id);
  document = documents_.load(id);
  if (!document) co_return refuse(document.error());
  const auto fresh = unwritten_.find(id);
  if (fresh == unwritten_.end() || !document->oauth ||
      document->oauth->access.reveal() != fresh->second.worn) {
    // Authorized anew meanwhile: what the former grant brought must not take the new one's place.
    unwritten_.erase(id);
    co_return true;
  }
  document->oauth = fresh->second.tokens;
  document->problem.clear();
  const Result<bool> written = co_await documents_.write(*document);
  if (!written) co_return refuse(written.error());
  unwritten_.erase(id);
  co_return true;
}

// The user, or Box, has taken the grant back.
Task<void> BoxGateway::withdraw(std::uint64_t id) {
  const KeyedLock::Turn turn = co_await documents_.turn(id);
  Result<Document> document = documents_.load(id);
  if (!document || !document->problem.empty()) co_return;
  document->problem = "Box does not accept the refresh token any more: authorize again";
  log::warn("an instance is not authorized any more", {{"instance", id}});
  const Result<bool> written = co_await documents_.write(*document);
  if (!written) {
    log::warn("the document of an instance without authorization could not be written",
              {{"instance", id}, {"reason", written.error().message}});
  }
}

// One refresh at a time: a call that comes meanwhile waits for the same answer.
Task<Result<bool>> BoxGateway::refresh(std::uint64_t id, std::string worn) {
  if (const auto may = documents_.may_write(); !may) co_return refuse(may.error());
  const auto known = refreshing_.find(id);
  if (known != refreshing_.end()) {
    const std::shared_ptr<Signal> over = known->second;
    const Duration limit = box_->timeout * 2 + kRefreshGrace;
    co_await over->wait(limit);
    co_return true;
  }
  const auto over = std::make_shared<Signal>(documents_.executor());
  refreshing_[id] = over;
  Result<bool> result = co_await replace_tokens(id, std::move(worn));
  refreshing_.erase(id);
  over->raise();
  co_return result;
}

Task<Result<std::string>> BoxGateway::access_token(std::uint64_t id, std::string worn) {
  // A second round only where another caller's refresh was waited for.
  for (int round = 0; round < 3; ++round) {
    const Result<Document> document = documents_.load(id);
    if (!document) co_return refuse(document.error());
    if (!document->problem.empty()) co_return refuse(403, document->problem);
    if (!document->oauth) co_return refuse(403, "this instance has no grant of the provider");
    const OAuthTokens& tokens = *document->oauth;
    const std::string access(tokens.access.reveal());
    const bool fresh = tokens.expires - box::kRefreshAhead > wall_now();
    if (fresh && access != worn) co_return access;
    const Result<bool> refreshed = co_await refresh(id, access);
    if (!refreshed) {
      const bool usable =
          tokens.expires > wall_now() && access != worn && refreshed.error().status >= 500;
      if (usable) co_return access;
      co_return refuse(refreshed.error());
    }
    worn = access;
  }
  co_return refuse(502, "no access token could be got from Box");
}

Task<Result<json::value>> BoxGateway::call(std::uint64_t id, std::string method, std::string path,
                                           std::string body) {
  const Result<Document> document = documents_.load(id);
  if (!document) co_return refuse(document.error());
  if (const auto wait = quota_of(*document).take(monotonic_now())) {
    Problem problem;
    problem.status = 429;
    problem.message =
        "Box asked for a pause, or 900 requests a minute to Box for this user are used up";
    problem.retry_after = *wait;
    co_return refuse(problem);
  }
  std::string worn;
  for (int round = 0; round < 2; ++round) {
    const Result<std::string> token = co_await access_token(id, worn);
    if (!token) co_return refuse(token.error());
    const std::shared_ptr<const BoxEndpoints> box = box_;
    ExchangeRequest request = box::api_request(box->api_url, method, path, body, *token);
    const ExchangeResult answer = co_await ask(box->api_url, std::move(request));
    quota_of(*document).heed(answer, monotonic_now());
    if (box::unauthorized(answer) && round == 0) {
      worn = *token;
      continue;
    }
    co_return box::answer_of(answer);
  }
  co_return refuse(403, "Box refused: it answered 401 to a new token");
}

kafka::KeyedRecord BoxGateway::intent(std::uint64_t id, const json::object& request) const {
  std::array<char, 8> bytes{};
  crypto::random_bytes(bytes.data(), bytes.size());
  kafka::KeyedRecord out;
  out.key = std::string(kIntentPrefix) + std::to_string(id) + "/" +
            crypto::hex({bytes.data(), bytes.size()});
  json::object value{{"v", 1}};
  for (const char* const member : {"target", "address"}) {
    if (const json::value* const given = request.if_contains(member)) value[member] = *given;
  }
  out.value = json::serialize(value);
  return out;
}

box::Quota& BoxGateway::quota_of(const Document& document) {
  const std::string& user = document.instance.oauth_user_id;
  if (quotas_.size() > kQuotasMax && !quotas_.contains(user)) quotas_.clear();
  return quotas_[user];
}

// As call(), for an instance that is deleted. 410: its grant is gone, nothing more can be done.
Task<Result<json::value>> BoxGateway::ask_for_cleanup(Document& document, std::string method,
                                                      std::string path) {
  for (int round = 0; round < 2; ++round) {
    if (quota_of(document).take(monotonic_now())) co_return refuse(429, "later");
    const std::shared_ptr<const BoxEndpoints> box = box_;
    ExchangeRequest request = box::api_request(box->api_url, method, path, std::string(),
                                               document.oauth->access.reveal());
    const ExchangeResult answer = co_await ask(box->api_url, std::move(request));
    quota_of(document).heed(answer, monotonic_now());
    if (!box::unauthorized(answer)) co_return box::answer_of(answer);
    if (round > 0) break;
    const Result<bool> renewed = co_await renew_for_cleanup(document);
    if (!renewed) co_return refuse(renewed.error());
  }
  co_return refuse(403, "Box refused: it answered 401 to a new token");
}

// A new pair of tokens for a deleted instance, in Kafka before it is used.
Task<Result<bool>> BoxGateway::renew_for_cleanup(Document& document) {
  const std::shared_ptr<const BoxEndpoints> box = box_;
  ExchangeRequest request = box::refresh_request(box->token_url, box::app_of(document.instance),
                                                 document.oauth->refresh.reveal());
  const ExchangeResult answer = co_await ask(box->token_url, std::move(request));
  Result<OAuthTokens> tokens = box::tokens_of(answer, wall_now());
  if (!tokens && box::grant_is_gone(answer)) co_return refuse(410, "the grant is gone");
  if (!tokens) co_return refuse(tokens.error());
  document.oauth = *std::move(tokens);
  const std::string key = cleanup_key(document.instance.id);
  Result<kafka::KeyedRecord> record = documents_.record_of(document, key);
  if (!record) co_return refuse(410, "the new grant can not be kept");
  std::vector<kafka::KeyedRecord> records;
  records.push_back(*std::move(record));
  Result<bool> written = co_await documents_.write(std::move(records));
  co_return written;
}

// Webhooks and tokens of a deleted instance. True: nothing is left, or nothing can be done.
Task<bool> BoxGateway::clean(Document document) {
  if (!document.oauth || !document.problem.empty()) co_return true;
  const std::uint64_t id = document.instance.id;
  const std::vector<std::string> intents = intents_of(id);
  for (const std::string& intent : intents) {
    if (!is_over(intent)) co_return false;  // its call may be making a webhook just now
  }
  const Ask ask = [this, &document](std::string method, std::string path) {
    return ask_for_cleanup(document, std::move(method), std::move(path));
  };
  const std::vector<Webhook> hooks = document.webhooks;
  for (const Webhook& hook : hooks) {
    if (hook.state == WebhookState::Deleted) continue;
    const Result<json::value> answer = co_await ask("DELETE", "/webhooks/" + hook.id);
    if (!answer && answer.error().status == 410) co_return true;
    if (!answer && answer.error().status != 404) co_return false;
    failpoint::at("after-clean-webhook");
  }
  if (!intents.empty()) {
    const Result<bool> taken = co_await take_strays_away(ask, id, std::vector<Webhook>());
    if (!taken && taken.error().status == 410) co_return true;
    if (!taken || !*taken) co_return false;
  }
  const bool revoked = co_await revoke(document);
  co_return revoked;
}

std::vector<std::string> BoxGateway::intents_of(std::uint64_t id) const {
  const std::string prefix = std::string(kIntentPrefix).append(std::to_string(id)).append("/");
  std::vector<std::string> out;
  const auto& all = documents_.store().intents();
  for (auto each = all.lower_bound(prefix); each != all.end(); ++each) {
    if (!each->first.starts_with(prefix)) break;
    out.push_back(each->first);
  }
  return out;
}

// Was a webhook of this address made by a call for instance `id`? Another instance, or another
// program, may have webhooks of the same user.
bool BoxGateway::is_stray(const Webhook& hook, std::uint64_t id) const {
  const std::string coded = crypto::base64(std::to_string(id));
  // The slash counts: the coded id of one instance may be the end of another's.
  if (hook.address.ends_with(std::string("/").append(coded))) return true;
  for (const std::string& key : intents_of(id)) {
    const auto found = documents_.store().intents().find(key);
    boost::system::error_code error;
    const json::value value = json::parse(found->second, error);
    if (error.failed() || !value.is_object()) continue;
    const json::value* const target = value.get_object().if_contains("target");
    if (target == nullptr || !target->is_object()) continue;
    const json::object& named = target->get_object();
    if (text_of(value.get_object().if_contains("address")) == hook.address &&
        text_of(named.if_contains("id")) == hook.target_id &&
        text_of(named.if_contains("type")) == hook.target_type) {
      return true;
    }
  }
  return false;
}

// Webhooks that calls for instance `id` have left and that are not among `known`. False: not now.
Task<Result<bool>> BoxGateway::take_strays_away(Ask ask, std::uint64_t id,
                                                std::vector<Webhook> known) {
  std::set<std::string> owned;
  for (const Webhook& hook : known) owned.insert(hook.id);
  std::vector<std::string> others;
  std::string marker;
  for (std::size_t page = 0; page < kListPages; ++page) {
    std::string path = "/webhooks?limit=200";
    if (!marker.empty()) path += "&marker=" + box::percent_encoded(marker);
    const Result<json::value> list = co_await ask("GET", path);
    if (!list) co_return refuse(list.error());
    if (!list->is_object()) co_return false;
    const json::value* const entries = list->get_object().if_contains("entries");
    if (entries == nullptr || !entries->is_array()) co_return false;
    for (const json::value& each : entries->get_array()) {
      const std::string hook = id_text(each);
      if (box::is_webhook_id(hook) && !owned.contains(hook)) others.push_back(hook);
    }
    marker = text_of(list->get_object().if_contains("next_marker"));
    if (marker.empty()) break;
  }
  for (const std::string& hook : others) {
    const Result<json::value> one = co_await ask("GET", "/webhooks/" + hook);
    if (!one && one.error().status == 404) continue;
    if (!one) co_return false;
    const std::optional<Webhook> found = box::webhook_of(*one);
    if (!found || !is_stray(*found, id)) continue;
    const Result<json::value> gone = co_await ask("DELETE", "/webhooks/" + hook);
    if (!gone && gone.error().status != 404) co_return false;
    log::info("a webhook that no document knows was deleted at Box",
              {{"instance", id}, {"webhook", hook}});
  }
  co_return true;
}

// What broken-off calls for an instance have left. True: nothing, or nothing can be done.
Task<bool> BoxGateway::settle(std::uint64_t id) {
  const Result<Document> document = documents_.load(id);
  // Where the instance was deleted meanwhile, its clean-up has the grant that this takes.
  if (!document) co_return !documents_.store().cleanups().contains(cleanup_key(id));
  const Ask ask = [this, id](std::string method, std::string path) {
    return call(id, std::move(method), std::move(path), std::string());
  };
  const Result<bool> taken = co_await take_strays_away(ask, id, document->webhooks);
  if (!taken) co_return taken.error().status == 403;
  co_return *taken;
}

bool BoxGateway::due(const std::string& key) {
  Retry& retry = retries_[key];
  const TimePoint now = monotonic_now();
  if (now < retry.next) return false;
  retry.next = now + retry.wait;
  retry.wait = std::min<Duration>(retry.wait * 2, kRetryMax);
  return true;
}

// Is the call that wrote this intent over, whatever became of it? A call that succeeds, or that Box
// refuses, removes its intent by itself.
bool BoxGateway::is_over(const std::string& intent) {
  const auto [known, fresh] = retries_.try_emplace(intent);
  if (fresh) known->second.seen = monotonic_now();
  return monotonic_now() - known->second.seen > 2 * box_->timeout + std::chrono::seconds{5};
}

Task<void> BoxGateway::clean_up_all() {
  const std::map<std::string, std::string> cleanups = documents_.store().cleanups();
  for (const auto& [key, value] : cleanups) {
    if (documents_.stopped() || !documents_.may_write()) co_return;
    if (!due(key)) continue;
    auto document = decode_document(key, value, documents_.keys());
    if (!document) continue;
    const bool late = wall_now() - document->deleted > kCleanUpLimit;
    const std::uint64_t id = document->instance.id;
    const bool done = co_await clean(*std::move(document));
    if (!done && !late) continue;
    if (!done) {
      log::error("webhooks or tokens of a deleted instance are left at Box", {{"instance", id}});
    }
    std::vector<kafka::KeyedRecord> records(1);
    records[0].key = key;
    const Result<bool> written = co_await documents_.write(std::move(records));
    if (written) retries_.erase(key);
  }
  const std::map<std::string, std::string> intents = documents_.store().intents();
  for (const auto& [key, value] : intents) {
    if (documents_.stopped() || !documents_.may_write()) co_return;
    const auto id = instance_of(std::string_view(key).substr(
        kIntentPrefix.size(), key.find('/', kIntentPrefix.size()) - kIntentPrefix.size()));
    if (!is_over(key) || !due(key)) continue;
    const bool done = !id || co_await settle(*id);
    if (!done) continue;
    std::vector<kafka::KeyedRecord> records(1);
    records[0].key = key;
    const Result<bool> written = co_await documents_.write(std::move(records));
    if (written) retries_.erase(key);
  }
}

void BoxGateway::note(BoxNotice notice) {
  if (notices_.size() == kNoticesMax) notices_.pop_front();
  notices_.push_back(std::move(notice));
}

// False: it could not be written now.
Task<bool> BoxGateway::take_notice(BoxNotice notice) {
  // Only a webhook that the document has can change; a stranger's event changes nothing.
  if (documents_.store().find(notice.instance) == nullptr) co_return true;
  const KeyedLock::Turn turn = co_await documents_.turn(notice.instance);
  Result<Document> document = documents_.load(notice.instance);
  if (!document) co_return true;
  const auto hook = std::find_if(document->webhooks.begin(), document->webhooks.end(),
                                 [&](const Webhook& each) { return each.id == notice.webhook; });
  if (hook == document->webhooks.end() || hook->state == notice.state ||
      hook->state == WebhookState::Deleted) {
    co_return true;
  }
  hook->state = notice.state;
  hook->reason = notice.reason;
  const Result<bool> written = co_await documents_.write(*document);
  if (!written) {
    log::warn("the end of a webhook could not be written",
              {{"instance", notice.instance}, {"reason", written.error().message}});
    co_return false;
  }
  log::warn("Box has ended a webhook", {{"instance", notice.instance},
                                        {"webhook", notice.webhook},
                                        {"state", to_word(notice.state)},
                                        {"reason", notice.reason}});
  co_return true;
}

Task<void> BoxGateway::take_notices() {
  Signal tick(documents_.executor());
  while (!documents_.stopped()) {
    co_await tick.wait(kHousekeeping);
    while (!notices_.empty() && !documents_.stopped() && documents_.may_write()) {
      BoxNotice notice = std::move(notices_.front());
      notices_.pop_front();
      const bool done = co_await take_notice(notice);
      if (done) continue;
      notices_.push_front(std::move(notice));
      break;
    }
  }
}

// A refresh token that nobody uses would end after 60 days.
Task<void> BoxGateway::refresh_unused() {
  std::vector<std::uint64_t> late;
  for (const auto& [id, stored] : documents_.store().all()) {
    const bool old =
        stored.refreshed != WallTime{} && wall_now() - stored.refreshed > box::kRefreshAtLatest;
    if (old) late.push_back(id);
  }
  for (const std::uint64_t id : late) {
    const std::string key = "refresh/" + std::to_string(id);
    if (documents_.stopped() || !documents_.may_write() || !due(key)) continue;
    const Result<Document> document = documents_.load(id);
    if (!document || !document->oauth) continue;
    const Result<bool> refreshed =
        co_await refresh(id, std::string(document->oauth->access.reveal()));
    if (refreshed) retries_.erase(key);
  }
}

Task<void> BoxGateway::housekeeping() {
  Signal tick(documents_.executor());
  TimePoint next_refresh{};
  while (!documents_.stopped()) {
    co_await tick.wait(kHousekeeping);
    if (documents_.stopped() || !documents_.may_write()) continue;
    co_await clean_up_all();
    if (monotonic_now() < next_refresh) continue;
    next_refresh = monotonic_now() + kLookForUnused;
    co_await refresh_unused();
  }
}

}  // namespace eventrelay::control
