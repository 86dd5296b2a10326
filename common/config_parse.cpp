#include "common/config_parse.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "common/config_units.hpp"

namespace eventrelay::config {
namespace {

// The text of a value for a message: as written, so that no replaced ${VAR} shows.
std::string shown(const std::string& text) {
  std::string out = "\"";
  for (const char c : std::string_view(text).substr(0, 40)) {
    out.push_back(static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c);
  }
  return out.append(text.size() > 40 ? "...\"" : "\"");
}

std::string joined(std::span<const std::string_view> words) {
  std::string out;
  for (const std::string_view word : words) out.append(out.empty() ? "" : ", ").append(word);
  return out;
}

// Numbers in messages look as in the file: 5ms, 64KiB, 0.5, 12.
std::string in_unit(Kind kind, double number) {
  if (kind == Kind::Real) return print_real(number);
  const auto whole = static_cast<std::int64_t>(number);
  if (kind == Kind::Duration || kind == Kind::Delays) {
    return print_duration(std::chrono::milliseconds{whole});
  }
  return kind == Kind::Size ? print_size(whole) : std::to_string(whole);
}

}  // namespace

std::string kind_text(const Row& row) {
  switch (row.kind) {
    case Kind::Text:
      return "text";
    case Kind::Boolean:
    case Kind::WordyBoolean:
      return "true or false";
    case Kind::Number:
      return "whole number";
    case Kind::Real:
      return "number";
    case Kind::Duration:
      return "duration";
    case Kind::Size:
      return "size";
    case Kind::Word:
      return "one of " + joined(row.words);
    case Kind::SecretText:
      return "secret";
    case Kind::SecretFile:
      return "path";
    case Kind::Texts:
      return "list of texts";
    case Kind::TextOrTexts:
      return "text or list of texts";
    case Kind::Numbers:
      return "list of whole numbers";
    case Kind::Delays:
      return "list of durations, or one of ce, ce-legacy";
    case Kind::Secrets:
      return "list of secrets";
    case Kind::Object:
    case Kind::List:
    case Kind::Map:
      return "section";
  }
  return {};
}

std::string bound_text(const Row& row) {
  if (row.high < row.low) return {};
  const bool entries = row.kind == Kind::Texts || row.kind == Kind::TextOrTexts ||
                       row.kind == Kind::Secrets || row.kind == Kind::List ||
                       row.kind == Kind::Map || row.kind == Kind::Delays;
  if (entries || row.kind == Kind::Text) {
    return in_unit(Kind::Number, row.low) + ".." + in_unit(Kind::Number, row.high) +
           (entries ? " entries" : " characters");
  }
  return in_unit(row.kind, row.low) + ".." + in_unit(row.kind, row.high);
}

void Parser::finding(Mark mark, const Path& path, std::string_view problem) {
  std::string place(origin_.name);
  if (origin_.file && mark.line > 0) {
    place.append(":").append(std::to_string(mark.line));
    place.append(":").append(std::to_string(mark.column));
  }
  findings_.add(place, path.text(), problem);
}

bool Parser::kind_is(const YamlNode& node, YamlNode::Kind kind, const Path& path) {
  if (node.kind == kind) return true;
  finding(node.mark, path,
          std::string("must be ")
              .append(describe(kind))
              .append(", found ")
              .append(describe(node.kind)));
  return false;
}

Parser::Text Parser::scalar(const YamlNode& node, const Path& path) {
  if (!kind_is(node, YamlNode::Kind::Scalar, path)) return std::nullopt;
  if (!origin_.file || node.text.find('$') == std::string::npos) return node.text;
  std::string problem;
  std::string text = substitute(node.text, *origin_.environment, problem);
  if (problem.empty()) return text;
  finding(node.mark, path, problem);
  return std::nullopt;
}

void Parser::doubled_keys(const YamlNode& node, const Path& path) {
  std::vector<const YamlEntry*> sorted;
  sorted.reserve(node.entries.size());
  for (const YamlEntry& entry : node.entries) sorted.push_back(&entry);
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const YamlEntry* a, const YamlEntry* b) { return a->key < b->key; });
  for (std::size_t i = 1; i < sorted.size(); ++i) {
    if (sorted[i]->key != sorted[i - 1]->key) continue;
    finding(sorted[i]->mark, Path(path, sorted[i]->key),
            "doubled key, first in line " + std::to_string(sorted[i - 1]->mark.line));
  }
}

