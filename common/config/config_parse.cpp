#include "common/config/config_parse.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "common/config/config_rules.hpp"
#include "common/config/config_units.hpp"

namespace eventrelay::config {
namespace {

// A line `Name: value` that was quoted as one key may hold a secret behind its colon.
std::string shown_name(const std::string& key) {
  const std::size_t end = key.find(':');
  return end == std::string::npos ? key : key.substr(0, end) + "...";
}

// The text of a value for a message: as written, so that no replaced ${VAR} shows.
std::string shown(const std::string& text) {
  if (may_be_secret(text)) return "a value of " + std::to_string(text.size()) + " characters";
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

Parser::Text Parser::scalar(const YamlNode& node, const Path& path, Want want) {
  if (origin_.typed && want != Want::Any && (node.kind != YamlNode::Kind::Scalar || !node.quoted)) {
    finding(node.mark, path, "must be a text");
    return std::nullopt;
  }
  if (!kind_is(node, YamlNode::Kind::Scalar, path)) return std::nullopt;
  if (!origin_.file || node.text.find('$') == std::string::npos) return node.text;
  std::string problem;
  std::string text = substitute(node.text, *origin_.environment, problem);
  if (problem.empty()) return text;
  if (want == Want::Secret)
    problem = "holds ${...} of no variable that is set; write $$ for a dollar";
  finding(node.mark, path, problem);
  return std::nullopt;
}

void Parser::doubled_keys(const YamlNode& node, const Path& path) {
  if (origin_.typed) return;  // the reader of the JSON has seen to it
  std::vector<const YamlEntry*> sorted;
  sorted.reserve(node.entries.size());
  for (const YamlEntry& entry : node.entries) sorted.push_back(&entry);
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const YamlEntry* a, const YamlEntry* b) { return a->key < b->key; });
  for (std::size_t i = 1; i < sorted.size(); ++i) {
    if (sorted[i]->key != sorted[i - 1]->key) continue;
    const std::string name = shown_name(sorted[i]->key);
    finding(sorted[i]->mark, Path(path, name),
            "doubled key, first in line " + std::to_string(sorted[i - 1]->mark.line));
  }
}

void Parser::section(const YamlNode& node, const Schema& schema, void* owner, const Path& path) {
  if (node.kind == YamlNode::Kind::Null) return;
  if (!kind_is(node, YamlNode::Kind::Map, path)) return;
  doubled_keys(node, path);
  std::size_t open_keys = 0;
  for (const YamlEntry& entry : node.entries) {
    const std::string name = shown_name(entry.key);
    const Path here(path, name);
    if (const Row* row = schema.find(entry.key)) {
      value(entry.value, *row, owner, here);
    } else if (schema.open) {
      if (++open_keys == schema.open->most + 1) {
        finding(entry.mark, path, "more than " + std::to_string(schema.open->most) + " entries");
      }
      if (open_keys > schema.open->most) continue;
      open_value(entry.value, *schema.open, owner, here, entry.key);
    } else {
      unknown(entry.mark, schema, path, name);
    }
  }
}

void Parser::value(const YamlNode& node, const Row& row, void* owner, const Path& path) {
  if (row.kind == Kind::Object) {
    section(node, row.schema(), row.enter(owner, {}), path);
  } else if (row.kind == Kind::List) {
    if (node.taken == 0) row.clear(owner);
    if (node.kind == YamlNode::Kind::Null || !kind_is(node, YamlNode::Kind::List, path)) return;
    if (!count_fits(node, row, path)) return;
    for (std::size_t i = 0; i < node.items.size(); ++i) item(node.items[i], row, owner, path, i);
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

void Parser::item(const YamlNode& node, const Row& row, void* owner, const Path& list,
                  std::size_t index) {
  const Path here(list, index);
  if (!kind_is(node, YamlNode::Kind::Map, here)) return;
  section(node, row.schema(), row.enter(owner, {}), here);
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
  std::string text = in_unit(Kind::Number, number);
  if (row.kind != Kind::Numbers) text = may_be_secret(node.text) ? shown(node.text) : node.text;
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
  const bool bare = row.kind == Kind::Boolean || row.kind == Kind::WordyBoolean ||
                    row.kind == Kind::Number || row.kind == Kind::Real;
  Text text = scalar(node, path, bare ? Want::Any : Want::Text);
  if (!text) return std::nullopt;
  if (origin_.typed && node.quoted && (row.kind == Kind::Number || row.kind == Kind::Real)) {
    finding(node.mark, path, "must be a " + kind_text(row) + ", found a text");
    return std::nullopt;
  }
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

// --- lists and secrets ---------------------------------------------------------------------------

namespace {

constexpr std::chrono::milliseconds kDelayMin{10};
constexpr std::chrono::milliseconds kDelayMax = std::chrono::hours{24 * 7};
constexpr std::size_t kNumbersMax = 100;

// Collects the full names of all keys below `schema`.
void all_keys(const Schema& schema, const std::string& prefix, std::vector<std::string>& out) {
  for (const Row& row : schema.rows) {
    const std::string name = prefix + std::string(row.key);
    out.push_back(name);
    if (row.kind == Kind::Object) all_keys(row.schema(), name + ".", out);
  }
}

// The key of `schema` that looks most like `key`; empty when none does.
std::string nearest_here(const Schema& schema, std::string_view key) {
  std::vector<std::string> known;
  for (const Row& row : schema.rows) known.emplace_back(row.key);
  return nearest_word(ascii_lower(key), known);
}

// A key of another section with the very same name: the line stands in the wrong place.
std::string elsewhere(std::string_view key) {
  std::vector<std::string> names;
  all_keys(root_schema(), "", names);
  const std::string tail = "." + std::string(key);
  const auto found = std::find_if(names.begin(), names.end(),
                                  [&](const std::string& name) { return name.ends_with(tail); });
  return found == names.end() ? std::string{} : *found;
}

}  // namespace

void Parser::unknown(Mark mark, const Schema& schema, const Path& parent, std::string_view key) {
  std::string nearest = nearest_here(schema, key);
  if (!nearest.empty()) {
    nearest = Path(parent, nearest).text();
  } else {
    nearest = elsewhere(key);
  }
  finding(mark, Path(parent, key),
          nearest.empty() ? "unknown key" : "unknown key, did you mean " + nearest + "?");
}

bool Parser::count_fits(const YamlNode& node, const Row& row, const Path& path) {
  const std::size_t count =
      node.kind == YamlNode::Kind::Map ? node.entries.size() : node.items.size() + node.taken;
  const auto size = static_cast<double>(count);
  if (row.high < row.low || (size >= row.low && size <= row.high)) return true;
  finding(node.mark, path, std::to_string(count) + " entries (allowed: " + bound_text(row) + ")");
  return false;
}

std::optional<Value> Parser::texts(const YamlNode& node, const Row& row, const Path& path) {
  std::vector<std::string> out;
  if (node.kind == YamlNode::Kind::Scalar && row.kind == Kind::TextOrTexts) {
    Text text = scalar(node, path);
    if (!text || !fits(node, row, *text, path)) return std::nullopt;
    out.push_back(std::move(*text));
    return out;
  }
  if (!kind_is(node, YamlNode::Kind::List, path) || !count_fits(node, row, path)) {
    return std::nullopt;
  }
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    const Path here(path, i);
    Text text = scalar(node.items[i], here);
    if (!text || !fits(node.items[i], row, *text, here)) return std::nullopt;
    out.push_back(std::move(*text));
  }
  return out;
}

std::optional<Value> Parser::numbers(const YamlNode& node, const Row& row, const Path& path) {
  if (!kind_is(node, YamlNode::Kind::List, path)) return std::nullopt;
  if (node.items.size() > kNumbersMax) {
    finding(node.mark, path, "more than " + std::to_string(kNumbersMax) + " entries");
    return std::nullopt;
  }
  std::vector<std::int64_t> out;
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    const Path here(path, i);
    const Text text = scalar(node.items[i], here, Want::Any);
    if (!text) return std::nullopt;
    if (origin_.typed && node.items[i].quoted) {
      finding(node.items[i].mark, here, "must be a whole number, found a text");
      return std::nullopt;
    }
    const std::optional<Value> one = number(node.items[i], row, *text, here);
    if (!one) return std::nullopt;
    out.push_back(std::get<std::int64_t>(*one));
  }
  return out;
}

std::optional<Value> Parser::delays(const YamlNode& node, const Row& row, const Path& path) {
  if (node.kind == YamlNode::Kind::Scalar) {
    const Text word = scalar(node, path);
    if (!word) return std::nullopt;
    if (!retry_profile(*word).empty()) return *word;
    finding(node.mark, path, "must be a list of durations, ce or ce-legacy");
    return std::nullopt;
  }
  if (!kind_is(node, YamlNode::Kind::List, path) || !count_fits(node, row, path)) {
    return std::nullopt;
  }
  Row each;
  each.kind = Kind::Duration;
  each.low = static_cast<double>(kDelayMin.count());
  each.high = static_cast<double>(kDelayMax.count());
  std::vector<std::chrono::milliseconds> out;
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    const Path here(path, i);
    const Text text = scalar(node.items[i], here);
    if (!text) return std::nullopt;
    const std::optional<Value> one = number(node.items[i], each, *text, here);
    if (!one) return std::nullopt;
    const auto delay = std::get<std::chrono::milliseconds>(*one);
    if (!out.empty() && delay <= out.back()) {
      finding(node.items[i].mark, here,
              print_duration(delay) + " is not above " + print_duration(out.back()) +
                  "; delays must be ascending");
      return std::nullopt;
    }
    out.push_back(delay);
  }
  return out;
}

std::optional<Value> Parser::secrets(const YamlNode& node, const Row& row, const Path& path) {
  if (!kind_is(node, YamlNode::Kind::List, path) || !count_fits(node, row, path)) {
    return std::nullopt;
  }
  std::vector<Secret> out;
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    std::optional<Secret> one = secret(node.items[i], PlainText::IsSecret, Path(path, i));
    if (!one) return std::nullopt;
    out.push_back(std::move(*one));
  }
  return out;
}

