#include "common/config/config_yaml.hpp"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <map>
#include <optional>
#include <sstream>
#include <utility>

namespace eventrelay::config {
namespace {

Mark to_mark(const YAML::Mark& mark) {
  if (mark.line < 0) return {};
  return {static_cast<std::uint32_t>(mark.line) + 1, static_cast<std::uint32_t>(mark.column) + 1};
}

std::size_t count_nodes(const YamlNode& node) {
  std::size_t count = 1;
  for (const YamlNode& item : node.items) count += count_nodes(item);
  for (const YamlEntry& entry : node.entries) count += count_nodes(entry.value);
  return count;
}

// Builds the tree from yaml-cpp's events. Thread: one owner.  Bounds: kNodesMax nodes.
class TreeBuilder : public YAML::EventHandler {
 public:
  [[nodiscard]] YamlNode take_root() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& /*mark*/) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    YamlNode node;
    node.mark = to_mark(mark);
    add(std::move(node), anchor);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto known = anchors_.find(anchor);
    if (known == anchors_.end()) throw YamlError(to_mark(mark), "an alias of an unfinished anchor");
    budget(count_nodes(known->second), to_mark(mark));
    YamlNode copy = known->second;
    copy.mark = to_mark(mark);
    add(std::move(copy), 0);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    YamlNode node;
    node.mark = to_mark(mark);
    node.kind = YamlNode::Kind::Scalar;
    node.quoted = tag == "!" || tag == "tag:yaml.org,2002:str";
    const bool null = !node.quoted && (value == "~" || value == "null");
    if (null) {
      node.kind = YamlNode::Kind::Null;
    } else {
      node.text = value;
    }
    add(std::move(node), anchor);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& /*tag*/, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    open(YamlNode::Kind::List, mark, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& /*tag*/, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    open(YamlNode::Kind::Map, mark, anchor);
  }
  void OnMapEnd() override { close(); }

 private:
  // A list or map that is not finished. Thread: one owner.  Bounds: one per depth.
  struct Frame {
    YamlNode node;
    YAML::anchor_t anchor = 0;
    std::optional<YamlEntry> pending;  // a map's key that waits for its value
  };

  void budget(std::size_t nodes, Mark mark) {
    used_ += nodes;
    if (used_ > kNodesMax) throw YamlError(mark, "more than 8000000 values");
  }

  void open(YamlNode::Kind kind, const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (!frames_.empty()) require_scalar_key(to_mark(mark));
    Frame frame;
    frame.node.kind = kind;
    frame.node.mark = to_mark(mark);
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

  void add(YamlNode node, YAML::anchor_t anchor) {
    budget(1, node.mark);
    if (anchor != 0) anchors_.emplace(anchor, node);
    if (frames_.empty()) {
      root_ = std::move(node);
      return;
    }
    Frame& top = frames_.back();
    if (top.node.kind == YamlNode::Kind::List) {
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

  YamlNode root_;
  std::vector<Frame> frames_;
  std::map<YAML::anchor_t, YamlNode> anchors_;
  std::size_t used_ = 0;
};

}  // namespace

const YamlEntry* YamlNode::find(std::string_view key) const noexcept {
  for (const YamlEntry& entry : entries) {
    if (entry.key == key) return &entry;
  }
  return nullptr;
}

YamlNode parse_yaml(const std::string& text) {
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    TreeBuilder builder;
    if (!parser.HandleNextDocument(builder)) return {};
    TreeBuilder rest;
    if (parser.HandleNextDocument(rest)) {
      throw YamlError(rest.take_root().mark, "a second document; one file holds one");
    }
    return builder.take_root();
  } catch (const YAML::Exception& problem) {
    throw YamlError(to_mark(problem.mark), problem.msg);
  }
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
