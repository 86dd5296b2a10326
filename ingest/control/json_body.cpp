#include "ingest/control/json_body.hpp"

#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/parse.hpp>
#include <set>
#include <string>
#include <vector>

namespace eventrelay::control {
namespace {

namespace json = boost::json;

// Sees every token; keeps the keys of the objects that are open.
// Bounds: kBodyValuesMax values.
struct Watcher {
  static constexpr std::size_t max_object_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_array_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_key_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_string_size = static_cast<std::size_t>(-1);

  struct Level {
    std::set<std::string> keys;
    std::string current;
    std::size_t index = 0;
    bool object = false;
  };
  using Code = json::error_code;
  using View = json::string_view;

  bool begin(bool object) {
    levels.push_back({});
    levels.back().object = object;
    return true;
  }
  bool value(Code& error) {
    if (!levels.empty() && !levels.back().object) ++levels.back().index;
    if (++values <= kBodyValuesMax) return true;
    problem = "the body holds more than 20000 values";
    error = json::error::array_too_large;
    return false;
  }
  [[nodiscard]] std::string path() const {
    std::string out;
    for (const Level& level : levels) {
      if (level.object) {
        out.append(out.empty() ? "" : ".").append(level.current);
      } else {
        out.append("[").append(std::to_string(level.index)).append("]");
      }
    }
    return out.substr(0, 300);
  }

  bool on_document_begin(Code&) { return true; }
  bool on_document_end(Code&) { return true; }
  bool on_array_begin(Code&) { return begin(false); }
  bool on_array_end(std::size_t, Code& error) {
    levels.pop_back();
    return value(error);
  }
  bool on_object_begin(Code&) { return begin(true); }
  bool on_object_end(std::size_t, Code& error) {
    levels.pop_back();
    return value(error);
  }
  bool on_string_part(View, std::size_t, Code&) { return true; }
  bool on_string(View, std::size_t, Code& error) { return value(error); }
  bool on_key_part(View part, std::size_t, Code&) {
    key.append(part.data(), part.size());
    return true;
  }
  bool on_key(View part, std::size_t, Code& error) {
    key.append(part.data(), part.size());
    Level& level = levels.back();
    level.current = key;
    key.clear();
    if (level.keys.insert(level.current).second) return true;
    problem = path() + ": given twice";
    error = json::error::extra_data;
    return false;
  }
  bool on_number_part(View, Code&) { return true; }
  bool on_int64(std::int64_t, View, Code& error) { return value(error); }
  bool on_uint64(std::uint64_t, View, Code& error) { return value(error); }
  bool on_double(double, View, Code& error) { return value(error); }
  bool on_bool(bool, Code& error) { return value(error); }
  bool on_null(Code& error) { return value(error); }
  bool on_comment_part(View, Code&) { return true; }
  bool on_comment(View, Code&) { return true; }

  std::vector<Level> levels;
  std::string key;
  std::string problem;
  std::size_t values = 0;
};

std::string position(std::string_view body, std::size_t at) {
  std::size_t line = 1;
  std::size_t column = 1;
  for (const char c : body.substr(0, at)) {
    ++column;
    if (c != '\n') continue;
    ++line;
    column = 1;
  }
  return "line " + std::to_string(line) + ", column " + std::to_string(column);
}

}  // namespace

Result<json::object> parse_body(std::string_view body) {
  if (body.empty()) return refuse(400, "the body is empty; a JSON object is expected");
  json::parse_options options;
  options.max_depth = kBodyDepthMax;
  json::basic_parser<Watcher> watched(options);
  json::error_code error;
  const std::size_t read = watched.write_some(false, body.data(), body.size(), error);
  if (!watched.handler().problem.empty()) return refuse(400, watched.handler().problem);
  if (error == json::error::too_deep) return refuse(400, "the body is more than 32 levels deep");
  if (error.failed() || read != body.size()) {
    const std::string why = error.failed() ? error.message() : "something follows the object";
    return refuse(400, "the body is not JSON: " + why + " (" + position(body, read) + ")");
  }
  json::value parsed = json::parse({body.data(), body.size()}, error, {}, options);
  if (error.failed()) return refuse(400, "the body is not JSON: " + error.message());
  if (!parsed.is_object()) return refuse(400, "the body must be a JSON object");
  return std::move(parsed.get_object());
}

}  // namespace eventrelay::control
