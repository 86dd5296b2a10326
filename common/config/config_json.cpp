#include "common/config/config_json.hpp"

#include <boost/json/array.hpp>
#include <memory>
#include <stdexcept>
#include <utility>
#include <variant>

#include "common/config/config_parse.hpp"
#include "common/config/config_units.hpp"
#include "common/config/config_values.hpp"

namespace eventrelay::config {
namespace {

namespace json = boost::json;

template <class List, class Write>
json::value list_of(const List& values, const Write& write) {
  json::array out;
  for (const auto& each : values) out.push_back(write(each));
  return out;
}

json::value write_value(const Row& row, const Value& value, const WriteSecret& secret) {
  const auto sealed = [&](const Secret& each) { return secret(each.reveal()); };
  const auto time = [](std::chrono::milliseconds each) {
    return json::value(print_duration(each));
  };
  return std::visit(
      Overloaded{
          [](bool b) { return json::value(b); },
          [&](std::int64_t n) {
            return row.kind == Kind::Size ? json::value(print_size(n)) : json::value(n);
          },
          [](double n) { return json::value(n); }, time,
          [](const std::string& text) { return json::value(text); }, sealed,
          [](const std::vector<std::string>& list) {
            return list_of(list, [](const std::string& each) { return json::value(each); });
          },
          [](const std::vector<std::int64_t>& list) {
            return list_of(list, [](std::int64_t each) { return json::value(each); });
          },
          [&](const std::vector<std::chrono::milliseconds>& list) { return list_of(list, time); },
          [&](const std::vector<Secret>& list) { return list_of(list, sealed); }},
      value);
}

// Only ever compared, never kept.
json::value comparable(const Row& row, const Value& value) {
  return write_value(row, value, [](std::string_view plain) { return json::value(plain); });
}

// Walks the table along a struct and its defaults. Thread: one owner.  Bounds: as the table.
class Writer {
 public:
  explicit Writer(const WriteSecret& secret) : secret_(secret) {}

  json::object section(const Schema& schema, const void* owner, const void* defaults) const {
    json::object out;
    for (const Row& row : schema.rows) write(row, owner, defaults, out);
    if (schema.open) open(*schema.open, owner, false, out);
    return out;
  }

 private:
  // Values of headers are credentials as a rule, whatever their names say.
  void open(const Open& open, const void* owner, bool all_secret, json::object& out) const {
    for (const auto& [key, value] : open.get(owner)) {
      const bool sealed = all_secret || value.secret;
      out[key] = sealed ? secret_(value.text) : json::value(value.text);
    }
  }

  void write(const Row& row, const void* owner, const void* defaults, json::object& out) const {
    if (row.kind == Kind::Object || row.kind == Kind::List || row.kind == Kind::Map) {
      return structs(row, owner, defaults, out);
    }
    if (row.written != nullptr && !row.written(owner)) return;
    const std::optional<Value> value = row.get(owner);
    if (!value) return;
    const std::optional<Value> normal = row.get(defaults);
    if (normal && comparable(row, *normal) == comparable(row, *value)) return;
    out[row.key] = write_value(row, *value, secret_);
  }

  void structs(const Row& row, const void* owner, const void* defaults, json::object& out) const {
    json::array items;
    json::object named;
    row.visit(owner, [&](std::string_view name, const void* item) {
      const std::shared_ptr<void> fresh = row.fresh();
      const Schema& schema = row.schema();
      json::object one = section(schema, item, fresh ? fresh.get() : defaults);
      if (row.kind == Kind::List) {
        items.push_back(std::move(one));
      } else if (row.kind == Kind::Map) {
        named[name] = std::move(one);
      } else {
        if (row.key == "headers" && schema.open) open(*schema.open, item, true, one);
        named = std::move(one);
      }
    });
    if (!items.empty()) out[row.key] = std::move(items);
    if (!named.empty()) out[row.key] = std::move(named);
  }

  const WriteSecret& secret_;
};

YamlNode scalar(std::string text, bool quoted) {
  YamlNode node;
  node.kind = YamlNode::Kind::Scalar;
  node.quoted = quoted;
  node.text = std::move(text);
  return node;
}

YamlNode tree(const json::value& value, const ReadSecret& secret, std::size_t depth) {
  if (depth > kJsonDepthMax) throw std::invalid_argument("more than 32 levels deep");
  if (std::optional<std::string> plain = secret(value)) return scalar(*std::move(plain), true);
  YamlNode node;
  switch (value.kind()) {
    case json::kind::null:
      return node;
    case json::kind::bool_:
      return scalar(value.get_bool() ? "true" : "false", false);
    case json::kind::int64:
      return scalar(std::to_string(value.get_int64()), false);
    case json::kind::uint64:
      return scalar(std::to_string(value.get_uint64()), false);
    case json::kind::double_:
      return scalar(print_real(value.get_double()), false);
    case json::kind::string:
      return scalar(std::string(value.get_string()), true);
    case json::kind::array:
      node.kind = YamlNode::Kind::List;
      node.items.reserve(value.get_array().size());
      for (const json::value& each : value.get_array()) {
        node.items.push_back(tree(each, secret, depth + 1));
      }
      return node;
    case json::kind::object:
      node.kind = YamlNode::Kind::Map;
      node.entries.reserve(value.get_object().size());
      for (const auto& [key, each] : value.get_object()) {
        YamlEntry& entry = node.entries.emplace_back();
        entry.key.assign(key.data(), key.size());
        entry.value = tree(each, secret, depth + 1);
      }
      return node;
  }
  return node;
}

}  // namespace

json::object to_json(const Schema& schema, const void* owner, const void* defaults,
                     const WriteSecret& secret) {
  return Writer(secret).section(schema, owner, defaults);
}

YamlNode to_tree(const json::value& value, const ReadSecret& secret) {
  return tree(value, secret, 0);
}

std::string from_json(const json::value& value, const Schema& schema, void* owner,
                      const ReadSecret& secret) {
  static const Environment kNone;
  Findings findings;
  try {
    const YamlNode root = to_tree(value, secret);
    if (root.kind != YamlNode::Kind::Map) return "must be an object";
    Parser parser({{}, false, &kNone, true}, findings);
    parser.section(root, schema, owner, Path{});
  } catch (const std::invalid_argument& problem) {
    return problem.what();
  }
  return findings.text();
}

}  // namespace eventrelay::config