void Parser::section(const YamlNode& node, const Schema& schema, void* owner, const Path& path) {
  if (node.kind == YamlNode::Kind::Null) return;
  if (!kind_is(node, YamlNode::Kind::Map, path)) return;
  doubled_keys(node, path);
  std::size_t open_keys = 0;
  for (const YamlEntry& entry : node.entries) {
    const Path here(path, entry.key);
    if (const Row* row = schema.find(entry.key)) {
      value(entry.value, *row, owner, here);
    } else if (schema.open) {
      if (++open_keys == schema.open->most + 1) {
        finding(entry.mark, path, "more than " + std::to_string(schema.open->most) + " entries");
      }
      if (open_keys > schema.open->most) continue;
      open_value(entry.value, *schema.open, owner, here, entry.key);
    } else {
      unknown(entry.mark, schema, path, entry.key);
    }
  }
}

void Parser::value(const YamlNode& node, const Row& row, void* owner, const Path& path) {
  if (row.kind == Kind::Object) {
    section(node, row.schema(), row.enter(owner, {}), path);
  } else if (row.kind == Kind::List) {
    row.clear(owner);
    if (node.kind == YamlNode::Kind::Null || !kind_is(node, YamlNode::Kind::List, path)) return;
    if (!count_fits(node, row, path)) return;
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      const Path here(path, i);
      if (!kind_is(node.items[i], YamlNode::Kind::Map, here)) continue;
      section(node.items[i], row.schema(), row.enter(owner, {}), here);
    }
  } else if (row.kind == Kind::Map) {
    if (node.kind == YamlNode::Kind::Null || !kind_is(node, YamlNode::Kind::Map, path)) return;
    doubled_keys(node, path);
    if (!count_fits(node, row, path)) return;
    for (const YamlEntry& entry : node.entries) {
      const Path here(path, entry.key);
      const std::string problem = row.problem == nullptr ? "" : row.problem(entry.key);
      if (!problem.empty()) {
        finding(entry.mark, here, "the name " + problem);
      } else {
        section(entry.value, row.schema(), row.enter(owner, entry.key), here);
      }
    }
  } else if (std::optional<Value> value = single(node, row, path)) {
    row.set(owner, std::move(*value));
  }
}

void Parser::open_value(const YamlNode& node, const Open& open, void* owner, const Path& path,
                        std::string_view key) {
  if (node.kind == YamlNode::Kind::Null) return;  // as the Elements API answers unset keys
  OpenValue out;
  out.secret = open.secret != nullptr && open.secret(key);
  if (out.secret) {
    std::optional<Secret> secret_text = secret(node, PlainText::IsSecret, path);
    if (!secret_text) return;
    out.text = std::string(secret_text->reveal());
  } else {
    Text text = scalar(node, path);
    if (!text) return;
    out.text = std::move(*text);
  }
  const std::string problem = open.problem == nullptr ? "" : open.problem(key, out.text);
  if (!problem.empty()) {
    finding(node.mark, path, problem);
    return;
  }
  open.set(owner, std::string(key), std::move(out));
}

