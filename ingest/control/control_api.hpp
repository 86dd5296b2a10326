// The control API: instances and their webhooks at the provider, on the admin listener.
//
//   request > route > who calls > body judged > provider asked > registry written > answer
//
// Why:     a 200 means that Kafka has the change and this process serves it; nothing is half done.
// Owner:   Control, in the process that has control.enabled; it outlives every call.
// Thread:  control.
// Bounds:  the listener's connections; one refresh in flight per instance.
// Errors:  answers by the table of the API; it ends with its executor.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/process/admin.hpp"
#include "common/registry/settings.hpp"
#include "ingest/control/authorization.hpp"
#include "ingest/control/box_gateway.hpp"
#include "ingest/control/catalog.hpp"
#include "ingest/control/console_api.hpp"
#include "ingest/control/documents.hpp"
#include "ingest/control/problem.hpp"
#include "ingest/history/history.hpp"
#include "ingest/replay/replays.hpp"

namespace eventrelay::control {

inline constexpr std::string_view kApiBase = "/elements/api-v2";

// Whose call a path takes: the platform's, an instance's own, or either.
enum class Kind : std::uint8_t { Platform, Element, Either, PlatformAdmin };

// One call, with who makes it. Bounds: the request lives until it is answered.
struct Call {
  const HttpRequest* request = nullptr;
  Caller caller;
  std::optional<std::uint64_t> element_instance;  // of the Element part
  bool by_session = false;                        // from the console, by its cookie

  [[nodiscard]] std::string_view body() const { return request->body; }
  [[nodiscard]] std::string_view parameter(std::string_view name) const {
    return request->parameter(name);
  }
  // Null where it is missing or there twice.
  [[nodiscard]] std::optional<std::string> query_value(std::string_view name) const;
};

// What a call is answered with.
struct Reply {
  boost::json::value body;
  std::vector<std::pair<std::string, std::string>> headers{};
};

// Thread: control.  Bounds: as above.
class ControlApi {
 public:
  ControlApi(std::shared_ptr<const Settings> settings, Documents& documents, BoxGateway& box,
             ConsoleApi& console, history::History& history, replay::Replays& replays,
             metrics::Slab& slab);
  ControlApi(const ControlApi&) = delete;
  ControlApi& operator=(const ControlApi&) = delete;

  void use(std::shared_ptr<const Settings> settings);
  // Starts again what an earlier process left running. Ends with the documents.
  [[nodiscard]] Task<void> keep_replays();
  // A replay is over: its record says so from now on.
  void replay_ended(const std::string& id, replay::Progress progress);
  // Adds all paths to the listener.
  void mount(AdminServer& admin);

 private:
  using Handler = Task<Result<Reply>> (ControlApi::*)(const Call&);
  struct Row {
    std::string_view method;
    std::string_view pattern;  // below kApiBase
    Kind kind;
    Handler handler;
  };
  [[nodiscard]] static const std::vector<Row>& rows();
  // What only the console asks, below /console/data/.
  [[nodiscard]] static const std::vector<Row>& console_rows();

  // Who calls, by the header and the kind of the path.
  [[nodiscard]] Result<bool> authorize(std::string_view header, Kind kind, Call& call);
  // Who calls, by the console's cookie.
  [[nodiscard]] Result<bool> authorize_session(const HttpRequest& request, const Row& row,
                                               Call& call);
  [[nodiscard]] Task<void> serve(const Row& row, HttpRequestPtr request, Responder respond);
  [[nodiscard]] Task<HttpResponse> answer(const Row& row, const HttpRequest& request, Call call);

  // -- what the paths do --
  Task<Result<Reply>> list_elements(const Call& call);
  Task<Result<Reply>> get_element(const Call& call);
  Task<Result<Reply>> get_metadata(const Call& call);
  Task<Result<Reply>> get_oauth_url(const Call& call);
  Task<Result<Reply>> create_instance(const Call& call);
  Task<Result<Reply>> list_instances(const Call& call);
  Task<Result<Reply>> get_instance(const Call& call);
  Task<Result<Reply>> replace_instance(const Call& call);
  Task<Result<Reply>> merge_instance(const Call& call);
  Task<Result<Reply>> delete_instance(const Call& call);
  Task<Result<Reply>> enable_instance(const Call& call);
  Task<Result<Reply>> disable_instance(const Call& call);
  Task<Result<Reply>> list_configuration(const Call& call);
  Task<Result<Reply>> get_configuration(const Call& call);
  Task<Result<Reply>> set_configuration(const Call& call);
  Task<Result<Reply>> renew_token(const Call& call);
  Task<Result<Reply>> get_setup(const Call& call);
  Task<Result<Reply>> create_webhook(const Call& call);
  Task<Result<Reply>> list_webhooks(const Call& call);
  Task<Result<Reply>> get_webhook(const Call& call);
  Task<Result<Reply>> change_webhook(const Call& call);
  Task<Result<Reply>> delete_webhook(const Call& call);

  Task<Result<Reply>> list_events(const Call& call);
  Task<Result<Reply>> list_dispositions(const Call& call);
  Task<Result<Reply>> get_event(const Call& call);
  Task<Result<Reply>> count_events(const Call& call);
  Task<Result<Reply>> count_by_instance(const Call& call);
  Task<Result<Reply>> count_by_account(const Call& call);

