#include "common/config/config_yaml.hpp"

#include <yaml.h>

#include <map>
#include <memory>
#include <new>
#include <optional>
#include <utility>

namespace eventrelay::config {
namespace {

Mark to_mark(const yaml_mark_t& mark) {
  return {static_cast<std::uint32_t>(mark.line) + 1, static_cast<std::uint32_t>(mark.column) + 1};
}

std::string_view text_of(const yaml_char_t* text) {
  return text == nullptr ? std::string_view{} : reinterpret_cast<const char*>(text);
}

// Where to look for the mistake: what is still open at the end of the text began somewhere else.
Mark place_of(const yaml_parser_t& parser) {
  if (parser.error == YAML_READER_ERROR) return to_mark(parser.mark);
  const bool at_end =
      parser.tokens.head != parser.tokens.tail && parser.tokens.head->type == YAML_STREAM_END_TOKEN;
  const bool opened = at_end && parser.context != nullptr;
  return to_mark(opened ? parser.context_mark : parser.problem_mark);
}

std::size_t count_nodes(const YamlNode& node) {
  std::size_t count = 1;
  for (const YamlNode& item : node.items) count += count_nodes(item);
  for (const YamlEntry& entry : node.entries) count += count_nodes(entry.value);
  return count;
}

// Builds the tree from libyaml's events. Thread: one owner.  Bounds: kNodesMax nodes.
class TreeBuilder {
 public:
  explicit TreeBuilder(const ItemSink* sink) : sink_(sink) {}

  [[nodiscard]] YamlNode take_root() { return std::move(root_); }

  void on_event(const yaml_event_t& event) {
    const Mark mark = to_mark(event.start_mark);
    switch (event.type) {
      case YAML_DOCUMENT_START_EVENT:
        if (documents_++ > 0) throw YamlError(mark, "a second document; one file holds one");
        break;
      case YAML_ALIAS_EVENT:
        return on_alias(mark, std::string(text_of(event.data.alias.anchor)));
      case YAML_SCALAR_EVENT:
        return on_scalar(mark, event);
      case YAML_SEQUENCE_START_EVENT:
        return open(YamlNode::Kind::List, mark, text_of(event.data.sequence_start.anchor));
      case YAML_MAPPING_START_EVENT:
        return open(YamlNode::Kind::Map, mark, text_of(event.data.mapping_start.anchor));
      case YAML_SEQUENCE_END_EVENT:
      case YAML_MAPPING_END_EVENT:
        return close();
      default:
        break;
    }
  }

 private:
  // A list or map that is not finished. Bounds: one per depth.
  struct Frame {
    YamlNode node;
    std::string anchor;
    std::optional<YamlEntry> pending;  // a map's key that waits for its value
  };

  void on_alias(Mark mark, const std::string& anchor) {
    const auto known = anchors_.find(anchor);
    if (known == anchors_.end()) throw YamlError(mark, "an alias without a finished anchor");
    budget(count_nodes(known->second), mark);
    YamlNode copy = known->second;
    copy.mark = mark;
    add(std::move(copy), {});
  }

  void on_scalar(Mark mark, const yaml_event_t& event) {
    const auto& scalar = event.data.scalar;
    const std::string_view text(reinterpret_cast<const char*>(scalar.value), scalar.length);
    YamlNode node;
    node.mark = mark;
    node.quoted =
        scalar.style != YAML_PLAIN_SCALAR_STYLE || text_of(scalar.tag) == "tag:yaml.org,2002:str";
    const bool null = !node.quoted && (text.empty() || text == "~" || text == "null");
    if (!null) {
      node.kind = YamlNode::Kind::Scalar;
      node.text = text;
    }
    add(std::move(node), text_of(scalar.anchor));
  }

  void budget(std::size_t nodes, Mark mark) {
    used_ += nodes;
    if (used_ > kNodesMax) throw YamlError(mark, "more than 8000000 values");
  }

  void open(YamlNode::Kind kind, Mark mark, std::string_view anchor) {
    if (!frames_.empty()) require_scalar_key(mark);
    Frame frame;
    frame.node.kind = kind;
    frame.node.mark = mark;
    frame.anchor = anchor;
    frames_.push_back(std::move(frame));
  }

  void close() {
    Frame frame = std::move(frames_.back());
    frames_.pop_back();
    add(std::move(frame.node), frame.anchor);
  }

  void require_scalar_key(Mark mark) const {
    const Frame& top = frames_.back();
    if (top.node.kind == YamlNode::Kind::Map && !top.pending) {
      throw YamlError(mark, "a key must be plain text");
    }
  }

  // Is this the list whose items go to the sink?
  [[nodiscard]] bool sinks() const {
    return sink_ != nullptr && frames_.size() == 2 && frames_.front().pending &&
           frames_.front().pending->key == sink_->key;
  }

  void add(YamlNode node, std::string_view anchor) {
    budget(1, node.mark);
    if (!anchor.empty()) anchors_.insert_or_assign(std::string(anchor), node);
    if (frames_.empty()) {
      root_ = std::move(node);
      return;
    }
    Frame& top = frames_.back();
    if (top.node.kind == YamlNode::Kind::List) {
      if (sinks()) return sink_->take(top.node.taken++, node);
      top.node.items.push_back(std::move(node));
    } else if (!top.pending) {
      if (node.kind != YamlNode::Kind::Scalar) throw YamlError(node.mark, "a key must be text");
      top.pending = YamlEntry{std::move(node.text), node.mark, {}};
    } else {
      node.mark = top.pending->mark;  // findings point at the key
      top.pending->value = std::move(node);
      top.node.entries.push_back(std::move(*top.pending));
      top.pending.reset();
    }
  }

  const ItemSink* sink_;
  unsigned documents_ = 0;
  YamlNode root_;
  std::vector<Frame> frames_;
  std::map<std::string, YamlNode> anchors_;
  std::size_t used_ = 0;
};

}  // namespace

const YamlEntry* YamlNode::find(std::string_view key) const noexcept {
  for (const YamlEntry& entry : entries) {
    if (entry.key == key) return &entry;
  }
  return nullptr;
}

YamlNode parse_yaml(const std::string& text, const ItemSink* sink) {
  yaml_parser_t parser;
  if (yaml_parser_initialize(&parser) == 0) throw std::bad_alloc();
  const std::unique_ptr<yaml_parser_t, decltype(&yaml_parser_delete)> end(&parser,
                                                                          yaml_parser_delete);
  yaml_parser_set_input_string(&parser, reinterpret_cast<const unsigned char*>(text.data()),
                               text.size());
  TreeBuilder builder(sink);
  for (bool more = true; more;) {
    yaml_event_t event;
    if (yaml_parser_parse(&parser, &event) == 0) {
      throw YamlError(place_of(parser),
                      parser.problem == nullptr ? "can not be read" : parser.problem);
    }
    const std::unique_ptr<yaml_event_t, decltype(&yaml_event_delete)> done(&event,
                                                                           yaml_event_delete);
    more = event.type != YAML_STREAM_END_EVENT;
    builder.on_event(event);
  }
  return builder.take_root();
}

std::string_view describe(YamlNode::Kind kind) noexcept {
  switch (kind) {
    case YamlNode::Kind::Null:
      return "nothing";
    case YamlNode::Kind::Scalar:
      return "a single value";
    case YamlNode::Kind::List:
      return "a list";
    case YamlNode::Kind::Map:
      return "a map";
  }
  return "";
}

}  // namespace eventrelay::config
