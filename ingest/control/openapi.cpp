#include "ingest/control/openapi.hpp"

#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <string_view>

#include "ingest/control/json_members.hpp"

namespace eventrelay::control {
namespace {

namespace json = boost::json;

// One operation.
struct Operation {
  const char* path;
  const char* method;
  const char* id;
  const char* summary;
  const char* security;  // platform, element, either
  const char* body;      // name of a schema, or empty
  const char* answer;    // name of a schema; `[]` behind it: an array
};

constexpr std::array<Operation, 50> kOperations{{
    {"/elements", "get", "listElements", "The elements there are", "platform", "", "Element[]"},
    {"/elements/{keyOrId}", "get", "getElement", "One element", "platform", "", "Element"},
    {"/elements/{keyOrId}/metadata", "get", "getElementMetadata", "Its events", "platform", "",
     "ElementMetadata"},
    {"/elements/{keyOrId}/oauth/url", "get", "getOAuthUrl",
     "Where a user grants access (query: apiKey, callbackUrl, state, scope)", "platform", "",
     "OAuthUrl"},
    {"/elements/{keyOrId}/instances", "post", "createElementInstance", "Creates an instance",
     "platform", "InstanceRequest", "Instance"},
    {"/instances", "post", "createInstance", "Creates an instance", "platform", "InstanceRequest",
     "Instance"},
    {"/instances", "get", "listInstances",
     "The instances of the account (query: tags[], elementKey, pageSize, nextPage)", "platform", "",
     "Instance[]"},
    {"/instances", "put", "replaceOwnInstance", "Replaces the members given", "element",
     "InstanceChange", "Instance"},
    {"/instances", "patch", "changeOwnInstance", "Merges the members given", "element",
     "InstanceChange", "Instance"},
    {"/instances", "delete", "deleteOwnInstance", "Deletes the instance", "element", "", "Nothing"},
    {"/instances/enabled", "put", "enableOwnInstance", "Enables it", "element", "", "Nothing"},
    {"/instances/enabled", "delete", "disableOwnInstance", "Disables it: its events wait",
     "element", "", "Nothing"},
    {"/instances/configuration", "get", "listOwnConfiguration", "Its configuration", "element", "",
     "ConfigurationItem[]"},
    {"/instances/configuration/{idOrKey}", "get", "getOwnConfiguration", "One item", "element", "",
     "ConfigurationItem"},
    {"/instances/configuration/{idOrKey}", "patch", "changeOwnConfiguration", "Sets one item",
     "element", "ConfigurationChange", "ConfigurationItem"},
    {"/instances/{id}", "get", "getInstance", "One instance", "either", "", "Instance"},
    {"/instances/{id}", "put", "replaceInstance", "Replaces the members given", "either",
     "InstanceChange", "Instance"},
    {"/instances/{id}", "patch", "changeInstance", "Merges the members given", "either",
     "InstanceChange", "Instance"},
    {"/instances/{id}", "delete", "deleteInstance", "Deletes the instance", "either", "",
     "Nothing"},
    {"/instances/{id}/enabled", "put", "enableInstance", "Enables it", "either", "", "Nothing"},
    {"/instances/{id}/enabled", "delete", "disableInstance", "Disables it: its events wait",
     "either", "", "Nothing"},
    {"/instances/{id}/configuration", "get", "listConfiguration", "Its configuration", "either", "",
     "ConfigurationItem[]"},
    {"/instances/{id}/configuration/{idOrKey}", "get", "getConfiguration", "One item", "either", "",
     "ConfigurationItem"},
    {"/instances/{id}/configuration/{idOrKey}", "patch", "changeConfiguration", "Sets one item",
     "either", "ConfigurationChange", "ConfigurationItem"},
    {"/instances/{id}/token", "post", "renewToken", "A new element token; the former one ends",
     "platform", "", "Token"},
    {"/instances/{id}/setup", "get", "getSetup", "What to paste at the provider", "platform", "",
     "Setup"},
    {"/instances/events", "get", "listEvents",
     "Events of the account, newest first (query: from, to, pageSize, nextPage)", "either", "",
     "Event[]"},
    {"/instances/events/dispositions", "get", "listDispositions",
     "What became of them, in words (query as for events)", "platform", "", "Disposition[]"},
    {"/instances/events/analytics", "get", "countEvents",
     "How many came (query: from, to, interval, accountIds[], nextPage)", "platform", "",
     "EventCount[]"},
    {"/instances/events/analytics/instances", "get", "countEventsByInstance",
     "How many came, were delivered and failed, of each instance (query likewise)", "platform", "",
     "InstanceCounts[]"},
    {"/instances/events/analytics/accounts", "get", "countEventsByAccount",
     "The same of each account (query likewise)", "platform", "", "AccountCounts[]"},
    {"/instances/{id}/events", "get", "listInstanceEvents",
     "Events of one instance (query as for events)", "either", "", "Event[]"},
    {"/instances/{id}/events/{eventId}", "get", "getEvent", "One event (query: from, to)", "either",
     "", "Event"},
    {"/instances/{id}/subscriptions/{name}/enabled", "put", "enableSubscription",
     "Resumes one subscription (its name, or `callback`)", "platform", "", "Nothing"},
    {"/instances/{id}/subscriptions/{name}/enabled", "delete", "disableSubscription",
     "Pauses it: its events wait", "platform", "", "Nothing"},
    {"/accounts/settings", "get", "getOwnAccountSettings", "Settings of the caller's account",
     "platform", "", "AccountSettings"},
    {"/accounts/settings", "patch", "changeOwnAccountSettings", "Changes them", "platform",
     "AccountSettings", "AccountSettings"},
    {"/accounts/{id}/settings", "get", "getAccountSettings", "Settings of the account", "platform",
     "", "AccountSettings"},
    {"/accounts/{id}/settings", "post", "setAccountSettings", "Sets them", "platform",
     "AccountSettings", "AccountSettings"},
    {"/accounts/{id}/settings", "patch", "changeAccountSettings", "Changes them", "platform",
     "AccountSettings", "AccountSettings"},
    {"/notifications/subscriptions/deliveries", "get", "listQueuedDeliveries",
     "Events that wait for paused subscriptions (query: where, pageSize, nextPage)", "platform", "",
     "Event[]"},
    {"/notifications/subscriptions/deliveries", "put", "releaseQueuedDeliveries",
     "Resumes those subscriptions (query: where)", "platform", "", "Released[]"},
    {"/instances/{id}/events/replay", "post", "startReplay",
     "Sends dead letters or history again, each once; four at once", "platform", "ReplayRequest",
     "Replay"},
    {"/instances/{id}/events/replay/{replayId}", "get", "getReplay", "How far it is", "platform",
     "", "Replay"},
    {"/instances/{id}/events/replay/{replayId}", "delete", "stopReplay", "Stops it", "platform", "",
     "Replay"},
    {"/webhooks", "post", "createWebhook", "Creates a webhook at the provider", "element",
     "WebhookRequest", "Webhook"},
    {"/webhooks", "get", "listWebhooks", "The provider's webhooks (query: pageSize, nextPage)",
     "element", "", "WebhookEntry[]"},
    {"/webhooks/{webhookId}", "get", "getWebhook", "One webhook", "element", "", "Webhook"},
    {"/webhooks/{webhookId}", "put", "changeWebhook", "Changes the members given", "element",
     "WebhookChange", "Webhook"},
    {"/webhooks/{webhookId}", "delete", "deleteWebhook", "Deletes it at the provider", "element",
     "", "Nothing"},
}};

constexpr std::string_view kSchemas = R"json({
"Error":{"type":"object","required":["message","requestId"],"additionalProperties":false,
 "properties":{"message":{"type":"string"},"requestId":{"type":"string","pattern":"^[0-9a-f]+$"},
 "providerMessage":{"type":"string"}}},
"Nothing":{"type":"object","additionalProperties":false},
"Element":{"type":"object","required":["id","key","name","hub","authentication","events"],
 "properties":{"id":{"type":"integer"},"key":{"type":"string"},"name":{"type":"string"},
 "hub":{"type":"string"},"authentication":{"type":"object","required":["type"],
 "properties":{"type":{"enum":["oauth2","custom"]}}},
 "events":{"type":"object","required":["supported","methods"],
 "properties":{"supported":{"type":"boolean"},
 "methods":{"type":"array","items":{"type":"string"}}}}}},
"ElementMetadata":{"type":"object","required":["id","key","events"],
 "properties":{"id":{"type":"integer"},"key":{"type":"string"},"events":{"type":"object",
 "required":["supported","methods","webhook","polling"]}}},
"OAuthUrl":{"type":"object","required":["oauthUrl","element"],"additionalProperties":false,
 "properties":{"oauthUrl":{"type":"string","format":"uri"},"element":{"type":"string"}}},
"Token":{"type":"object","required":["token"],"additionalProperties":false,
 "properties":{"token":{"type":"string","minLength":40}}},
"Configuration":{"type":"object","additionalProperties":{"type":["string","null"]}},
"ConfigurationItem":{"type":"object","required":["id","key","propertyValue"],
 "additionalProperties":false,"properties":{"id":{"type":"integer"},"key":{"type":"string"},
 "propertyValue":{"type":["string","null"]}}},
"ConfigurationChange":{"type":"object","required":["propertyValue"],
 "properties":{"propertyValue":{"type":["string","boolean","null"]}}},
"InstanceWebhook":{"type":"object","required":["id","target","triggers","state","reason"],
 "properties":{"id":{"type":"string"},"target":{"$ref":"#/components/schemas/Target"},
 "triggers":{"type":"array","items":{"type":"string"}},
 "state":{"enum":["active","deleted","no_session"]},"reason":{"type":["string","null"]}}},
"Subscription":{"type":"object","required":["name","url"],"properties":{"name":{"type":"string"},
 "url":{"type":"string"},"key":{"type":"string"},"filter":{"type":"object"},
 "delivery":{"type":"object"}}},
"Instance":{"type":"object","additionalProperties":false,
 "required":["id","name","createdDate","token","element","elementId","tags","provisionInteractions",
 "valid","disabled","maxCacheSize","cacheTimeToLive","cachingEnabled","configuration",
 "eventsEnabled","traceLoggingEnabled","externalAuthentication","user","accountId","companyId",
 "webhookUrl","delivery","subscriptions","webhooks","problem"],
 "properties":{"id":{"type":"integer","minimum":1},"name":{"type":"string"},
 "createdDate":{"type":"string","format":"date-time"},"token":{"type":"string"},
 "element":{"$ref":"#/components/schemas/Element"},"elementId":{"type":"integer"},
 "tags":{"type":"array","items":{"type":"string"}},
 "provisionInteractions":{"type":"array","maxItems":0},"valid":{"type":"boolean"},
 "disabled":{"type":"boolean"},"maxCacheSize":{"const":0},"cacheTimeToLive":{"const":0},
 "cachingEnabled":{"const":false},"configuration":{"$ref":"#/components/schemas/Configuration"},
 "eventsEnabled":{"type":"boolean"},"traceLoggingEnabled":{"const":false},
 "externalAuthentication":{"enum":["none","initial"]},
 "user":{"type":"object","required":["id","emailAddress","firstName","lastName"],
 "properties":{"id":{"type":"integer"},"emailAddress":{"type":"string"},
 "firstName":{"type":"string"},"lastName":{"type":"string"}}},
 "accountId":{"type":"integer"},"companyId":{"type":"integer"},
 "webhookUrl":{"type":"string","format":"uri"},"delivery":{"type":"object"},
 "subscriptions":{"type":"array","items":{"$ref":"#/components/schemas/Subscription"}},
 "webhooks":{"type":"array","items":{"$ref":"#/components/schemas/InstanceWebhook"}},
 "problem":{"type":["string","null"]}}},
"InstanceRequest":{"type":"object","required":["name"],"properties":{
 "element":{"type":"object","properties":{"key":{"type":"string"},"id":{"type":"integer"}}},
 "providerData":{"type":"object","properties":{"code":{"type":"string"}}},
 "name":{"type":"string","minLength":1,"maxLength":256},
 "tags":{"oneOf":[{"type":"string"},{"type":"array","maxItems":100,"items":{"type":"string"}}]},
 "configuration":{"type":"object"},"delivery":{"type":"object"},
 "subscriptions":{"type":"array","maxItems":100,
 "items":{"$ref":"#/components/schemas/Subscription"}},
 "externalAuthentication":{"enum":["none","initial"]}}},
"InstanceChange":{"type":"object"},
"Target":{"type":"object","required":["id","type"],"properties":{"id":{"type":"string"},
 "type":{"enum":["file","folder"]}}},
"WebhookRequest":{"type":"object","required":["target","triggers"],"additionalProperties":false,
 "properties":{"target":{"$ref":"#/components/schemas/Target"},
 "triggers":{"type":"array","minItems":1,"items":{"type":"string"}},"address":{"type":"string"}}},
"WebhookChange":{"type":"object","additionalProperties":false,
 "properties":{"target":{"$ref":"#/components/schemas/Target"},
 "triggers":{"type":"array","items":{"type":"string"}},"address":{"type":"string"}}},
"Webhook":{"type":"object","required":["id","type","target","address","triggers"],
 "properties":{"id":{"type":"string"},"type":{"const":"webhook"},
 "target":{"$ref":"#/components/schemas/Target"},"address":{"type":"string"},
 "triggers":{"type":"array","items":{"type":"string"}}}},
"WebhookEntry":{"type":"object","required":["id","type","target"],
 "properties":{"id":{"type":"string"},"type":{"const":"webhook"},
 "target":{"$ref":"#/components/schemas/Target"}}},
"Attempt":{"type":"object","required":["at","attempt","outcome","status","ms","next"],
 "properties":{"at":{"type":"string","format":"date-time"},"attempt":{"type":"integer"},
 "outcome":{"type":"string"},"status":{"type":"integer"},"ms":{"type":"integer"},
 "next":{"enum":["done","retry","dead"]}}},
"Notified":{"type":"object","required":["subscription","state","attempts"],
 "properties":{"subscription":{"type":"string"},
 "state":{"enum":["pending","delivered","retry","dead","queued","filtered"]},
 "attempts":{"type":"array","items":{"$ref":"#/components/schemas/Attempt"}}}},
"Event":{"type":"object","additionalProperties":false,
 "required":["id","eventDate","status","providerData","instanceId","elementKey","eventType",
 "objectType","objectId","notifiedData","eventElementInstances"],
 "properties":{"id":{"type":"string"},"eventDate":{"type":"string"},
 "status":{"enum":["RECEIVED","DISPATCHED","NOTIFIED","CONSUMED"]},
 "providerData":{"type":"string"},"instanceId":{"type":"integer"},
 "elementKey":{"type":"string"},"eventType":{"type":["string","null"]},
 "objectType":{"type":["string","null"]},"objectId":{"type":["string","null"]},
 "notifiedData":{"type":"array","items":{"$ref":"#/components/schemas/Notified"}},
 "eventElementInstances":{"type":"array","items":{"type":"object","required":["eventId",
 "elementInstanceId","notificationId","notifiedData","createdDate","updatedDate"]}}}},
"Disposition":{"type":"object","required":["eventId","elementInstanceId","notificationData"],
 "properties":{"eventId":{"type":"string"},"elementInstanceId":{"type":"integer"},
 "notificationData":{"type":"array","items":{"type":"object","required":["message"],
 "properties":{"message":{"type":"string"}}}}}},
"EventCount":{"type":"object","required":["count","timestamp"],"additionalProperties":false,
 "properties":{"count":{"type":"integer"},"timestamp":{"type":"string","format":"date-time"}}},
"InstanceCounts":{"type":"object","required":["total","timestamp","records"],
 "additionalProperties":false,"properties":{"total":{"type":"integer"},
 "timestamp":{"type":"string","format":"date-time"},"records":{"type":"array","items":{
 "type":"object","required":["count","success","failed","instanceId"],
 "additionalProperties":false,"properties":{"count":{"type":"integer"},
 "success":{"type":"integer"},"failed":{"type":"integer"},"instanceId":{"type":"integer"}}}}}},
"AccountCounts":{"type":"object","required":["total","timestamp","records"],
 "additionalProperties":false,"properties":{"total":{"type":"integer"},
 "timestamp":{"type":"string","format":"date-time"},"records":{"type":"array","items":{
 "type":"object","required":["count","success","failed","accountId"],
 "additionalProperties":false,"properties":{"count":{"type":"integer"},
 "success":{"type":"integer"},"failed":{"type":"integer"},"accountId":{"type":"integer"}}}}}},
"AccountSettings":{"type":"object","required":["notification.webhook.failure.policy"],
 "additionalProperties":false,
 "properties":{"notification.webhook.failure.policy":{"enum":["retry","queue"]}}},
"Released":{"type":"object","required":["subscriptionId","instanceId","config"],
 "additionalProperties":false,"properties":{"subscriptionId":{"type":"string"},
 "instanceId":{"type":"integer"},"config":{"type":"object","required":["url"],
 "properties":{"url":{"type":"string"}}}}},
"ReplayRequest":{"type":"object","required":["from","to","source"],"additionalProperties":false,
 "properties":{"from":{"type":"string","format":"date-time"},
 "to":{"type":"string","format":"date-time"},"source":{"enum":["events","dead"]},
 "subscription":{"type":"string"},"eventIds":{"type":"array","maxItems":1000,
 "items":{"type":"string"}},"rate":{"type":"integer","minimum":1,"maximum":10000},
 "dryRun":{"type":"boolean"}}},
"Replay":{"type":"object","required":["id","status","selected","sent"],
 "properties":{"id":{"type":"string"},
 "status":{"enum":["running","finished","stopped","failed"]},"selected":{"type":"integer"},
 "sent":{"type":"integer"},"reason":{"type":"string"}}},
"Setup":{"type":"object","required":["webhookUrl","v2"],"properties":{
 "webhookUrl":{"type":"string"},"v1":{"type":"object",
 "required":["url","payloadFormat","callbackParameters"],"properties":{"url":{"type":"string"},
 "payloadFormat":{"const":"REST"},"callbackParameters":{"type":"array","items":{"type":"object",
 "required":["method","name","value"]}}}},
 "v2":{"type":"object","required":["address","triggers"]}}}
})json";