bool Parser::within(const YamlNode& node, const Row& row, double number, const Path& path) {
  if (row.high < row.low || (number >= row.low && number <= row.high)) return true;
  const bool below = number < row.low;
  const std::string text = row.kind == Kind::Numbers ? in_unit(Kind::Number, number) : node.text;
  finding(
      node.mark, path,
      text + (below ? " is below " : " is above ") + in_unit(row.kind, below ? row.low : row.high) +
          " (allowed: " + in_unit(row.kind, row.low) + ".." + in_unit(row.kind, row.high) + ")");
  return false;
}

bool Parser::fits(const YamlNode& node, const Row& row, std::string_view text, const Path& path) {
  const auto size = static_cast<double>(text.size());
  if (row.kind == Kind::Text && row.high >= row.low && (size < row.low || size > row.high)) {
    finding(node.mark, path,
            std::to_string(text.size()) + " characters (allowed: " + bound_text(row) + ")");
    return false;
  }
  const std::string problem = row.problem == nullptr ? "" : row.problem(text);
  if (problem.empty()) return true;
  finding(node.mark, path, shown(node.text) + " " + problem);
  return false;
}

std::optional<Value> Parser::number(const YamlNode& node, const Row& row, const std::string& text,
                                    const Path& path) {
  const auto told = [&](std::string_view what) {
    const std::string bound = bound_text(row);
    finding(node.mark, path,
            shown(node.text).append(" ").append(what).append(
                bound.empty() ? "" : " (allowed: " + bound + ")"));
    return std::optional<Value>{};
  };
  if (row.kind == Kind::Real) {
    const std::optional<double> real = parse_real(text);
    if (!real) return told("is not a number");
    return within(node, row, *real, path) ? std::optional<Value>(*real) : std::nullopt;
  }
  std::optional<std::int64_t> whole;
  if (row.kind == Kind::Duration) {
    const std::optional<std::chrono::milliseconds> duration = parse_duration(text);
    if (!duration) return told("is not a duration with a unit, such as 250ms, 5s, 30m, 2h, 1d");
    whole = duration->count();
  } else if (row.kind == Kind::Size) {
    whole = parse_size(text);
    if (!whole) return told("is not a size with a unit, such as 512B, 64KiB, 16MiB, 1MB");
  } else {
    whole = parse_integer(text);
    if (!whole) return told("is not a whole number");
  }
  if (!within(node, row, static_cast<double>(*whole), path)) return std::nullopt;
  if (row.kind == Kind::Duration) return std::chrono::milliseconds{*whole};
  return *whole;
}

std::optional<Value> Parser::single(const YamlNode& node, const Row& row, const Path& path) {
  switch (row.kind) {
    case Kind::Texts:
    case Kind::TextOrTexts:
      return texts(node, row, path);
    case Kind::Numbers:
      return numbers(node, row, path);
    case Kind::Delays:
      return delays(node, row, path);
    case Kind::Secrets:
      return secrets(node, row, path);
    case Kind::SecretText:
    case Kind::SecretFile: {
      const bool plain = row.kind == Kind::SecretText;
      return secret(node, plain ? PlainText::IsSecret : PlainText::IsPath, path);
    }
    default:
      break;
  }
  Text text = scalar(node, path);
  if (!text) return std::nullopt;
  if (row.kind == Kind::Boolean || row.kind == Kind::WordyBoolean) {
    const bool word = *text == "true" || *text == "false";
    if (word && (!node.quoted || row.kind == Kind::WordyBoolean)) return *text == "true";
    finding(node.mark, path,
            shown(node.text) + (word ? " in quotes is text; write true or false without them"
                                     : " is not true or false"));
    return std::nullopt;
  }
  if (row.kind == Kind::Word) {
    if (std::find(row.words.begin(), row.words.end(), *text) != row.words.end()) return *text;
    finding(node.mark, path, shown(node.text) + " is not one of " + joined(row.words));
    return std::nullopt;
  }
  if (row.kind != Kind::Text) return number(node, row, *text, path);
  return fits(node, row, *text, path) ? std::optional<Value>(std::move(*text)) : std::nullopt;
}

}  // namespace eventrelay::config
