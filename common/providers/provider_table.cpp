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

constexpr Lookup of_object(std::string_view at, Part part = Part::Whole, char mark = 0) {
  return {.from = From::Object, .at = at, .part = part, .mark = mark};
}
constexpr Lookup of_body(std::string_view at, std::string_view literal = {}) {
  return {.from = From::Body, .at = at, .literal = literal};
}
constexpr Lookup of_field(std::string_view name, Part part = Part::Whole, char mark = 0) {
  return {.from = From::Field, .at = name, .part = part, .mark = mark};
}
constexpr Lookup always(std::string_view literal) {
  return {.from = From::Always, .literal = literal};
}

// Standard Webhooks and Svix differ in the name of the header alone.
constexpr Rules standard_rules(std::string_view id_header) {
  return {.object_type = {of_object("/type", Part::BeforeLast, '.')},
          .object_id = {of_object("/data/id")},
          .event_types = {of_object("/type", Part::AfterLast, '.')},
          .date = {of_object("/timestamp")},
          .id = {of_field(id_header)}};
}
constexpr std::string_view kStandardSample =
    R"({"type":"contact.created","timestamp":"2022-11-03T20:26:10.344522Z",)"
    R"("data":{"id":"@object@","note":"@event@"}})";

// Rows differ in few fields; the rest keeps its default.
constexpr std::array<Provider, 15> kProviders{{
    {.key = "box",
     .name = "Box",
     .hub = "documents",
     .id = 22,
     .oauth = true,
     .schemes = {"box-v2"},
     .form = NormalForm::Box,
     .sample = kBoxSample},
    // github.com/cloudevents/spec, http-webhook.md; in binary mode the fields say it all
    {.key = "cloudevents",
     .name = "CloudEvents",
     .hub = "general",
     .id = 1012,
     .schemes = {"bearer"},
     .rules = {.object_type = {of_field("ce-type", Part::BeforeLast, '.'),
                               of_object("/type", Part::BeforeLast, '.')},
               .object_id = {of_field("ce-subject"), of_object("/subject")},
               .event_types = {of_field("ce-type", Part::AfterLast, '.'),
                               of_object("/type", Part::AfterLast, '.')},
               .date = {of_field("ce-time"), of_object("/time")},
               .id_rule = IdRule::Joined,
               .id = {of_field("ce-source"), of_object("/source"), of_field("ce-id"),
                      of_object("/id")},
               .own_id = {of_field("ce-id"), of_object("/id")},
               .route = {of_field("ce-source"), of_object("/source")}},
     .handshake = Handshake::CloudEvents,
     .bodies = Bodies::JsonOrAny,
     .sample = R"({"specversion":"1.0","id":"@event@","source":"/shop","type":"order.created",)"
               R"("subject":"@object@","time":"2022-11-03T20:26:10Z","data":{}})",
     .sample_type = "application/cloudevents+json"},
    // www.dropbox.com/developers/reference/webhooks
    {.key = "dropbox",
     .name = "Dropbox",
     .hub = "documents",
     .id = 1001,
     .schemes = {"dropbox"},
     .rules = {.lists = {"/list_folder/accounts", "/delta/users"},
               .object_type = {always("account")},
               .object_id = {of_object("")},
               .type_rule = TypeRule::Updated,
               .route = {of_object("")}},
     .handshake = Handshake::Dropbox,
     .sample = R"({"list_folder":{"accounts":["dbid:@event@"]},"delta":{"users":[@object@]}})"},
    {.key = "elements",
     .name = "Elements",
     .hub = "general",
     .id = 1002,
     .schemes = {"elements"},
     .rules = {.lists = {"/message/events"},
               .object_type = {of_object("/objectType")},
               .object_id = {of_object("/objectId")},
               .type_rule = TypeRule::AsIs,
               .event_types = {of_object("/eventType")},
               .date = {of_object("/date")},
               .id = {of_field("Elements-Webhook-Id")},
               .route = {of_body("/message/instanceId")}},
     .sample = R"({"message":{"eventId":"@event@","elementKey":"box","instanceId":427236,)"
               R"("events":[{"objectId":"@object@","objectType":"file","eventType":"CREATED",)"
               R"("date":"2016-07-11T17:10:32Z"}]}})"},
    // docs.github.com/webhooks/webhook-events-and-payloads
    {.key = "github",
     .name = "GitHub",
     .hub = "collaboration",
     .id = 1003,
     .schemes = {"github"},
     .rules = {.object_type = {of_field("X-GitHub-Event")},
               .object_id = {Lookup{.from = From::Named, .at = "X-GitHub-Event", .rest = "/id"},
                             of_body("/issue/id"), of_body("/pull_request/id"),
                             of_body("/comment/id"), of_body("/release/id"),
                             of_body("/repository/id")},
               .event_types = {of_body("/action")},
               .flags_of = "push",
               .id = {of_field("X-GitHub-Delivery")},
               .route = {of_body("/installation/id")},
               .form_field = "payload"},
     .handshake = Handshake::Github,
     .bodies = Bodies::JsonOrForm,
     .sample = R"({"action":"opened","issue":{"id":@object@,"number":1,"title":"@event@"},)"
               R"("repository":{"id":1296269,"full_name":"octocat/Hello-World"},)"
               R"("sender":{"id":1,"login":"octocat"}})",
     .sample_field = {"X-GitHub-Event", "issues"}},
    // developers.hubspot.com/docs/guides/api/app-management/webhooks
    {.key = "hubspot",
     .name = "HubSpot",
     .hub = "marketing",
     .id = 1004,
     .schemes = {"hubspot-v3", "hubspot-v2", "hubspot-v1"},
     .rules = {.lists = {""},
               .object_type = {of_object("/subscriptionType", Part::BeforeFirst, '.')},
               .object_id = {of_object("/objectId")},
               .event_types = {of_object("/subscriptionType", Part::AfterFirst, '.')},
               .date = {of_object("/occurredAt")},
               .date_unit = Stamp::Millis,
               .id_rule = IdRule::JoinedOfAll,
               .id = {of_object("/eventId"), of_object("/subscriptionId"), of_object("/occurredAt"),
                      of_object("/objectId")},
               .own_id = {of_object("/eventId")},
               .route = {of_object("/portalId")}},
     .sample = R"([{"eventId":@object@,"subscriptionId":12345,"portalId":62515,)"
               R"("occurredAt":1564113600000,"subscriptionType":"contact.creation",)"
               R"("attemptNumber":0,"objectId":123,"changeSource":"CRM","changeFlag":"NEW",)"
               R"("appId":54321}])"},
    // developers.facebook.com/docs/graph-api/webhooks/getting-started
    {.key = "meta",
     .name = "Meta",
     .hub = "social",
     .id = 1005,
     .schemes = {"meta"},
     .rules = {.lists = {"/entry"},
               .object_type = {of_body("/object")},
               .object_id = {of_object("/id")},
               .type_rule = TypeRule::Updated,
               .date = {of_object("/time")},
               .date_unit = Stamp::Seconds,
               .id_rule = IdRule::Body,
               .route = {of_object("/id")}},
     .handshake = Handshake::Meta,
     .sample = R"({"object":"page","entry":[{"id":"@object@","time":1458692752,)"
               R"("changes":[{"field":"feed","value":{"item":"post","post_id":"@event@"}}]}]})"},
    // learn.microsoft.com/graph/change-notifications-delivery-webhooks
    {.key = "microsoftgraph",
     .name = "Microsoft Graph",
     .hub = "collaboration",
     .id = 1013,
     .schemes = {"microsoftgraph"},
     .rules = {.lists = {"/value"},
               .object_type = {of_object("/resourceData/@odata.type", Part::AfterLast, '.')},
               .lower_case_type = true,
               .object_id = {of_object("/resourceData/id")},
               .event_types = {of_object("/changeType")},
               .id_rule = IdRule::Body,
               .route = {of_object("/subscriptionId")}},
     .handshake = Handshake::Graph,
     .sample = R"({"value":[{"subscriptionId":"7f105c7d-2dc5-4530-97cd-4e7ae6534c07",)"
               R"("clientState":"@token@","changeType":"created","resource":"Users/1/Messages/2",)"
               R"("resourceData":{"@odata.type":"#Microsoft.Graph.Message","id":"@object@",)"
               R"("@odata.etag":"@event@"}}]})"},
    // shopify.dev/docs/api/webhooks
    {.key = "shopify",
     .name = "Shopify",
     .hub = "ecommerce",
     .id = 1006,
     .schemes = {"shopify"},
     .rules = {.object_type = {of_field("X-Shopify-Topic", Part::BeforeFirst, '/')},
               .object_id = {of_object("/id")},
               .event_types = {of_field("X-Shopify-Topic", Part::AfterFirst, '/')},
               .date = {of_object("/updated_at")},
               .id = {of_field("X-Shopify-Event-Id"), of_field("X-Shopify-Webhook-Id")},
               .route = {of_field("X-Shopify-Shop-Domain")}},
     .sample = R"({"id":@object@,"email":"jon@example.com","updated_at":)"
               R"("2016-07-11T10:10:32-07:00","total_price":"403.00","token":"@event@"})",
     .sample_field = {"X-Shopify-Topic", "orders/create"}},
    // docs.slack.dev/apis/events-api
    {.key = "slack",
     .name = "Slack",
     .hub = "messaging",
     .id = 1007,
     .schemes = {"slack"},
     .rules = {.object_type = {of_object("/event/type", Part::BeforeFirst, '_')},
               .object_id = {of_object("/event/item/ts"), of_object("/event/file_id"),
                             of_object("/event/ts")},
               .event_types = {of_object("/event/type", Part::AfterLast, '_')},
               .date = {of_object("/event_time")},
               .date_unit = Stamp::Seconds,
               .id = {of_object("/event_id")},
               .route = {of_object("/team_id")}},
     .handshake = Handshake::Slack,
     .sample = R"({"token":"XXYYZZ","team_id":"T123ABC456","api_app_id":"A123ABC456",)"
               R"("event":{"type":"reaction_added","user":"U123ABC456","item":)"
               R"({"type":"message","channel":"C123ABC456","ts":"1464196127.000002"},)"
               R"("event_ts":"@object@.000001"},"type":"event_callback","event_id":"Ev@event@",)"
               R"("event_time":1234567890})"},
    {.key = "standard",
     .name = "Standard Webhooks",
     .hub = "general",
     .id = 1008,
     .schemes = {"standard"},
     .rules = standard_rules("webhook-id"),
     .sample = kStandardSample},
    // docs.stripe.com/api/events/object
    {.key = "stripe",
     .name = "Stripe",
     .hub = "payment",
     .id = 1009,
     .schemes = {"stripe"},
     .rules = {.object_type = {of_object("/data/object/object")},
               .object_id = {of_object("/data/object/id")},
               .event_types = {of_object("/type", Part::AfterLast, '.')},
               .date = {of_object("/created")},
               .date_unit = Stamp::Seconds,
               .id = {of_object("/id")},
               .route = {of_object("/account")}},
     .sample = R"({"id":"evt_@event@","object":"event","api_version":"2019-02-19",)"
               R"("created":1533204620,"data":{"object":{"id":"ch_@object@","object":"charge",)"
               R"("amount":100,"currency":"usd"}},"livemode":false,"type":"charge.updated"})"},
    {.key = "svix",
     .name = "Svix",
     .hub = "general",
     .id = 1010,
     .schemes = {"svix"},
     .rules = standard_rules("svix-id"),
     .sample = kStandardSample},
    // www.twilio.com/docs/usage/webhooks
    {.key = "twilio",
     .name = "Twilio",
     .hub = "messaging",
     .id = 1014,
     .schemes = {"twilio"},
     .rules = {.object_type = {of_body("/MessageSid", "message"), of_body("/SmsSid", "message"),
                               of_body("/CallSid", "call")},
               .object_id = {of_body("/MessageSid"), of_body("/SmsSid"), of_body("/CallSid")},
               .type_rule = TypeRule::Updated,
               .id_rule = IdRule::Joined,
               .id = {of_body("/MessageSid"), of_body("/SmsSid"), of_body("/CallSid"),
                      of_body("/MessageStatus"), of_body("/SmsStatus"), of_body("/CallStatus")},
               .own_id = {of_body("/MessageSid"), of_body("/SmsSid"), of_body("/CallSid")},
               .route = {of_body("/AccountSid")}},
     .bodies = Bodies::JsonOrForm,
     .sample = "ToCountry=US&MessageSid=SM@event@&AccountSid=AC@object@&SmsStatus=received&"
               "From=%2B14158675309&To=%2B18005551212&Body=Hello+there",
     .sample_type = "application/x-www-form-urlencoded"},
    // developer.zendesk.com/api-reference/webhooks/event-types/webhook-event-types
    {.key = "zendesk",
     .name = "Zendesk",
     .hub = "helpdesk",
     .id = 1011,
     .schemes = {"zendesk"},
     .rules = {.object_type = {of_object("/type", Part::AfterLast, ':')},
               .type_before_last_dot = true,
               .object_id = {of_object("/detail/id")},
               .event_types = {of_object("/type", Part::AfterLast, '.')},
               .date = {of_object("/time")},
               .id = {of_object("/id")},
               .route = {of_object("/account_id")}},
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

std::string sample_body(const Provider& provider, std::uint64_t event, std::uint64_t object,
                        std::string_view token) {
  std::string body(provider.sample);
  fill(body, "@event@", digits(event, 16, 16));
  fill(body, "@object@", digits(object, 10, 0));
  fill(body, "@token@", token);
  return body;
}

}  // namespace eventrelay::providers