json::object reference(std::string_view name) {
  return {{"$ref", "#/components/schemas/" + std::string(name)}};
}

json::object content(json::object schema) {
  return {{"application/json", {{"schema", std::move(schema)}}}};
}

json::object error_answer(const char* what) {
  return {{"description", what}, {"content", content(reference("Error"))}};
}

json::array security_of(std::string_view kind) {
  const json::object named{{"authorization", json::array{}}};
  (void)kind;
  return json::array{named};
}

json::array parameters_of(std::string_view path) {
  json::array out;
  for (std::size_t at = 0; (at = path.find('{', at)) != std::string_view::npos;) {
    const std::size_t end = path.find('}', at);
    out.push_back(json::object{{"name", text(path.substr(at + 1, end - at - 1))},
                               {"in", "path"},
                               {"required", true},
                               {"schema", {{"type", "string"}}}});
    at = end;
  }
  return out;
}

json::object operation_of(const Operation& operation, std::string_view path,
                          const std::string& id) {
  std::string_view name = operation.answer;
  json::object schema;
  if (name.ends_with("[]")) {
    name.remove_suffix(2);
    schema = json::object{{"type", "array"}, {"items", reference(name)}};
  } else {
    schema = reference(name);
  }
  json::object responses{
      {"200", json::object{{"description", "Done"}, {"content", content(std::move(schema))}}},
      {"default", error_answer("Not done: see the table of answers")}};
  json::object out{
      {"operationId", id},
      {"summary", operation.summary},
      {"description",
       std::string("Authorization: ") +
           (std::string_view(operation.security) == "element"    ? "User .., Element .."
            : std::string_view(operation.security) == "platform" ? "User .., Organization .."
                                                                 : "either form")},
      {"parameters", parameters_of(path)},
      {"security", security_of(operation.security)},
      {"responses", std::move(responses)}};
  if (operation.body[0] != '\0') {
    out["requestBody"] =
        json::object{{"required", true}, {"content", content(reference(operation.body))}};
  }
  return out;
}

