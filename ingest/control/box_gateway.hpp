// Box's API for the instances of the registry: grants, tokens kept fresh, calls, and cleaning up.
//
//   access token good                    --> call
//   near its end, or answered 401 once   --> refresh: one at a time, the new pair written first
//   invalid_grant                        --> the instance is not valid; no further tries
//
// Why:     Box's refresh token is good once. Two refreshes at a time, or a pair that is used before
//          Kafka has it, would cost the user's grant.
// Owner:   ControlApi.  Thread: control.
// Bounds:  one refresh in flight per instance, 900 requests a minute per user of Box.
// Errors:  Problem by the answer table of the API.
#pragma once

#include <boost/json/value.hpp>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/http/exchange.hpp"
#include "common/observe/metrics.hpp"
#include "ingest/control/box_api.hpp"
#include "ingest/control/box_notices.hpp"
#include "ingest/control/documents.hpp"

namespace eventrelay::control {

// Where the provider lives, taken apart once per configuration.
struct BoxEndpoints {
  HttpOrigin token_url;
  HttpOrigin revoke_url;
  HttpOrigin api_url;
  std::shared_ptr<TlsContext> tls;
  Duration timeout{};
};

// Thread: control.  Bounds: as above.
class BoxGateway {
 public:
  BoxGateway(Documents& documents, metrics::Slab& slab);
  BoxGateway(const BoxGateway&) = delete;
  BoxGateway& operator=(const BoxGateway&) = delete;

  // Throws StartError, or std::invalid_argument for a URL.
  void use(const BoxProviderConfig& config);

  // Exchanges the code, or takes the refresh token, and asks whose it is. Nothing is kept at Box if
  // it fails.
  [[nodiscard]] Task<Result<bool>> grant(Document& document, std::string code,
                                         std::string refresh_token);
  // Gives the tokens back; what fails is logged.
  [[nodiscard]] Task<bool> revoke(const Document& document);
  // One call of the API with the instance's token; null for an empty answer.
  [[nodiscard]] Task<Result<boost::json::value>> call(std::uint64_t id, std::string method,
                                                      std::string path, std::string body);
  // A new grant or the end of an instance: what was kept of its tokens is void.
  void forget(std::uint64_t id) { unwritten_.erase(id); }

  // What a call that was broken off may have left: `intent/<id>/..`. Written before a webhook is
  // made, taken away with the document that has it. `request`: what Box is asked to make.
  [[nodiscard]] kafka::KeyedRecord intent(std::uint64_t id,
                                          const boost::json::object& request) const;
  // Box has told something of a webhook. Kept until this process holds the control role: it may be
  // about to take it over from one that was killed before it wrote this down.
  void note(BoxNotice notice);
  // Writes down what was noted; runs until the documents stop.
  [[nodiscard]] Task<void> take_notices();
  // Cleans up behind deleted instances and broken-off calls, and refreshes tokens that nobody uses;
  // runs until the documents stop.
  [[nodiscard]] Task<void> housekeeping();

 private:
  // Tokens that Box gave in place of others, and are not in Kafka yet.
  struct Unwritten {
    OAuthTokens tokens;
    std::string worn;  // the access token of the document that they take the place of
  };
  // One request to Box's API with the grant of an instance that lives, or of one that is deleted.
  using Ask = std::function<Task<Result<boost::json::value>>(std::string method, std::string path)>;
  // A webhook that a broken-off call may have made.
  struct Stray {
    std::string address;
    std::string target;  // `<type>/<id>`
  };

  [[nodiscard]] Task<ExchangeResult> ask(const HttpOrigin& origin, ExchangeRequest request);
  [[nodiscard]] Task<Result<std::string>> access_token(std::uint64_t id, std::string worn);
  [[nodiscard]] Task<Result<bool>> refresh(std::uint64_t id, std::string worn);
  [[nodiscard]] Task<Result<bool>> replace_tokens(std::uint64_t id, std::string worn);
  [[nodiscard]] Task<void> withdraw(std::uint64_t id);
  [[nodiscard]] Task<bool> clean(Document document);
  [[nodiscard]] Task<Result<boost::json::value>> ask_for_cleanup(Document& document,
                                                                 std::string method,
                                                                 std::string path);
  [[nodiscard]] Task<Result<bool>> renew_for_cleanup(Document& document);
  [[nodiscard]] Task<bool> settle(std::uint64_t id);
  [[nodiscard]] Task<Result<bool>> take_strays_away(Ask ask, std::uint64_t id,
                                                    std::vector<Webhook> known);
  [[nodiscard]] std::vector<std::string> intents_of(std::uint64_t id) const;
  [[nodiscard]] bool is_stray(const Webhook& hook, std::uint64_t id) const;
  [[nodiscard]] bool is_over(const std::string& intent);
  [[nodiscard]] Task<void> clean_up_all();
  [[nodiscard]] Task<bool> take_notice(BoxNotice notice);
  [[nodiscard]] Task<void> refresh_unused();
  [[nodiscard]] bool due(const std::string& key);

  // The box::Quota of an instance's user.
  [[nodiscard]] box::Quota& quota_of(const Document& document);

  // When a clean-up is tried again.
  struct Retry {
    TimePoint seen{};
    TimePoint next{};
    Duration wait = std::chrono::seconds{5};
  };

  Documents& documents_;
  metrics::Slab& slab_;
  std::shared_ptr<const BoxEndpoints> box_;
  std::map<std::uint64_t, std::shared_ptr<Signal>> refreshing_;
  std::map<std::uint64_t, Unwritten> unwritten_;
  std::unordered_map<std::string, box::Quota> quotas_;
  std::map<std::string, Retry> retries_;
  std::deque<BoxNotice> notices_;
};

}  // namespace eventrelay::control
