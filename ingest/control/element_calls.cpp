#include "ingest/control/element_calls.hpp"

#include <boost/json/array.hpp>
#include <stdexcept>

#include "common/config/callback_url.hpp"
#include "ingest/control/box_api.hpp"
#include "ingest/control/catalog.hpp"

namespace eventrelay::control {
namespace {

namespace json = boost::json;

}  // namespace

void ElementCalls::mount(AdminServer& admin, CallServer& server) {
  using Calls = ElementCalls;
  constexpr Kind kP = Kind::Platform;
  const std::vector<CallRow<Calls>> rows{
      {"GET", "elements", kP, &Calls::list_elements},
      {"GET", "elements/{element}", kP, &Calls::get_element},
      {"GET", "elements/{element}/metadata", kP, &Calls::get_metadata},
      {"GET", "elements/{element}/oauth/url", kP, &Calls::get_oauth_url},
  };
  server.mount(admin, kApiBase, *this, rows);
}

Task<Result<Reply>> ElementCalls::list_elements(const Call&) {
  json::array list;
  for (const CatalogRow& row : providers::providers()) list.push_back(element_answer(row));
  co_return Reply{std::move(list)};
}

Task<Result<Reply>> ElementCalls::get_element(const Call& call) {
  const CatalogRow* const row = find_catalog_row(call.parameter("element"));
  if (row == nullptr) co_return refuse(404, "there is no such element");
  co_return Reply{element_answer(*row)};
}

Task<Result<Reply>> ElementCalls::get_metadata(const Call& call) {
  const CatalogRow* const row = find_catalog_row(call.parameter("element"));
  if (row == nullptr) co_return refuse(404, "there is no such element");
  co_return Reply{metadata_answer(*row)};
}

Task<Result<Reply>> ElementCalls::get_oauth_url(const Call& call) {
  const CatalogRow* const row = find_catalog_row(call.parameter("element"));
  if (row == nullptr) co_return refuse(404, "there is no such element");
  if (!row->oauth) {
    co_return refuse(400, "element: " + std::string(row->key) + " is not authorized by OAuth");
  }
  const std::optional<std::string> key = call.query_value("apiKey");
  const std::optional<std::string> callback = call.query_value("callbackUrl");
  if (!key || key->empty()) co_return refuse(400, "apiKey: required");
  if (!callback || callback->empty()) co_return refuse(400, "callbackUrl: required");
  try {
    (void)parse_callback_url(*callback, true);
  } catch (const std::invalid_argument& problem) {
    co_return refuse(400, std::string("callbackUrl: ") + problem.what());
  }
  const std::optional<std::string> state = call.query_value("state");
  const std::optional<std::string> scope = call.query_value("scope");
  const std::string url =
      box::oauth_url(parts_.settings->config.providers.box, *key, *callback,
                     state.value_or(std::string(row->key)), scope.value_or(std::string()));
  json::object out{{"oauthUrl", url},
                   {"element", json::string_view(row->key.data(), row->key.size())}};
  co_return Reply{std::move(out)};
}

}  // namespace eventrelay::control
