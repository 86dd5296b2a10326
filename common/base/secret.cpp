#include "common/base/secret.hpp"

#include <cstddef>
#include <utility>

namespace eventrelay {

Secret& Secret::operator=(const Secret& other) {
  if (this != &other) {
    wipe();
    bytes_ = other.bytes_;
  }
  return *this;
}

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this != &other) {
    wipe();
    bytes_ = std::move(other.bytes_);
  }
  return *this;
}

Secret::~Secret() {
  wipe();
}

bool operator==(const Secret& a, const Secret& b) noexcept {
  if (a.bytes_.size() != b.bytes_.size()) return false;
  unsigned difference = 0;
  for (std::size_t i = 0; i < a.bytes_.size(); ++i) {
    difference |= static_cast<unsigned char>(a.bytes_[i] ^ b.bytes_[i]);
  }
  return difference == 0;
}

void Secret::wipe() noexcept {
  volatile char* bytes = bytes_.data();
  for (std::size_t i = 0; i < bytes_.size(); ++i) bytes[i] = '\0';
  bytes_.clear();
}

}  // namespace eventrelay