std::string build() {
  json::object paths;
  for (const Operation& each : kOperations) {
    json::value& item = paths[each.path];
    if (!item.is_object()) item = json::object{};
    item.get_object()[each.method] = operation_of(each, each.path, each.id);
    const std::string_view path = each.path;
    if (!path.starts_with("/webhooks")) continue;
    const std::string hub = "/hubs/{hub}" + std::string(path);
    json::value& twin = paths[hub];
    if (!twin.is_object()) twin = json::object{};
    twin.get_object()[each.method] = operation_of(each, hub, std::string(each.id) + "OfHub");
  }
  json::object schemes{
      {"authorization",
       {{"type", "apiKey"},
        {"in", "header"},
        {"name", "Authorization"},
        {"description",
         "User <secret>, Organization <secret> or User <secret>, Element <token>"}}}};
  json::object document{
      {"openapi", "3.1.0"},
      {"info", {{"title", "eventrelay control API"}, {"version", EVENTRELAY_VERSION}}},
      {"servers", json::array{json::object{{"url", "/elements/api-v2"}}}},
      {"paths", std::move(paths)},
      {"components",
       {{"schemas", json::parse({kSchemas.data(), kSchemas.size()})},
        {"securitySchemes", std::move(schemes)}}}};
  return json::serialize(document);
}

}  // namespace

const std::string& openapi_document() {
  static const std::string kDocument = build();
  return kDocument;
}

}  // namespace eventrelay::control
