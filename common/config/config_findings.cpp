#include "common/config/config_findings.hpp"

namespace eventrelay::config {

std::string Findings::line(std::string_view place, std::string_view path,
                           std::string_view problem) {
  std::string line(place);
  if (!path.empty()) line.append(line.empty() ? "" : ": ").append(path);
  return line.append(line.empty() ? "" : ": ").append(problem);
}

void Findings::add(std::string_view place, std::string_view path, std::string_view problem) {
  ++count_;
  if (full()) return;
  paths_.emplace(path);
  lines_.push_back(line(place, path, problem));
}

void Findings::warn(std::string_view place, std::string_view path, std::string_view problem) {
  if (warnings_.size() < kWarningsMax) warnings_.push_back(line(place, path, problem));
}

bool Findings::about(std::string_view path) const {
  const auto told = paths_.lower_bound(path);
  return told != paths_.end() && told->starts_with(path);
}

std::string Findings::text() const {
  std::string out;
  for (const std::string& line : lines_) out.append(out.empty() ? "" : "\n").append(line);
  if (count_ > lines_.size()) {
    out.append("\nand ").append(std::to_string(count_ - lines_.size())).append(" more");
  }
  return out;
}

std::string Path::text() const {
  if (parent_ == nullptr) return {};
  std::string out = parent_->text();
  if (index_) return out.append("[").append(std::to_string(*index_)).append("]");
  return out.append(out.empty() ? "" : ".").append(key_);
}

}  // namespace eventrelay::config
