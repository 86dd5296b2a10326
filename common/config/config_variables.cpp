#include "common/config/config_variables.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace eventrelay::config {
namespace {

bool variable_name(std::string_view name) {
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  return !name.empty() && !(name.front() >= '0' && name.front() <= '9') &&
         std::all_of(name.begin(), name.end(), good);
}

// Appends what `${inside}` stands for.
void expand(std::string_view inside, const Environment& environment, std::string& out,
            std::string& problem) {
  const std::size_t dash = inside.find(":-");
  const std::string name(inside.substr(0, dash));
  if (!variable_name(name)) {
    problem = "${...} must hold the name of an environment variable; write $$ for a dollar";
    return;
  }
  const auto known = environment.find(name);
  const bool has_default = dash != std::string_view::npos;
  if (known != environment.end() && !(has_default && known->second.empty())) {
    out.append(known->second);
  } else if (has_default) {
    out.append(inside.substr(dash + 2));
  } else {
    problem = "the environment variable " + name + " is not set; set it or write ${" + name +
              ":-default}";
  }
}

// Closes a file descriptor. Thread: one owner.  Bounds: one descriptor.
class File {
 public:
  explicit File(const std::string& path)
      : descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  [[nodiscard]] int descriptor() const noexcept { return descriptor_; }

 private:
  int descriptor_;
};

}  // namespace

std::string substitute(std::string_view text, const Environment& environment,
                       std::string& problem) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size() && problem.empty(); ++i) {
    const char next = i + 1 < text.size() ? text[i + 1] : '\0';
    if (text[i] != '$' || (next != '$' && next != '{')) {
      out.push_back(text[i]);
    } else if (next == '$') {
      out.push_back('$');
      ++i;
    } else {
      const std::size_t close = text.find('}', i);
      if (close == std::string_view::npos) {
        problem = "${ without }; write $$ for a dollar";
      } else {
        expand(text.substr(i + 2, close - i - 2), environment, out, problem);
        i = close;
      }
    }
  }
  return out;
}

// Likewise of a path: one that begins as paths do is shown, another word may be the secret.
static std::string shown_path(const std::string& path) {
  const bool is_path = path.starts_with('/') || path.starts_with("./") || path.starts_with("../");
  return is_path && path.size() <= 1024 ? path : "the file that is named here";
}

std::string read_secret_file(const std::string& path, std::string& problem) {
  const File file(path);
  const std::string name = shown_path(path);
  if (file.descriptor() < 0) {
    problem = "cannot read " + name + ": " + std::strerror(errno);
    return {};
  }
  std::string bytes;
  std::array<char, 4096> block{};
  while (bytes.size() <= kSecretMax + 2) {
    const ssize_t got = ::read(file.descriptor(), block.data(), block.size());
    if (got < 0) {
      problem = "cannot read " + name + ": " + std::strerror(errno);
      return {};
    }
    if (got == 0) break;
    bytes.append(block.data(), static_cast<std::size_t>(got));
  }
  if (bytes.ends_with('\n')) bytes.pop_back();
  if (bytes.ends_with('\r')) bytes.pop_back();
  if (bytes.size() > kSecretMax) {
    problem = name + " holds more than 65536 bytes";
  } else if (bytes.empty()) {
    problem = name + " is empty";
  }
  return problem.empty() ? bytes : std::string{};
}

}  // namespace eventrelay::config
