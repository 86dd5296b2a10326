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
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/process/admin.hpp"
#include "common/registry/settings.hpp"
#include "ingest/control/authorization.hpp"
#include "ingest/control/box_gateway.hpp"
#include "ingest/control/catalog.hpp"
#include "ingest/control/documents.hpp"
#include "ingest/control/problem.hpp"

namespace eventrelay::control {

inline constexpr std::string_view kApiBase = "/elements/api-v2";

// Whose call a path takes: the platform's, an instance's own, or either.
enum class Kind : std::uint8_t { Platform, Element, Either, PlatformAdmin };

// One call, with who makes it. Thread: control.  Bounds: the request lives until it is answered.
struct Call {
  const HttpRequest* request = nullptr;
  Caller caller;
  std::optional<std::uint64_t> element_instance;  // of the Element part

  [[nodiscard]] std::string_view body() const { return request->body; }
  [[nodiscard]] std::string_view parameter(std::string_view name) const {
    return request->parameter(name);
  }
  // Null where it is missing or there twice.
  [[nodiscard]] std::optional<std::string> query_value(std::string_view name) const;
};

// What a call is answered with. Thread: value.
struct Reply {
  boost::json::value body;
  std::vector<std::pair<std::string, std::string>> headers{};
};

// Thread: control.  Bounds: as above.
class ControlApi {
 public:
  ControlApi(std::shared_ptr<const Settings> settings, Documents& documents, BoxGateway& box,
             metrics::Slab& slab);
  ControlApi(const ControlApi&) = delete;
  ControlApi& operator=(const ControlApi&) = delete;

  void use(std::shared_ptr<const Settings> settings);
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

  // Who calls, by the header and the kind of the path.
  [[nodiscard]] Result<bool> authorize(std::string_view header, Kind kind, Call& call);
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

  // -- instances --
  // The instance the call names by its id or its token; 404 for one of another account.
  [[nodiscard]] Result<std::uint64_t> instance_of_call(const Call& call) const;
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
  metrics::Slab& slab_;
  std::shared_ptr<const Settings> settings_;
  std::shared_ptr<const Callers> callers_;
  FailureLimit failures_;
};

}  // namespace eventrelay::control
