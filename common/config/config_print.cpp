// Prints a configuration as YAML that loads again, and the keys with their sentences.
#include <algorithm>
#include <functional>
#include <variant>

#include "common/base/hex.hpp"
#include "common/config/config_instances_schema.hpp"
#include "common/config/config_load.hpp"
#include "common/config/config_rules.hpp"
#include "common/config/config_schema.hpp"
#include "common/config/config_units.hpp"
#include "common/config/config_values.hpp"

namespace eventrelay {
namespace {

using config::Kind;
using config::OpenValue;
using config::Overloaded;
using config::Row;
using config::Schema;
using config::Value;

// Double-quoted YAML, every dollar doubled so that it reads back as itself.
std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out.append("\\").push_back(c);
    } else if (c == '$') {
      out.append("$$");
    } else if (byte < 0x20 || byte == 0x7f) {
      out.append("\\x");
      out.push_back(kHexDigits[byte >> 4U]);
      out.push_back(kHexDigits[byte & 15U]);
    } else {
      out.push_back(c);
    }
  }
  return out.append("\"");
}

// Words that read back as themselves stay bare.
std::string plain(std::string_view text) {
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_' || c == '/' || c == ':';
  };
  const bool bare = !text.empty() && std::all_of(text.begin(), text.end(), good) &&
                    text.front() != '-' && text.front() != ':' && text.back() != ':' &&
                    !config::parse_real(text) && text != "null" && text != "true" &&
                    text != "false" && text != "...";
  return bare ? std::string(text) : quoted(text);
}

template <class List, class Print>
std::string flow(const List& list, const Print& print) {
  std::string out = "[";
  for (const auto& each : list) out.append(out.size() > 1 ? ", " : "").append(print(each));
  return out.append("]");
}

std::string masked() {
  return quoted(config::kMask);
}

std::string print_value(const Row& row, const Value& value, ShowSecrets show = ShowSecrets::No) {
  const auto secret = [show](const Secret& each) {
    return show == ShowSecrets::Yes ? quoted(each.reveal()) : masked();
  };
  return std::visit(
      Overloaded{[](bool b) { return std::string(b ? "true" : "false"); },
                 [&](std::int64_t n) {
                   return row.kind == Kind::Size ? config::print_size(n) : std::to_string(n);
                 },
                 [](double n) { return config::print_real(n); },
                 [](std::chrono::milliseconds d) { return config::print_duration(d); },
                 [&](const std::string& text) {
                   const bool mask = show == ShowSecrets::No && row.key.ends_with("url");
                   return plain(mask ? config::masked_url(text) : text);
                 },
                 secret, [](const std::vector<std::string>& list) { return flow(list, plain); },
                 [](const std::vector<std::int64_t>& list) {
                   return flow(list, [](std::int64_t n) { return std::to_string(n); });
                 },
                 [](const std::vector<std::chrono::milliseconds>& list) {
                   return flow(list, config::print_duration);
                 },
                 [&](const std::vector<Secret>& list) { return flow(list, secret); }},
      value);
}

// Writes structs as block YAML; lists of structs one struct per `-`.
// Thread: one owner.  Bounds: as the configuration.
class Printer {
 public:
  explicit Printer(ShowSecrets show = ShowSecrets::No) : show_(show) {}

  void section(const Schema& schema, const void* owner, std::size_t indent) {
    for (const Row& row : schema.rows) print_row(row, owner, indent);
    if (!schema.open) return;
    for (const auto& [key, value] : schema.open->get(owner)) {
      const bool shown = show_ == ShowSecrets::Yes;
      const bool hidden = value.secret || value.text.find("-----BEGIN") != std::string::npos;
      line(indent, key,
           shown    ? plain(value.text)
           : hidden ? masked()
                    : plain(config::masked_url(value.text)));
    }
  }
  [[nodiscard]] std::string take() { return std::move(out_); }

 private:
  void print_row(const Row& row, const void* owner, std::size_t indent) {
    if (row.kind == Kind::List) {
      print_list(row, owner, indent);
    } else if (row.kind == Kind::Object || row.kind == Kind::Map) {
      print_section(row, owner, indent);
    } else if (row.written != nullptr && !row.written(owner) && show_ == ShowSecrets::Yes) {
      return;
    } else if (const std::optional<Value> value = row.get(owner)) {
      const std::string* const text = std::get_if<std::string>(&*value);
      const bool unset = text != nullptr && text->empty() && row.problem != nullptr;
      if (!unset || row.low == 0) line(indent, row.key, print_value(row, *value, show_));
    }
  }

  void print_section(const Row& row, const void* owner, std::size_t indent) {
    Printer inner(show_);
    row.visit(owner, [&](std::string_view name, const void* item) {
      if (row.kind == Kind::Map) inner.line(indent + 2, name, {});
      inner.section(row.schema(), item, indent + (row.kind == Kind::Map ? 4 : 2));
    });
    const std::string text = inner.take();
    if (text.empty()) return;
    line(indent, row.key, {});
    out_.append(text);
  }

  void print_list(const Row& row, const void* owner, std::size_t indent) {
    std::size_t count = 0;
    row.visit(owner, [&](std::string_view, const void* item) {
      if (count++ == 0) line(indent, row.key, {});
      Printer inner(show_);
      inner.section(row.schema(), item, indent + 4);
      std::string text = inner.take();
      text[indent + 2] = '-';
      out_.append(text);
    });
  }

