#include "cli/webhook/json_view.hpp"

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <vector>

namespace eventrelay::cli {
namespace {

namespace json = boost::json;

constexpr std::string_view kIndent = "  ";
constexpr std::string_view kCut = " ..";

std::string flat(const json::value& value);

std::string flat_member(const json::key_value_pair& member) {
  return json::serialize(json::string_view(member.key())) + ": " + flat(member.value());
}

// On one line, with blanks where it may be broken.
std::string flat(const json::value& value) {
  std::string text;
  if (const json::object* object = value.if_object()) {
    for (const auto& member : *object) {
      text.append(text.empty() ? "" : ", ").append(flat_member(member));
    }
    return "{" + text + "}";
  }
  if (const json::array* array = value.if_array()) {
    for (const json::value& item : *array) text.append(text.empty() ? "" : ", ").append(flat(item));
    return "[" + text + "]";
  }
  return json::serialize(value);
}

// Lines of at most `width`, broken at blanks; a word that is longer stands alone.
class Filler {
 public:
  explicit Filler(std::size_t width) : width_(width) {}

  // All of `text` begins on the present line if it fits there whole, else on a new one; it is cut
  // behind `most` lines.
  void add(const std::string& text, std::size_t most) {
    if (!line_.empty() && line_.size() + 1 + text.size() > width_) end_line();
    std::size_t lines = 1;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t blank = std::min(text.find(' ', at), text.size());
      const std::string word = text.substr(at, blank - at);
      at = blank + 1;
      if (!line_.empty() && line_.size() + 1 + word.size() + kCut.size() > width_) {
        if (lines++ == most) {
          line_ += kCut;
          return end_line();
        }
        end_line();
        line_ = kIndent;
      }
      line_ += (line_.find_first_not_of(' ') == std::string::npos ? "" : " ") + word;
    }
  }
  [[nodiscard]] std::vector<std::string> lines() {
    end_line();
    return std::move(lines_);
  }

 private:
  void end_line() {
    if (!line_.empty()) lines_.push_back(std::move(line_));
    line_.clear();
  }

  std::size_t width_;
  std::string line_;
  std::vector<std::string> lines_;
};

// The members of an object but the opened one, each line begun with `indent`.
std::string filled(const json::object& object, const json::value* opened, std::size_t width,
                   const std::string& indent) {
  Filler filler(width - indent.size());
  std::size_t left = object.size();
  for (const auto& member : object) {
    --left;
    if (&member.value() == opened) continue;
    const bool more = left > 0 || opened != nullptr;
    filler.add(flat_member(member) + (more ? "," : ""),
               member.value().is_object() ? 1 : kMemberLines);
  }
  std::string text;
  for (const std::string& line : filler.lines()) text.append(indent).append(line).append("\n");
  return text;
}

}  // namespace

std::string json_view(std::string_view document, std::size_t width, std::string_view opened) {
  boost::system::error_code error;
  const json::value parsed = json::parse({document.data(), document.size()}, error);
  if (error || !parsed.is_object()) return std::string(document);
  const json::object& outer = parsed.get_object();
  const json::value* inner = outer.if_contains({opened.data(), opened.size()});
  if (inner != nullptr && !inner->is_object()) inner = nullptr;
  const std::string indent(kIndent);
  std::string text = filled(outer, inner, width, indent);
  if (inner != nullptr) {
    text.append(indent).append("\"").append(opened).append("\": {\n");
    text += filled(inner->get_object(), nullptr, width, indent + indent);
  }
  if (text.empty()) return "{}";
  // The brackets stand on the first and the last line, where the indents leave room for them.
  text.front() = '{';
  text.back() = '}';
  return inner == nullptr ? text : text + "}";
}

}  // namespace eventrelay::cli