std::optional<Secret> Parser::secret(const YamlNode& node, PlainText plain, const Path& path) {
  if (!origin_.typed && node.kind == YamlNode::Kind::Map && node.entries.size() == 1) {
    return secret_from(node.entries.front(), path);
  }
  if (!origin_.typed && node.kind != YamlNode::Kind::Scalar) {
    const std::string first = plain == PlainText::IsPath ? "a path" : "a text";
    finding(node.mark, path, "must be " + first + ", {file: path} or {env: NAME}");
    return std::nullopt;
  }
  Text text = scalar(node, path, plain == PlainText::IsSecret ? Want::Secret : Want::Text);
  if (!text) return std::nullopt;
  std::string problem;
  if (*text == kMask) {
    problem = "is masked (***); give the secret itself";
  } else if (plain == PlainText::IsPath) {
    text = read_secret_file(*text, problem);
  } else if (text->empty()) {
    problem = "an empty secret";
  } else if (text->size() > kSecretMax) {
    problem = "a secret of more than 65536 bytes";
  }
  if (problem.empty()) return Secret(std::move(*text));
  finding(node.mark, path, problem);
  return std::nullopt;
}

// A secret that was written where its variable's name belongs must not appear in a log.
static std::string shown_variable(const std::string& name) {
  const bool plain = std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
  return plain && name.size() <= 64 && !may_be_secret(name) ? name : "that is named here";
}

std::optional<Secret> Parser::secret_from(const YamlEntry& entry, const Path& path) {
  if (entry.key != "file" && entry.key != "env") {
    finding(entry.mark, path, "must be a text, {file: path} or {env: NAME}");
    return std::nullopt;
  }
  const Text name = scalar(entry.value, Path(path, entry.key));
  if (!name) return std::nullopt;
  std::string problem;
  std::string bytes;
  if (entry.key == "file") {
    bytes = read_secret_file(*name, problem);
  } else if (const auto known = origin_.environment->find(*name);
             known == origin_.environment->end()) {
    problem = "the environment variable " + shown_variable(*name) + " is not set";
  } else if (known->second.empty()) {
    problem = "the environment variable " + shown_variable(*name) + " is empty";
  } else if (known->second.size() > kSecretMax) {
    problem = "the environment variable " + shown_variable(*name) + " holds more than 65536 bytes";
  } else {
    bytes = known->second;
  }
  if (problem.empty()) return Secret(std::move(bytes));
  finding(entry.mark, path, problem);
  return std::nullopt;
}

}  // namespace eventrelay::config
