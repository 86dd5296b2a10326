// The table of keys as a JSON Schema: what can be told from the text alone, without the
// environment, the files and the relations between keys.
#include <string>

#include "common/config/config_load.hpp"
#include "common/config/config_schema.hpp"
#include "common/text/json_text.hpp"

namespace eventrelay {

namespace {

using config::Kind;
using config::Row;
using config::Schema;

// Any value may be put together of ${VAR} and ${VAR:-default}; what comes out is judged at start.
constexpr std::string_view kVariable = R"({"type":"string","pattern":"\\$\\{"})";
constexpr std::string_view kScalar = R"({"type":["string","number","boolean"]})";
constexpr std::string_view kSecret = R"({"oneOf":[{"type":["string","number"]},)"
                                     R"({"type":"object","properties":{"file":{"type":"string"}},)"
                                     R"("required":["file"],"additionalProperties":false},)"
                                     R"({"type":"object","properties":{"env":{"type":"string"}},)"
                                     R"("required":["env"],"additionalProperties":false}]})";

std::string or_variable(const std::string& schema) {
  return R"({"anyOf":[)" + schema + "," + std::string(kVariable) + "]}";
}

// `low` and `high` of a row under the names that a type gives them, with a comma in front.
std::string bounds(const Row& row, std::string_view least, std::string_view most) {
  if (row.high < row.low) return {};
  const auto whole = [](double number) { return std::to_string(static_cast<long long>(number)); };
  return ",\"" + std::string(least) + "\":" + whole(row.low) + ",\"" + std::string(most) +
         "\":" + whole(row.high);
}

std::string array_of(const std::string& items, const Row& row) {
  return R"({"type":"array","items":)" + items + bounds(row, "minItems", "maxItems") + "}";
}

std::string words(const Row& row) {
  std::string list = "[";
  for (const std::string_view word : row.words) {
    if (list.size() > 1) list += ',';
    append_json_string(list, word);
  }
  return R"({"enum":)" + list + "]}";
}

constexpr std::string_view kDuration = R"({"type":"string","pattern":"^[0-9]+(ms|s|m|h|d)$"})";
constexpr std::string_view kSize =
    R"({"type":"string","pattern":"^[0-9]+(B|kB|MB|GB|KiB|MiB|GiB)$"})";

std::string section(const Schema& schema, std::string_view sentence);

std::string value(const Row& row) {
  const std::string scalar(kScalar);
  const std::string secret(kSecret);
  switch (row.kind) {
    case Kind::Text:
      return R"({"type":["string","number"])" +
             (row.problem == nullptr ? bounds(row, "minLength", "maxLength") : std::string{}) + "}";
    case Kind::Boolean:
      return or_variable(R"({"type":"boolean"})");
    case Kind::WordyBoolean:
      return or_variable(R"({"enum":[true,false,"true","false"]})");
    case Kind::Number:
      return or_variable(R"({"type":"integer")" + bounds(row, "minimum", "maximum") + "}");
    case Kind::Real: {
      std::string schema = R"({"type":"number")";
      if (row.high >= row.low) {
        schema += ",\"minimum\":" + std::to_string(row.low);
        schema += ",\"maximum\":" + std::to_string(row.high);
      }
      return or_variable(schema + "}");
    }
    case Kind::Duration:
      return or_variable(std::string(kDuration));
    case Kind::Size:
      return or_variable(std::string(kSize));
    case Kind::Word:
      return or_variable(words(row));
    case Kind::SecretText:
    case Kind::SecretFile:
      return secret;
    case Kind::Texts:
      return array_of(scalar, row);
    case Kind::TextOrTexts:
      return R"({"oneOf":[{"type":"string"},)" + array_of(scalar, row) + "]}";
    case Kind::Numbers:
      return R"({"type":"array","items":)" + or_variable(R"({"type":"integer"})") + "}";
    case Kind::Delays:
      return R"({"oneOf":[{"type":"string"},)" +
             array_of(or_variable(std::string(kDuration)), row) + "]}";
    case Kind::Secrets:
      return array_of(secret, row);
    case Kind::Object:
      return section(row.schema(), row.sentence);
    case Kind::List: {
      const std::string items = section(row.schema(), {});
      return R"({"type":["array","null"],"items":)" + items + bounds(row, "minItems", "maxItems") +
             "}";
    }
    case Kind::Map:
      return R"({"type":["object","null"],"additionalProperties":)" + section(row.schema(), {}) +
             bounds(row, "minProperties", "maxProperties") + "}";
  }
  return "{}";
}

// A key with its sentence: JSON Schema lets a description stand beside everything else.
std::string described(const Row& row) {
  std::string schema = value(row);
  if (row.kind == Kind::Object || row.sentence.empty()) return schema;
  schema.pop_back();
  if (schema.size() > 1) schema += ',';
  schema += "\"description\":";
  append_json_string(schema, row.sentence);
  return schema + "}";
}

std::string section(const Schema& schema, std::string_view sentence) {
  std::string properties = "{";
  for (const Row& row : schema.rows) {
    if (properties.size() > 1) properties += ',';
    append_json_string(properties, row.key);
    properties += ':' + described(row);
  }
  properties += '}';
  std::string text = R"({"type":["object","null"])";
  if (!sentence.empty()) {
    text += ",\"description\":";
    append_json_string(text, sentence);
  }
  text += ",\"properties\":" + properties + ",\"additionalProperties\":";
  // An open key may be a secret, which is a text or says where its text is.
  text += schema.open ? R"({"anyOf":[)" + std::string(kSecret) + R"(,{"type":["boolean","null"]}]})"
                      : std::string("false");
  return text + "}";
}

}  // namespace

std::string config_json_schema(SchemaDraft draft) {
  const bool seven = draft == SchemaDraft::Seven;
  std::string text = section(config::root_schema(), "Configuration of eventrelay.");
  const std::string head = seven ? R"({"$schema":"http://json-schema.org/draft-07/schema#",)"
                                 : R"({"$schema":"https://json-schema.org/draft/2020-12/schema",)";
  return head + R"("title":"eventrelay",)" + text.substr(1) + "\n";
}

}  // namespace eventrelay