  Task<Result<Reply>> overview(const Call& call);
  Task<Result<Reply>> list_endpoints(const Call& call);
  Task<Result<Reply>> list_dead_letters(const Call& call);

  Task<Result<Reply>> get_settings(const Call& call);
  Task<Result<Reply>> set_settings(const Call& call);
  Task<Result<Reply>> list_deliveries(const Call& call);
  Task<Result<Reply>> release_deliveries(const Call& call);
  Task<Result<Reply>> enable_subscription(const Call& call);
  Task<Result<Reply>> disable_subscription(const Call& call);

  Task<Result<Reply>> start_replay(const Call& call);
  Task<Result<Reply>> get_replay(const Call& call);
  Task<Result<Reply>> stop_replay(const Call& call);

  // -- settings of accounts, and paused subscriptions --
  // The account the call names, which must be the caller's.
  [[nodiscard]] Result<std::uint64_t> account_of_call(const Call& call) const;
  [[nodiscard]] FailurePolicy failure_policy(std::uint64_t account) const;
  // What lies under the delivery that a caller sends: the operator's, with the account's policy.
  [[nodiscard]] DeliveryConfig delivery_defaults(std::uint64_t account) const;
  [[nodiscard]] Task<Result<history::Survey>> survey(history::History::Delays delays);
  [[nodiscard]] std::map<std::string, WallTime> paused_of(const history::Survey& survey,
                                                          std::uint64_t account) const;
  [[nodiscard]] Task<Result<bool>> resume_all(
      std::map<std::uint64_t, std::vector<std::string>> batch,
      std::map<std::string, WallTime> paused);
  Task<Result<Reply>> pause_subscription(const Call& call, bool paused);

  // -- replays --
  // The record of the call's replay, which must be of the call's instance.
  [[nodiscard]] Result<boost::json::object> replay_of(const Call& call) const;
  [[nodiscard]] Task<Result<bool>> write_replay(std::string id, boost::json::object record);
  [[nodiscard]] Task<void> close_replay(std::string id, replay::Progress progress);
  [[nodiscard]] Result<replay::Job> job_of(const std::string& id,
                                           const boost::json::object& record) const;

  // -- history --
  enum class EventForm : std::uint8_t { Record, Disposition };
  [[nodiscard]] Task<Result<history::Page>> ask_history(history::Question question);
  // The instance named, or all of the account; sorted.
  [[nodiscard]] Result<std::vector<std::uint64_t>> asked_instances(const Call& call) const;
  Task<Result<Reply>> events_reply(const Call& call, EventForm form);
  enum class CountForm : std::uint8_t { Plain, Instances, Accounts };
  Task<Result<Reply>> counts_reply(const Call& call, CountForm form);
  [[nodiscard]] Task<Result<history::SumsPage>> ask_sums(history::SumsQuestion question);
  // The last hour by minutes, the one that is not over included.
  [[nodiscard]] Task<Result<history::SumsPage>> last_hour(const Call& call);
  // A time of the query, or what it is without it.
  [[nodiscard]] static Result<WallTime> moment_of(const Call& call, const char* name,
                                                  WallTime otherwise);
  // What all questions have: times, page, token.
  [[nodiscard]] static Result<history::Question> question_of(const Call& call,
                                                             std::size_t page_size);
  Task<HttpResponse> live(HttpRequestPtr request);
  Task<void> serve_live(HttpRequestPtr request, Responder respond);

  // -- instances --
  // pageSize, or what it is without one.
  [[nodiscard]] static Result<std::size_t> page_size_of(const Call& call);
  // The instance the call names by its id or its token; 404 for one of another account.
  [[nodiscard]] Result<std::uint64_t> instance_of_call(const Call& call) const;
  // The document of that instance, to be read.
  [[nodiscard]] Result<Document> document_of(const Call& call) const;
  // The newest document of an instance, which nobody else changes while `turn` lives.
  struct Held {
    KeyedLock::Turn turn;
    Document document;
  };
  // Of the instance the call names, to be changed; refuses where this process may not write.
  Task<Result<Held>> hold(const Call& call);
  [[nodiscard]] Reply shown(const Document& document,
                            std::optional<std::string_view> token = {}) const;
  Task<Result<Reply>> change_instance(const Call& call, bool merge);
  Task<Result<Reply>> switch_instance(const Call& call, bool disabled);
  // Ends an instance; what is to be cleaned up at its provider stands beside it in one change.
  Task<Result<bool>> remove(Document document);

  // -- webhooks --
  // The instance of the token, if it may make calls at Box.
  [[nodiscard]] Result<std::uint64_t> webhook_instance(const Call& call) const;
  Task<Result<bool>> update(std::uint64_t id, std::function<bool(Document&)> change,
                            std::vector<kafka::KeyedRecord> beside);

  Documents& documents_;
  BoxGateway& box_;
  ConsoleApi& console_;
  history::History& history_;
  replay::Replays& replays_;
  std::size_t starting_ = 0;       // replays whose record is being written
  std::set<std::string> closing_;  // replays that are over while their record does not say so yet
  metrics::Slab& slab_;
  std::shared_ptr<const Settings> settings_;
  std::shared_ptr<const Callers> callers_;
  FailureLimit failures_;
};

}  // namespace eventrelay::control
