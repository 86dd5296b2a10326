// The rows, in the order of their keys. A sample is what its provider's own pages show, shortened.
#include <algorithm>
#include <charconv>

#include "common/providers/provider.hpp"

namespace eventrelay::providers {

namespace {

constexpr std::string_view kBoxSample =
    R"({"type":"webhook_event","id":"@event@-bench","created_at":"2016-07-11T10:10:32-07:00",)"
    R"("trigger":"FILE.UPLOADED","webhook":{"id":"53","type":"webhook"},)"
    R"("created_by":{"type":"user","id":"226067247","name":"Box Developer",)"
    R"("login":"box@example.com"},"source":{"id":"@object@","type":"file",)"
    R"("file_version":{"type":"file_version","id":"74200283905",)"
    R"("sha1":"0e16a0b1b4ed6a8a0bb3cd7a1a7ed3b5b8c0d1e2"},"sequence_id":"0","etag":"0",)"
    R"("name":"Contract.pdf","description":"","size":1234567,)"
    R"("path_collection":{"total_count":2,"entries":[{"type":"folder","id":"0",)"
    R"("sequence_id":null,"etag":null,"name":"All Files"},{"type":"folder","id":"2614853901",)"
    R"("sequence_id":"1","etag":"1","name":"Contracts"}]},)"
    R"("created_at":"2016-07-11T10:10:32-07:00","modified_at":"2016-07-11T10:10:32-07:00",)"
    R"("trashed_at":null,"purged_at":null,"shared_link":null,"item_status":"active"},)"
    R"("additional_info":[]})";

// Rows differ in few fields; the rest keeps its default.
constexpr std::array<Provider, 12> kProviders{{
    {.key = "box",
     .hub = "documents",
     .id = 22,
     .schemes = {"box-v2"},
     .form = NormalForm::Box,
     .sample = kBoxSample},
    {.key = "dropbox",
     .hub = "documents",
     .schemes = {"dropbox"},
     .sample = R"({"list_folder":{"accounts":["dbid:@event@"]},"delta":{"users":[@object@]}})"},
    {.key = "elements",
     .hub = "general",
     .schemes = {"elements"},
     .sample = R"({"message":{"eventId":"@event@","elementKey":"box","instanceId":427236,)"
               R"("events":[{"objectId":"@object@","objectType":"file","eventType":"CREATED",)"
               R"("date":"2016-07-11T17:10:32Z"}]}})"},
    {.key = "github",
     .hub = "collaboration",
     .schemes = {"github"},
     .sample = R"({"action":"opened","issue":{"id":@object@,"number":1,"title":"@event@"},)"
               R"("repository":{"id":1296269,"full_name":"octocat/Hello-World"},)"
               R"("sender":{"id":1,"login":"octocat"}})"},
    {.key = "hubspot",
     .hub = "marketing",
     .schemes = {"hubspot-v3"},
     .sample = R"([{"eventId":@object@,"subscriptionId":12345,"portalId":62515,)"
               R"("occurredAt":1564113600000,"subscriptionType":"contact.creation",)"
               R"("attemptNumber":0,"objectId":123,"changeSource":"CRM","changeFlag":"NEW",)"
               R"("appId":54321}])"},
    {.key = "meta",
     .hub = "social",
     .schemes = {"meta"},
     .sample = R"({"object":"page","entry":[{"id":"@object@","time":1458692752,)"
               R"("changes":[{"field":"feed","value":{"item":"post","post_id":"@event@"}}]}]})"},
    {.key = "shopify",
     .hub = "ecommerce",
     .schemes = {"shopify"},
     .sample = R"({"id":@object@,"email":"jon@example.com","updated_at":)"
               R"("2016-07-11T10:10:32-07:00","total_price":"403.00","token":"@event@"})"},
    {.key = "slack",
     .hub = "messaging",
     .schemes = {"slack"},
     .sample = R"({"token":"XXYYZZ","team_id":"T123ABC456","api_app_id":"A123ABC456",)"
               R"("event":{"type":"reaction_added","user":"U123ABC456","item":)"
               R"({"type":"message","channel":"C123ABC456","ts":"1464196127.000002"},)"
               R"("event_ts":"@object@.000001"},"type":"event_callback","event_id":"Ev@event@",)"
               R"("event_time":1234567890})"},
    {.key = "standard",
     .hub = "general",
     .schemes = {"standard"},
     .sample = R"({"type":"contact.created","timestamp":"2022-11-03T20:26:10.344522Z",)"
               R"("data":{"id":"@object@","note":"@event@"}})"},
    {.key = "stripe",
     .hub = "payment",
     .schemes = {"stripe"},
     .sample = R"({"id":"evt_@event@","object":"event","api_version":"2019-02-19",)"
               R"("created":1533204620,"data":{"object":{"id":"ch_@object@","object":"charge",)"
               R"("amount":100,"currency":"usd"}},"livemode":false,"type":"charge.updated"})"},
    {.key = "svix",
     .hub = "general",
     .schemes = {"svix"},
     .sample = R"({"type":"contact.created","timestamp":"2022-11-03T20:26:10.344522Z",)"
               R"("data":{"id":"@object@","note":"@event@"}})"},
    {.key = "zendesk",
     .hub = "helpdesk",
     .schemes = {"zendesk"},
     .sample = R"({"account_id":22129848,"id":"@event@","time":"2022-09-12T19:29:45Z",)"
               R"("type":"zen:event-type:ticket.created","zendesk_event_version":"2022-06-20",)"
               R"("subject":"zen:ticket:@object@","detail":{"id":"@object@","status":"OPEN"},)"
               R"("event":{}})"},
}};

// Replaces every `mark` in `text`.
void fill(std::string& text, std::string_view mark, std::string_view value) {
  for (std::size_t at = text.find(mark); at != std::string::npos;
       at = text.find(mark, at + value.size())) {
    text.replace(at, mark.size(), value);
  }
}

std::string digits(std::uint64_t value, int base, std::size_t width) {
  std::array<char, 24> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value, base).ptr;
  const std::string plain(text.data(), end);
  return plain.size() < width ? std::string(width - plain.size(), '0') + plain : plain;
}

}  // namespace

std::span<const Provider> providers() noexcept {
  return kProviders;
}

const Provider* find_provider(std::string_view key) noexcept {
  const auto* const found = std::find_if(kProviders.begin(), kProviders.end(),
                                         [key](const Provider& row) { return row.key == key; });
  return found == kProviders.end() ? nullptr : found;
}

const Provider* provider_of_scheme(std::string_view scheme) noexcept {
  if (scheme.empty()) return nullptr;
  for (const Provider& row : kProviders) {
    if (std::find(row.schemes.begin(), row.schemes.end(), scheme) != row.schemes.end()) {
      return &row;
    }
  }
  return nullptr;
}

std::string sample_body(const Provider& provider, std::uint64_t event, std::uint64_t object) {
  std::string body(provider.sample);
  fill(body, "@event@", digits(event, 16, 16));
  fill(body, "@object@", digits(object, 10, 0));
  return body;
}

}  // namespace eventrelay::providers