  void line(std::size_t indent, std::string_view key, const std::string& value) {
    out_.append(indent, ' ').append(plain(key)).append(value.empty() ? ":" : ": ");
    out_.append(value).append("\n");
  }

  ShowSecrets show_;
  std::string out_;
};

// The help of one key.
std::string describe(const Row& row, const std::string& name, const void* defaults) {
  std::string out = name + "\n    " + std::string(row.sentence) + "\n    ";
  out.append(config::kind_text(row));
  const std::string bound = config::bound_text(row);
  if (!bound.empty()) out.append(", ").append(bound);
  if (!row.rule.empty()) out.append(", ").append(row.rule);
  const std::optional<Value> value = row.get(defaults);
  const std::string* const text = value ? std::get_if<std::string>(&*value) : nullptr;
  if (!row.shown_default.empty()) {
    out.append("; default ").append(row.shown_default);
  } else if (value && (text == nullptr || !text->empty())) {
    out.append("; default ").append(print_value(row, *value));
  }
  return out.append(row.effect == config::Effect::Restart ? "; restart\n" : "\n");
}

// Writes the help of all keys; a struct that occurs twice is written once.
// Thread: one owner.  Bounds: as the table.
class Describer {
 public:
  void section(const Schema& schema, const std::string& prefix, const void* defaults) {
    for (const Row& row : schema.rows) {
      std::string name = prefix + std::string(row.key);
      if (row.schema == nullptr) {
        out_.append(describe(row, name, defaults));
        continue;
      }
      if (row.kind == Kind::Map) name.append(".<name>");
      if (row.kind == Kind::List) name.append("[]");
      const auto [known, fresh] = names_.emplace(&row.schema(), name);
      if (!fresh) {
        out_.append(name).append("\n    As ").append(known->second).append(".\n");
        continue;
      }
      const std::shared_ptr<void> owner = row.fresh();
      section(row.schema(), name + ".", owner ? owner.get() : defaults);
    }
    if (schema.open) open(*schema.open, prefix);
  }
  [[nodiscard]] std::string take() { return std::move(out_); }

 private:
  void open(const config::Open& open, const std::string& prefix) {
    out_.append(prefix).append(open.name).append("\n    ").append(open.sentence);
    out_.append("\n    text, at most ").append(std::to_string(open.most)).append(" keys");
    out_.append(open.effect == config::Effect::Restart ? "; restart\n" : "\n");
  }

  std::map<const Schema*, std::string> names_;
  std::string out_;
};

// Text of a value with its secrets, only ever compared.
std::string comparable_text(const Row& row, const void* owner) {
  const std::optional<Value> value = row.get(owner);
  if (!value) return {};
  if (const Secret* secret = std::get_if<Secret>(&*value)) return std::string(secret->reveal());
  return print_value(row, *value);
}

void compare(const Schema& schema, const std::string& prefix,
             const std::pair<const void*, const void*>& owners, std::vector<std::string>& out) {
  const auto [before, after] = owners;
  if (schema.open && schema.open->effect == config::Effect::Restart) {
    const std::map<std::string, OpenValue> old_values = schema.open->get(before);
    std::map<std::string, OpenValue> new_values = schema.open->get(after);
    for (const auto& [key, value] : old_values) {
      const auto found = new_values.find(key);
      const bool same = found != new_values.end() && found->second.text == value.text;
      if (found != new_values.end()) new_values.erase(found);
      if (!same) out.push_back(prefix + key);
    }
    for (const auto& [key, value] : new_values) out.push_back(prefix + key);
  }
  for (const Row& row : schema.rows) {
    const std::string name = prefix + std::string(row.key);
    if (row.kind == Kind::Object) {
      const void* old_owner = nullptr;
      const void* new_owner = nullptr;
      row.visit(before, [&](std::string_view, const void* item) { old_owner = item; });
      row.visit(after, [&](std::string_view, const void* item) { new_owner = item; });
      if (old_owner != nullptr && new_owner != nullptr) {
        compare(row.schema(), name + ".", {old_owner, new_owner}, out);
      } else if (old_owner != new_owner) {
        out.push_back(name);
      }
    } else if (row.schema == nullptr && row.effect == config::Effect::Restart &&
               comparable_text(row, before) != comparable_text(row, after)) {
      out.push_back(name);
    }
  }
}

}  // namespace

std::string print_instances(const std::vector<InstanceConfig>& instances, ShowSecrets show) {
  if (instances.empty()) return "instances: []\n";
  std::string out = "instances:\n";
  for (const InstanceConfig& each : instances) {
    // A word that was not given is left out: it follows from whether there is a key.
    Printer printer(show);
    printer.section(config::instance_schema(), &each, 4);
    std::string text = printer.take();
    text[2] = '-';
    out += text;
  }
  return out;
}

std::string print_config(const Config& config) {
  Printer printer;
  printer.section(config::root_schema(), &config, 0);
  return printer.take();
}

std::string describe_keys() {
  const Config defaults;
  Describer describer;
  describer.section(config::root_schema(), "", &defaults);
  return describer.take();
}

std::vector<std::string> restart_only_changes(const Config& before, const Config& after) {
  std::vector<std::string> out;
  compare(config::root_schema(), "", {&before, &after}, out);
  return out;
}

}  // namespace eventrelay
